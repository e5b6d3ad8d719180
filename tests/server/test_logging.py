"""What a request leaves in the log of a real process."""

import json
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky

from tests.server.process import Process
from tests.server.raw import picture

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
