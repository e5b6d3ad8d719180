"""A device that can do nothing more: everybody is told to go elsewhere, and the process ends."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import server_pb2

from tests.attacks.broken import NAMES, NOT_SERVING, HangingProcess, watched
from tests.support.raw import connected
from tests.support.requests import decode

pytestmark = pytest.mark.slow

DRAIN = "--drain-seconds=3600"


@pytest.mark.parametrize("where", ["UnetNetwork", "MovqDecoderNetwork", "queue"])
def test_a_lost_device_is_told_to_everyone_and_ends_the_process(
    decoder: Path, tmp_path: Path, where: str
) -> None:
    with (
        HangingProcess(decoder, tmp_path / "now", where, "losing", DRAIN) as server,
        connected(server.target("serving")) as raw,
        ThreadPoolExecutor(8) as threads,
        watched(raw) as health,
    ):
        assert raw.call("Decode", decode(1)).code == StatusCode.OK
        server.hang()
        # The device is lost at the third step, or picture; the others wait. None of them has a deadline.
        asked = [
            threads.submit(raw.call, "Decode", decode(seed, step_count=9, image_count=4), None)
            for seed in range(4)
        ]
        answers = [answer.result(60) for answer in asked]
        refused = [
            raw.call("Decode", decode()),
            raw.call("Estimate", server_pb2.EstimateRequest(decode=decode())),
        ]
        assert server.wait() == 1
    for answer in answers:
        assert (answer.code, answer.reason) == (StatusCode.UNAVAILABLE, "DEVICE_LOST"), answer
        assert answer.retry_seconds
    for answer in refused:
        # Or the port was closed already.
        assert (answer.code, answer.reason in ("DEVICE_LOST", "")) == (StatusCode.UNAVAILABLE, True), answer
    assert {name: statuses[-1] for name, statuses in health.items()} == dict.fromkeys(NAMES, NOT_SERVING)
    log = [json.loads(line) for line in server.errors if line.startswith("{")]
    (told,) = [line for line in log if line["level"] == "critical"]
    assert "the device is lost" in told["event"]
    assert "illegal memory access" in json.dumps(told)


def test_a_device_that_is_lost_while_networks_are_measured_ends_the_start(
    decoder: Path, tmp_path: Path
) -> None:
    """It is not taken for a network that cannot have two rows."""
    (tmp_path / "now").touch()
    with HangingProcess(decoder, tmp_path / "now", "UnetNetwork", "losing") as server:
        assert server.wait() == 1
    assert not [line for line in server.output if line.startswith("serving")]
    assert "illegal memory access" in server.errors[-1]
