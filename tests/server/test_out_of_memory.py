"""Whichever network has no memory, the request is told so, and the next one is served."""

from typing import Any

import grpc
import pytest
import torch
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually
from tests.support.raw import connected, good_requests, picture

NETWORKS = {
    "text_encoder": "Prior",
    "prior": "Prior",
    "image_encoder": "Interpolate",
    "decoder": "Decode",
    "movq_decoder": "Decode",
    "movq_encoder": "Img2Img",
    "inpaint": "Inpaint",
    "depth": "ControlNet",
    "hint_encoder": "ControlNet",
    "controlnet": "ControlNet",
}
"""Each with a method that calls it."""


def asked(method: str, name: str) -> Any:
    """A request whose prompt no cache knows."""
    request = good_requests()[method]
    if method == "Prior":
        request.prompts[:] = [f"a dog without {name}"]
    if method == "ControlNet":
        request.ClearField("hint")
        request.depth_from.CopyFrom(pb.InputImage(data=picture()))
    return request


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_without_memory_is_an_internal_failure(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def none_left(*inputs: torch.Tensor) -> tuple[torch.Tensor]:
        raise torch.OutOfMemoryError("secret: 3 MiB of 80 GiB")

    with connected(server.target) as raw:
        with monkeypatch.context() as patch:
            patch.setattr(server.app.model.networks[name], "call", none_left)
            answer = raw.call(NETWORKS[name], asked(NETWORKS[name], name))
        assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "BACKEND_FAILED")
        assert "no memory" in answer.message
        assert "secret" not in answer.message
        eventually(lambda: server.idle)
        assert raw.call(NETWORKS[name], asked(NETWORKS[name], name)).code == grpc.StatusCode.OK
