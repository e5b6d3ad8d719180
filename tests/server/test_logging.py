"""What a request leaves in the log of a real process."""

import json
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky

from tests.server.process import Process

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("flags", [(), ("--log-prompts",)])
def test_prompts_are_logged_only_when_asked_for(tiny_model: Path, flags: tuple[str, ...]) -> None:
    prior = tiny_model / "prior"
    with Process(tiny_model, "--model=null", f"--prior={prior}", "--log-format=json", *flags) as server:
        with Kandinsky(server.target("serving"), timeout=60) as client:
            client.prior("a secret wish", step_count=2)
        server.terminate()
        assert server.wait() == 0
    lines = [json.loads(line) for line in server.errors if '"event": "request"' in line]
    assert [line["rpc"] for line in lines] == ["Prior"]
    assert lines[0].pop("prompts", None) == (["a secret wish"] if flags else None)
    assert lines[0]["request_id"]
    assert "trace_id" not in lines[0], "nothing is traced"
    assert "secret" not in json.dumps(lines)
