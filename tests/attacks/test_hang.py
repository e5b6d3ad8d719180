"""A device that hangs: it is noticed and told, everybody is answered, and the process ends whatever hangs in it."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb

from tests.attacks.broken import NAMES, NOT_SERVING, HangingProcess, watched
from tests.support.patience import eventually
from tests.support.process import Process
from tests.support.raw import Answer, Raw, connected, good_requests, only, pair, picture, sampling
from tests.support.requests import decode

pytestmark = pytest.mark.slow

LOAD_SECONDS = 30
"""Enough for the tiny checkpoint on a busy machine."""


def assert_told(answer: Answer) -> None:
    assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DEVICE_HUNG"), answer
    assert answer.retry_seconds


def test_a_hang_is_told_to_everyone_and_ends_the_process(decoder: Path, tmp_path: Path) -> None:
    flags = ("--step-timeout-seconds=2", "--drain-seconds=3600")
    with (
        HangingProcess(decoder, tmp_path / "now", "UnetNetwork", "waiting", *flags) as server,
        connected(server.target("serving")) as raw,
        ThreadPoolExecutor(8) as threads,
        watched(raw) as health,
    ):
        assert raw.call("Decode", decode(1)).code == StatusCode.OK
        server.hang()
        # One runs, the others wait; none of them has a deadline.
        asked = [threads.submit(raw.call, "Decode", decode(seed), None) for seed in range(4)]
        for answer in asked:
            assert_told(answer.result(60))
        refused = [
            raw.call("Decode", decode()),
            raw.call("Estimate", server_pb2.EstimateRequest(decode=decode())),
        ]
        assert server.wait() == 1
        for refusal in refused:
            # Or the port was closed already.
            assert refusal.code == StatusCode.UNAVAILABLE
            assert refusal.reason in ("DEVICE_HUNG", "")
    assert {name: statuses[-1] for name, statuses in health.items()} == dict.fromkeys(NAMES, NOT_SERVING)
    (told,) = server.stuck()
    assert (told["network"], told["rows"], told["level"]) == ("decoder", 2, "critical")
    assert "(8, 8)" in told["batch_key"]
    assert told["seconds"] > 2
    assert "hanging.py" in told["stack"], "where the engine's thread is"


def test_a_queue_that_never_ends_is_a_hang(decoder: Path, tmp_path: Path) -> None:
    """The network's call has returned, as CUDA's calls do; what it launched never ends."""
    with (
        HangingProcess(decoder, tmp_path / "now", "queue", "waiting", "--step-timeout-seconds=1") as server,
        connected(server.target("serving")) as raw,
    ):
        assert raw.call("Decode", decode(1)).code == StatusCode.OK
        server.hang()
        assert_told(raw.call("Decode", decode(2), timeout=None))
        assert server.wait() == 1
    (told,) = server.stuck()
    assert told["network"] == "decoder"
    assert "self.device.wait" in told["stack"]


@pytest.mark.parametrize("network", ["TextEncoderNetwork", "PriorNetwork", "MovqDecoderNetwork"])
def test_every_network_is_watched(tiny_model: Path, tmp_path: Path, network: str) -> None:
    model = only(tmp_path / "model", tiny_model, "prior", "decoder")
    with (
        HangingProcess(model, tmp_path / "now", network, "waiting", "--step-timeout-seconds=1") as server,
        connected(server.target("serving")) as raw,
    ):
        server.hang()
        assert_told(raw.call("Generate", good_requests()["Generate"], timeout=None))
        assert server.wait() == 1


def test_the_depth_model_is_watched_too(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "model", tiny_model, "controlnet")
    flags = ("--step-timeout-seconds=1", f"--depth-model={tiny_model / 'depth'}")
    request = image_pb2.ControlNetRequest(
        embeddings=[pair()], depth_from=pb.InputImage(data=picture()), sampling=sampling()
    )
    with (
        HangingProcess(model, tmp_path / "now", "DepthEstimator", "waiting", *flags) as server,
        connected(server.target("serving")) as raw,
    ):
        server.hang()
        with ThreadPoolExecutor(6) as threads:
            for answer in threads.map(lambda _: raw.call("ControlNet", request, None), range(6)):
                assert_told(answer)
        assert server.wait() == 1


def test_a_depth_model_that_cannot_be_loaded_in_time_ends_the_start(
    decoder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "now").touch()
    flags = (f"--load-timeout-seconds={LOAD_SECONDS}", f"--depth-model={tiny_model / 'depth'}")
    with HangingProcess(decoder, tmp_path / "now", "load_depth", "waiting", *flags) as server:
        assert server.wait() == 1
    assert any("loading depth" in line for line in server.errors)


def test_a_network_that_cannot_be_prepared_in_time_ends_the_start(decoder: Path, tmp_path: Path) -> None:
    flags = (f"--load-timeout-seconds={LOAD_SECONDS}",)
    (tmp_path / "now").touch()
    with (
        HangingProcess(decoder, tmp_path / "now", "UnetNetwork", "waiting", *flags) as server,
        connected(server.target("listening")) as raw,
        watched(raw) as health,
    ):
        assert raw.call("Decode", decode()).reason in ("STARTING", "DEVICE_HUNG")
        assert server.wait() == 1
    assert {statuses[-1] for statuses in health.values()} == {NOT_SERVING}
    (told,) = server.stuck()
    assert "preparing decoder for eager" in told["event"]
    assert not [line for line in server.output if line.startswith("serving")]


def test_a_call_that_holds_the_global_lock_ends_the_process_too(decoder: Path, tmp_path: Path) -> None:
    """No Python runs then, of any thread: neither health nor signals are answered."""
    flags = ("--step-timeout-seconds=1",)
    with (
        HangingProcess(decoder, tmp_path / "now", "UnetNetwork", "holding", *flags) as server,
        connected(server.target("serving")) as raw,
    ):
        server.hang()
        answer = raw.call("Decode", decode(), timeout=None)
        assert answer.code == StatusCode.UNAVAILABLE
        assert server.wait() == 1
    assert [line for line in server.errors if "hanging.py" in line], "the stacks of all threads"


@pytest.mark.parametrize("signals", [1, 2])
def test_signals_end_a_server_that_hangs(decoder: Path, tmp_path: Path, signals: int) -> None:
    """Long before the watchdog would; at once by the second one."""
    drain = "--drain-seconds=1" if signals == 1 else "--drain-seconds=3600"
    with (
        HangingProcess(decoder, tmp_path / "now", "UnetNetwork", "waiting", drain) as server,
        connected(server.target("serving")) as raw,
        ThreadPoolExecutor(1) as threads,
    ):
        server.hang()
        asked = threads.submit(raw.call, "Decode", decode(), None)
        eventually(lambda: "hangs" not in server.output and _busy(raw))
        for _ in range(signals):
            server.terminate()
            eventually(lambda: _draining(raw))
        answer = asked.result(60)
        assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
        assert server.wait() == 0


def _busy(raw: Raw) -> bool:
    """Whether the one who asked is in the engine: an estimate waits for the step that hangs."""
    estimate = raw.call("Estimate", server_pb2.EstimateRequest(decode=decode())).events[0]
    return bool(estimate.queue_wait.ToMilliseconds() or estimate.run_time.ToMilliseconds())


def _draining(raw: Raw) -> bool:
    try:
        return raw.serving() == "NOT_SERVING"
    except grpc.RpcError:
        return True


def test_a_process_that_was_stopped_goes_on_when_it_is_continued(decoder: Path) -> None:
    """Stopped for longer than a step may take, in the middle of one."""
    with (
        Process(decoder, "--step-timeout-seconds=3") as server,
        connected(server.target("serving")) as raw,
        ThreadPoolExecutor(1) as threads,
    ):
        running = threads.submit(raw.call, "Decode", decode(step_count=150), None)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(8)
        server.process.send_signal(signal.SIGCONT)
        assert running.result(120).code == StatusCode.OK
        server.terminate()
        assert server.wait() == 0
