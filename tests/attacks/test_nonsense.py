"""Backends that return nonsense give way to eager; embeddings that are nonsense are the client's fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_backends.eager import EagerNetwork
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.engine.network import DeviceNetwork, Returns
from kandinsky_server.families.stages import PriorStage
from kandinsky_server.settings import Settings
from kandinsky_server.startup.resolve import sources_of
from kandinsky_server.testing.running import RunningServer
from torch import Tensor

from tests.support.raw import Raw, connected, embedding, good_requests, pair, sampling
from tests.support.requests import pixels

FLOATS = pb.OutputOptions(format=pb.IMAGE_FORMAT_RAW_RGB_F32)


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model, prior_cache_size=0) as running:
        yield running


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as connection:
        yield connection


NONSENSE: dict[str, Callable[[tuple[Tensor, ...]], Any]] = {
    "too many channels": lambda outputs: tuple(torch.cat([each, each], dim=1) for each in outputs),
    "too few channels": lambda outputs: tuple(each[:, :1] for each in outputs),
    "too few rows": lambda outputs: tuple(each[:-1] for each in outputs),
    "no batch": lambda outputs: tuple(each[0] for each in outputs),
    "another dtype": lambda outputs: tuple(each.double() for each in outputs),
    "another device": lambda outputs: tuple(each.to("meta") for each in outputs),
    "a bare tensor": lambda outputs: outputs[0],
    "a list": list,
    "arrays": lambda outputs: tuple(each.numpy() for each in outputs),
    "nothing": lambda outputs: None,
    "too few outputs": lambda outputs: outputs[:-1],
    "too many outputs": lambda outputs: (*outputs, outputs[0]),
}


@contextmanager
def broken(
    server: RunningServer, name: str, spoil: Callable[[tuple[Tensor, ...]], Any], backend: str = "odd"
) -> Iterator[DeviceNetwork]:
    """Lets a network return nonsense; only under another ``backend`` than eager can eager take over."""
    network = server.app.model.networks[name]
    call = network.call
    network.call, network.backend = lambda *inputs: spoil(call(*inputs)), backend
    network.fallback = call if backend != "eager" else None
    try:
        yield network
    finally:
        network.call, network.backend, network.fallback = call, "eager", None


def asked(rpc: str) -> Any:
    request = good_requests()[rpc]
    if hasattr(request, "output"):
        request.output.CopyFrom(FLOATS)
    return request


def floats(answer: Any) -> np.ndarray:
    if answer.images:
        return pixels(answer)
    assert answer.embeddings, answer
    return np.concatenate([np.frombuffer(each.embeddings.positive.data, "<f4") for each in answer.embeddings])


@pytest.mark.parametrize("what", NONSENSE)
def test_eager_takes_over_from_a_backend_that_returns_nonsense(
    server: RunningServer, raw: Raw, what: str
) -> None:
    expected = raw.call("Decode", asked("Decode"))
    with broken(server, "decoder", NONSENSE[what]) as network:
        answer = raw.call("Decode", asked("Decode"))
        assert (network.backend, network.fallback) == ("eager", None)
    np.testing.assert_allclose(floats(answer), floats(expected), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "rpc"),
    [
        ("prior", "Prior"),
        ("text_encoder", "Prior"),
        ("image_encoder", "Interpolate"),
        ("movq_decoder", "Decode"),
        ("movq_encoder", "Img2Img"),
        ("inpaint", "Inpaint"),
        ("controlnet", "ControlNet"),
        ("hint_encoder", "ControlNet"),
    ],
)
def test_it_does_for_every_network(server: RunningServer, raw: Raw, name: str, rpc: str) -> None:
    expected = raw.call(rpc, asked(rpc))
    with broken(server, name, NONSENSE["too many channels"]) as network:
        answer = raw.call(rpc, asked(rpc))
        assert network.backend == "eager"
    np.testing.assert_allclose(floats(answer), floats(expected), rtol=0, atol=1e-3)


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_from_eager_itself_ends_requests_but_not_the_server(
    server: RunningServer, raw: Raw, what: str
) -> None:
    with broken(server, "decoder", NONSENSE[what], backend="eager"):
        answer = raw.call("Decode", asked("Decode"), timeout=60)
        assert answer.code in (StatusCode.INTERNAL, StatusCode.OK), "OK where the rest was right"
    assert raw.call("Decode", asked("Decode")).code == StatusCode.OK


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_network_returns_what_is_expected_of_it(tiny_model: Path, dtype: torch.dtype) -> None:
    """Eager does, at its native size and at another."""
    settings = Settings(model=str(tiny_model))
    checkpoints, seen = Checkpoints(torch.device("cpu"), dtype), set()
    for name, source in sources_of(settings).given().items():
        stage = checkpoints.load(name, source)
        for part in stage.parts():
            seen.add(part.name)
            for rows in (1, 3):
                inputs = part.shapes[0](rows).random_inputs(torch.device("cpu"))
                if not isinstance(stage, PriorStage):
                    inputs = tuple(
                        torch.cat([each, each], dim=-1) if each.ndim == 4 else each for each in inputs
                    )
                outputs = EagerNetwork(part.module)(*inputs)
                Returns(part.returns, dtype).check(inputs[0], outputs)
    assert len(seen) == 9


# Embeddings.


def decode_of(positive: Any, negative: Any = None) -> image_pb2.DecodeRequest:
    made = pair()
    made.positive.CopyFrom(embedding(positive))
    if negative is not None:
        made.negative.CopyFrom(embedding(negative))
    return image_pb2.DecodeRequest(embeddings=[made], sampling=sampling(step_count=2))


def extreme(value: float) -> np.ndarray:
    values = np.frombuffer(pair().positive.data, "<f4").copy()
    values[3] = value
    return values


@pytest.mark.parametrize("value", [3e38, -3e38, 1e30, 70000.0, -10001.0])
@pytest.mark.parametrize("which", ["positive", "negative"])
def test_an_embedding_that_no_clip_makes_is_the_clients_fault(raw: Raw, value: float, which: str) -> None:
    request = decode_of(extreme(value)) if which == "positive" else decode_of(extreme(0), extreme(value))
    answer = raw.call("Decode", request)
    assert (answer.code, answer.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_EMBEDDING")
    assert list(answer.violations) == [f"embeddings[0].{which}.data"]
    assert "10000" in answer.message


@pytest.mark.parametrize("bits", [0x7F7F, 0xFF7F, 0x4700])
def test_so_it_is_in_bfloat16(raw: Raw, bits: int) -> None:
    request = decode_of(extreme(0))
    data = np.full(64, bits, "<u2").tobytes()
    request.embeddings[0].positive.CopyFrom(pb.Embedding(data=data, dtype=pb.DTYPE_BF16, shape=[64]))
    assert raw.call("Decode", request).reason == "INVALID_EMBEDDING"


def test_so_it_is_in_interpolate_and_what_that_makes_can_be_decoded(raw: Raw) -> None:
    request = prior_pb2.InterpolateRequest(
        conditions=[prior_pb2.Condition(embedding=embedding(extreme(3e38)))],
        weights=[prior_pb2.Weights(values=[1e-38])],
    )
    assert raw.call("Interpolate", request).reason == "INVALID_EMBEDDING"
    request.conditions[0].embedding.CopyFrom(embedding(np.full(64, 9.0)))
    request.weights[0].values[:] = [1000]
    (made,) = raw.call("Interpolate", request).embeddings
    again = image_pb2.DecodeRequest(embeddings=[made.embeddings], sampling=sampling(step_count=2))
    assert raw.call("Decode", again).code == StatusCode.OK
    request.weights[0].values[:] = [-1000]
    request.conditions[0].embedding.CopyFrom(embedding(np.full(64, 11.0)))
    refused = raw.call("Interpolate", request)
    assert (refused.reason, list(refused.violations)) == ("INVALID_FIELD", ["weights[0]"])


@pytest.mark.parametrize("sign", ["equal", "mixed"])
def test_the_largest_that_is_taken_is_no_fault_of_the_server(raw: Raw, sign: str) -> None:
    values = np.full(64, 1e4) if sign == "equal" else np.resize([1e4, -1e4], 64)
    assert raw.call("Decode", decode_of(values, -values)).code == StatusCode.OK


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_nor_is_it_in_half_precision(tiny_model: Path, dtype: str) -> None:
    with (
        RunningServer(decoder=str(tiny_model / "decoder"), dtype=dtype) as half,
        connected(half.target) as raw,
    ):
        values = np.resize([1e4, -1e4], 64)
        request = decode_of(values, -values)
        request.sampling.guidance_scale = 1.0
        assert raw.call("Decode", request).code == StatusCode.OK
