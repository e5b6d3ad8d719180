"""A real `kandinsky serve` process from start to end: what it prints, whom it serves, how it exits."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import prior_pb2, server_pb2
from safetensors.numpy import load_file, save_file

from tests.support.process import Process
from tests.support.raw import Raw, connected, good_requests, only, rest

pytestmark = pytest.mark.slow


@pytest.fixture
def decoder(tiny_model: Path, tmp_path: Path) -> Path:
    return only(tmp_path / "model", tiny_model, "decoder")


def long_decode(raw: Raw, step_count: int) -> grpc.Call:
    """A Decode that has been taken in."""
    request = good_requests()["Decode"]
    request.sampling.step_count = step_count
    call = raw.image_service.Decode(request)
    assert next(iter(call)).event.WhichOneof("kind") == "queued"
    return call


def test_sigterm_finishes_what_runs_refuses_what_comes_and_exits_with_0(decoder: Path) -> None:
    with Process(decoder) as server, connected(server.target("serving")) as raw:
        assert raw.serving() == "SERVING"
        assert raw.call("Prior", prior_pb2.PriorRequest(), x_request_id="early").reason == "STAGE_NOT_LOADED"
        running = long_decode(raw, 60)
        server.terminate()
        while raw.serving() == "SERVING":
            pass
        refused = raw.call("Decode", good_requests()["Decode"])
        assert (refused.code, refused.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
        assert refused.retry_seconds
        assert rest(running).kinds[-1] == "completed"
        assert server.wait() == 0
        first, last = server.output
        assert first.startswith("listening on 127.0.0.1:")
        assert last.startswith("serving on 127.0.0.1:")
        # Nothing but the log goes to standard error, each line an object: no progress bars, no advice.
        log = [json.loads(line) for line in server.errors]
        assert {line["level"] for line in log} == {"info"}
        (early,) = [line for line in log if line.get("request_id") == "early"]
        assert (early["event"], early["code"], early["reason"]) == (
            "request",
            "FAILED_PRECONDITION",
            "STAGE_NOT_LOADED",
        )


def test_the_drain_limit_ends_what_takes_too_long(decoder: Path) -> None:
    with Process(decoder, "--drain-seconds=0.1") as server, connected(server.target("serving")) as raw:
        running = long_decode(raw, 1000)
        server.terminate()
        answer = rest(running)
        assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
        assert server.wait() == 0


def test_sigterm_while_the_model_loads_ends_the_process_at_once(decoder: Path) -> None:
    with Process(decoder) as server, connected(server.target("listening")) as raw:
        info = raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest(), wait_for_ready=True)
        server.terminate()
        assert server.wait() == 0
        assert info.status or "serving" in server.output[-1]


def test_weights_that_do_not_fit_give_one_sentence_and_exit_code_2(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model / "decoder", model / "decoder")
    (weights,) = (model / "decoder" / "unet").glob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: tensor.reshape(-1)[:1] for name, tensor in tensors.items()}, weights)
    with Process(model) as server:
        assert server.wait() == 2
        assert server.output == []
        (told,) = server.errors
    assert told.startswith("kandinsky serve: decoder: ")
    assert "unet/diffusion_pytorch_model.safetensors is not the weights of this UNet2DConditionModel" in told
    assert "of shape [1] for [" in told


def test_a_truncated_checkpoint_is_found_before_anything_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model / "decoder", model / "decoder")
    (weights,) = (model / "decoder" / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    with Process(model) as server:
        assert server.wait() == 2
        assert server.output == []
        assert any("decoder" in line for line in server.errors)
        assert all(line.startswith("kandinsky serve: ") for line in server.errors)


def grow_codebook(movq: Path, entries: int) -> None:
    """Gives a MoVQ so many entries of four floats. The file gets a hole for them, which takes no room on the disk."""
    config = json.loads((movq / "config.json").read_text())
    (movq / "config.json").write_text(json.dumps({**config, "num_vq_embeddings": entries}))
    (weights,) = movq.glob("*.safetensors")
    tensors = load_file(weights)
    tensors["quantize.embedding.weight"] = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.float32), (entries, 4), (0, 0)
    )
    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    with weights.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(file.tell() + end)


def test_a_model_that_no_memory_holds_gives_one_sentence_and_exit_code_2(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model / "decoder", model / "decoder")
    grow_codebook(model / "decoder" / "movq", 2**38)
    with Process(model) as server:
        assert server.wait() == 2
        assert server.output == []
        (told,) = server.errors
    assert told.startswith("kandinsky serve: memory: the model takes 4398.1 GB and ")
    assert " are free in main memory (weights: decoder 4398.1 GB; " in told


def test_a_model_from_the_hub_that_no_memory_holds_is_refused_before_it_is_loaded(
    tiny_model: Path, tmp_path: Path
) -> None:
    """From the hub's cache, which is not looked at until the port is open."""
    repository = tmp_path / "hub" / "models--me--decoder"
    shutil.copytree(tiny_model / "decoder", repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    grow_codebook(repository / "snapshots" / "abc" / "movq", 2**38)
    flags = ("--model=null", "--decoder=me/decoder")
    with Process(tmp_path, *flags, HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="1") as server:
        assert server.wait() == 1
        (_listening,) = server.output
        told = server.errors[-1]
    assert told.startswith("kandinsky serve: memory: the model takes 4398.1 GB and ")
    assert not any("Traceback" in line for line in server.errors)


@pytest.mark.parametrize("flag", ["port", "metrics-port"])
def test_a_port_that_is_taken_gives_a_sentence_and_exit_code_2(decoder: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Process(decoder, f"--{flag}={port}") as server:
            assert server.wait() == 2
            assert server.output == []
            assert not any("Traceback" in line for line in server.errors)
            (told,) = server.errors
        assert told.startswith(
            f"kandinsky serve: {flag.replace('-', '_')}: 127.0.0.1:{port} is taken by another process"
        )
