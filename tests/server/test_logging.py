"""What a request leaves in the log."""

import json
from pathlib import Path

import pytest

from tests.harness import RunningServer


@pytest.mark.parametrize("log_prompts", [False, True])
def test_prompts_are_logged_only_when_asked_for(
    tiny_model: Path, capfd: pytest.CaptureFixture[str], log_prompts: bool
) -> None:
    from kandinsky_server import logs

    with RunningServer(prior=str(tiny_model / "prior"), log_prompts=log_prompts, log_format="json") as server:
        logs.configure(server.settings)
        with server.client() as client:
            client.prior("a secret wish", step_count=2)
        server.run(server.app.drain())
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"event": "request"' in line]
    assert [line["rpc"] for line in lines] == ["Prior"]
    assert lines[0].get("prompts") == (["a secret wish"] if log_prompts else None)
    assert lines[0]["request_id"]
    assert "secret" not in json.dumps({**lines[0], "prompts": None})
