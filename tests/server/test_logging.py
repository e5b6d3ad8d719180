"""What a request, a start and an end leave in the log of a real process."""

import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky

from tests.support import pki
from tests.support.process import Process
from tests.support.raw import picture
from tests.support.wire import PREFACE

pytestmark = pytest.mark.slow

TEXTS = ("prompts", "negative_prompt", "negative_prior_prompt")


@pytest.mark.parametrize("flags", [(), ("--log-prompts",)])
def test_prompts_are_logged_only_when_asked_for(tiny_model: Path, flags: tuple[str, ...]) -> None:
    prior = tiny_model / "prior"
    with Process(tiny_model, "--model=null", f"--prior={prior}", "--log-format=json", *flags) as server:
        with Kandinsky(server.target("serving"), timeout=60) as client:
            client.prior("a secret wish", negative_prompt="a secret fear", step_count=2)
            client.interpolate(
                ["a secret plan", picture()],
                [0.5, 0.5],
                negative_prior_prompt="a secret doubt",
                negative_prompt="a secret grudge",
                step_count=2,
            )
        server.terminate()
        assert server.wait() == 0
    lines = [json.loads(line) for line in server.errors if '"event": "request"' in line]
    assert [line["rpc"] for line in lines] == ["Prior", "Interpolate"]
    found = [{name: line.pop(name) for name in TEXTS if name in line} for line in lines]
    prior_texts = {"prompts": ["a secret wish"], "negative_prompt": "a secret fear"}
    interpolate_texts = {
        "prompts": ["a secret plan"],
        "negative_prompt": "a secret grudge",
        "negative_prior_prompt": "a secret doubt",
    }
    assert found == ([prior_texts, interpolate_texts] if flags else [{}, {}])
    assert lines[0]["request_id"]
    assert "trace_id" not in lines[0], "nothing is traced"
    assert "secret" not in json.dumps(lines)


def greetings(target: str) -> None:
    """What strangers send instead of a handshake."""
    host, _, port = target.rpartition(":")
    alert, hello = b"\x15\x03\x03\x00\x02\x02\x50", b"\x16\x03\x01\x00\x05hello"
    for data in (b"GET / HTTP/1.1\r\n\r\n", hello, alert, bytes(100), PREFACE + b"\xff" * 200, b""):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass


@pytest.mark.parametrize("encrypted", [False, True])
def test_every_line_of_the_log_is_an_event_whatever_strangers_send(
    tiny_model: Path, tmp_path: Path, encrypted: bool
) -> None:
    flags = ["--model=null", f"--prior={tiny_model / 'prior'}", "--log-format=json"]
    if encrypted:
        pair = pki.issue(pki.authority(tmp_path), tmp_path, "server")
        flags += [f"--tls-certificate={pair.certificate}", f"--tls-key={pair.key}"]
    with Process(tiny_model, *flags) as server:
        greetings(server.target("serving"))
        server.terminate()
        assert server.wait() == 0
    events = [json.loads(line) for line in server.errors]
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)
    course = {event["event"]: event for event in events}
    words = ("listening", "serving", "signal", "draining", "stopped")
    assert [name for name in course if name in words] == list(words)
    assert course["serving"]["address"] == server.output[0].removeprefix("listening on ")
    assert course["signal"]["signal"] == "SIGTERM"
    assert course["draining"]["running"] == 0
