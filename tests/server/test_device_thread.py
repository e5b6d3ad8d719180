"""Only the engine's thread asks anything of torch: neither the event loop nor the pool may wait for the device."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import StartingServer
from torch.overrides import TorchFunctionMode, resolve_name

from tests.support.raw import Raw, connected, good_requests, picture

HOST_ONLY = ("torch.from_numpy", "torch.Tensor.__getitem__", "torch.Tensor.shape.__get__")
"""What takes host memory for a tensor without a copy, and what reads a shape."""

asked: list[str] = []
"""What other threads asked of torch, and which of them."""


class Seen(TorchFunctionMode):
    """Notes what a thread asks of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (name := resolve_name(func) or repr(func)) not in HOST_ONLY:
            asked.append(f"{name} on {threading.current_thread().name}")
        return func(*args, **(kwargs or {}))


def watch() -> None:
    """From now on, for as long as the present thread lives."""
    Seen().__enter__()  # type: ignore[no-untyped-call]  # torch has no types for it


async def watch_loop() -> None:
    watch()


@pytest.fixture(scope="module")
def raw(tiny_model: Path) -> Iterator[Raw]:
    with StartingServer(tiny_model, prior_cache_size=0) as server:
        server.app.pool.shutdown()
        server.app.pool = ThreadPoolExecutor(2, thread_name_prefix="images", initializer=watch)
        server.load()
        server.run(watch_loop())
        with connected(server.target) as calls:
            yield calls


def requests() -> dict[str, tuple[str, Any]]:
    """One of every RPC, with previews where there are any, and those that take other ways through it."""
    found = {name: (name, request) for name, request in good_requests().items()}
    for name in ("Decode", "Inpaint", "Generate"):
        request = found[name][1]
        request.sampling.step_count = 4
        request.options.CopyFrom(pb.RequestOptions(preview_interval_steps=1))

    def another(name: str) -> Any:
        request = good_requests()[name]
        found[f"{name} otherwise"] = name, request
        return request

    image = pb.InputImage(data=picture())
    another("Prior").MergeFrom(type(found["Prior"][1])(negative_prompt="a dog", image=image, strength=1.0))
    another("Interpolate").negative_prompt = "a dog"
    another("Decode").sampling.guidance_scale = 1.0
    another("Inpaint").paste_original = True
    another("ControlNet").MergeFrom(type(found["ControlNet"][1])(depth_from=image, image=image, strength=1.0))
    return found


@pytest.mark.parametrize("name", requests())
def test_no_other_thread_asks_anything_of_torch(raw: Raw, name: str) -> None:
    rpc, request = requests()[name]
    # How many steps a scheduler takes is counted once, on a copy of it that never leaves the host.
    assert raw.call(rpc, request).code == StatusCode.OK
    asked.clear()
    assert raw.call(rpc, request).code == StatusCode.OK
    assert asked == []
