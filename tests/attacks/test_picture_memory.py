"""Pictures of requests that wait: small, bounded together and for each client, and prepared once."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.calls import ENDLESS
from kandinsky_server.testing.running import RunningServer
from PIL import Image

from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Raw, connected, good_requests, only, pair, picture, rest, sampling

START_BYTES = 64 * 64 * 3
"""Of a start image, shrunk to the output's size."""

TOKENS = {name: f"{name}-token-of-enough-letters" for name in ("alice", "bob")}


def img2img(image: bytes = b"", **options: Any) -> image_pb2.Img2ImgRequest:
    return image_pb2.Img2ImgRequest(
        embeddings=[pair()],
        image=pb.InputImage(data=image or picture()),
        strength=1,
        sampling=sampling(**{"step_count": ENDLESS, **options}),
    )


def inpaint(side: int) -> image_pb2.InpaintRequest:
    request: image_pb2.InpaintRequest = good_requests()["Inpaint"]
    request.sampling.width_px = request.sampling.height_px = side
    return request


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Room for four start images, and for two of each client."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    clients = [f'[{name}]\ntoken = "{token}"\nshare = 0.5\n' for name, token in TOKENS.items()]
    tokens.write_text("\n".join(clients))
    with RunningServer(tiny_model, tokens_file=tokens, max_decoded_bytes=4 * START_BYTES) as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs
        eventually(lambda: server.idle and not server.app.budget.bytes.taken)


def as_client(name: str) -> dict[str, Any]:
    return {"authorization": f"Bearer {TOKENS[name]}"}


class Waiting(ExitStack):
    """Requests with a picture that run for ever."""

    def add(self, raw: Raw, client: str, request: Any = None) -> grpc.Call:
        call = raw.image_service.Img2Img(request or img2img(), metadata=tuple(as_client(client).items()))
        self.callback(call.cancel)
        assert next(call).event.WhichOneof("kind") == "queued"
        return call


def test_pictures_of_waiting_requests_are_bounded_in_bytes(server: RunningServer, raw: Raw) -> None:
    """However large they came. Each client has its share, all of them the whole."""
    large = io.BytesIO()
    Image.new("RGB", (2048, 2048)).save(large, "PNG")
    with Waiting() as waiting:
        for _ in range(2):
            waiting.add(raw, "alice", img2img(large.getvalue()))
        assert server.app.budget.bytes.taken == 2 * START_BYTES
        answer = raw.call("Img2Img", img2img(), **as_client("alice"))
        assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUOTA")
        assert answer.retry_seconds
        first = waiting.add(raw, "bob")
        waiting.add(raw, "bob")
        for request in (img2img(), good_requests()["Inpaint"]):
            rpc = type(request).__name__.removesuffix("Request")
            answer = raw.call(rpc, request, **as_client("bob"))
            assert (answer.code, answer.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            assert answer.retry_seconds
        estimate = server_pb2.EstimateRequest(img2img=img2img())
        assert raw.call("Estimate", estimate, **as_client("bob")).reason == "QUEUE_FULL"
        # Those without pictures are served.
        assert raw.call("Decode", good_requests()["Decode"], **as_client("bob")).code == StatusCode.OK
        first.cancel()
        eventually(lambda: server.app.budget.bytes.taken == 3 * START_BYTES)
        waiting.add(raw, "bob")


def test_a_request_that_could_never_be_kept_is_told_so(raw: Raw) -> None:
    answer = raw.call("Inpaint", inpaint(128), **as_client("alice"))
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE")
    assert f"takes, with what comes with it, {128 * 128 * 4} bytes" in answer.violations["image"]
    assert raw.call("Inpaint", inpaint(64), **as_client("alice")).code == StatusCode.OK


def test_refused_pictures_give_their_bytes_back(server: RunningServer, raw: Raw) -> None:
    bad = img2img(picture()[:300])
    for _ in range(6):
        assert raw.call("Img2Img", bad, **as_client("alice")).reason == "INVALID_IMAGE"
        estimate = server_pb2.EstimateRequest(img2img=bad)
        assert raw.call("Estimate", estimate, **as_client("alice")).reason == "INVALID_IMAGE"
    assert server.app.budget.bytes.taken == 0


def test_a_picture_is_prepared_once_for_all_its_results(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resized and hashed, off the event loop; and equal pictures in other formats are the same to the cache."""
    stage = server.app.model.prior
    assert stage
    inner, threads = type(stage.image_processor).__call__, list[str]()

    def counted(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        return inner(*arguments, **options)

    monkeypatch.setattr(type(stage.image_processor), "__call__", counted)
    png, webp = (
        pb.InputImage(data=picture(512, 512)),
        pb.InputImage(data=picture(512, 512, "WEBP", lossless=True)),
    )
    prompts, sampling = ["a", "b"], pb.PriorSampling(image_count=2, step_count=2, seed=1)
    for number, image in enumerate((png, webp), 1):
        request = prior_pb2.PriorRequest(prompts=prompts, image=image, strength=1, sampling=sampling)
        answer = raw.call("Prior", request, **as_client("alice"))
        assert len(answer.embeddings) == 4
        assert all(result.cached == (number == 2) for result in answer.embeddings)
        assert len(threads) == number
    mixture = prior_pb2.InterpolateRequest(
        conditions=[prior_pb2.Condition(image=png)],
        weights=[prior_pb2.Weights(values=[1])],
        sampling=pb.PriorSampling(image_count=4, step_count=2),
    )
    assert raw.call("Interpolate", mixture, **as_client("alice")).code == StatusCode.OK
    assert len(threads) == 3
    assert all(name.startswith("decoders") for name in threads)


def resident(process: psutil.Process) -> int:
    return sum(each.memory_info().rss for each in (process, *process.children()))


@pytest.mark.slow
def test_memory_is_back_within_seconds(tiny_model: Path, tmp_path: Path) -> None:
    """24 pictures of 64 kB that are 50 MB each when they are decoded wait, and are given up."""
    model = only(tmp_path / "model", tiny_model, "prior", "decoder")
    large = io.BytesIO()
    Image.new("RGB", (4096, 4096)).save(large, "PNG")
    request = img2img(large.getvalue())
    prior = prior_pb2.PriorRequest(
        prompts=["a cat"],
        image=request.image,
        strength=1,
        sampling=pb.PriorSampling(step_count=ENDLESS, seed=1),
    )
    with Process(model) as server, connected(server.target("serving")) as raw:
        assert raw.call("Img2Img", img2img(step_count=1)).code == StatusCode.OK
        process = psutil.Process(server.process.pid)
        before = resident(process)
        calls: list[Any] = [raw.image_service.Img2Img(request) for _ in range(20)]
        calls += [raw.prior_service.Prior(prior) for _ in range(4)]
        assert all(next(call).event.WhichOneof("kind") == "queued" for call in calls)
        # What CLIP's processor needs for two pictures at once is the server's own until there is nothing to do.
        assert resident(process) < before + 500 * 1024 * 1024
        for call in calls:
            call.cancel()
            rest(call)
        eventually(lambda: resident(process) < before + 64 * 1024 * 1024)
