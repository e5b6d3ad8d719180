"""Settings: flag > environment > TOML file > default, and everything that is wrong is told at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kandinsky_server.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("KANDINSKY_"):
            monkeypatch.delenv(name)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed when the settings are refused."""
    with pytest.raises(SystemExit) as ending:
        load_settings(arguments)
    assert ending.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err


def test_defaults_hold_when_nothing_is_said() -> None:
    assert load_settings([]).model_dump() == Settings().model_dump()


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('queue_size = 1\nmax_steps = 2\nmax_images = 3\nhost = "127.0.0.2"\n')
    monkeypatch.setenv("KANDINSKY_QUEUE_SIZE", "10")
    monkeypatch.setenv("KANDINSKY_MAX_STEPS", "20")
    settings = load_settings([f"--config={file}", "--queue-size", "100"])
    assert (settings.queue_size, settings.max_steps, settings.max_images) == (100, 20, 3)
    assert settings.host == "127.0.0.2"
    assert settings.max_prompts == Settings().max_prompts


def test_the_file_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.toml"
    file.write_text("port = 1234\n")
    monkeypatch.setenv("KANDINSKY_CONFIG", str(file))
    assert load_settings([]).port == 1234


def test_every_bad_setting_is_named_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('max_images = 0\nsurprise = "x"\n')
    monkeypatch.setenv("KANDINSKY_DTYPE", "fp8")
    printed = refused(capsys, f"--config={file}", "--port=70000", "--queue-size=-1", "--drain-seconds=soon")
    lines = printed.splitlines()
    assert all(line.startswith("kandinsky serve: ") for line in lines)
    named = {line.split(": ")[1] for line in lines}
    assert named == {"port", "queue_size", "drain_seconds", "dtype", "max_images", "surprise"}


def test_an_unknown_flag_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--prot" in refused(capsys, "--prot", "1")
    assert "stray" in refused(capsys, "stray")


def test_a_flag_is_not_guessed_from_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--queue" in refused(capsys, "--queue", "7")


@pytest.mark.parametrize("text", ["port = ", "[[", "port = 'x'"])
def test_a_file_that_is_no_good_toml_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    assert refused(capsys, "--config", str(file)).startswith("kandinsky serve: ")


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.toml" in refused(capsys, "--config", "nowhere.toml")


def test_help_lists_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        load_settings(["--help"])
    assert ending.value.code == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert field.description
        assert field.description[:20] in text


def test_metrics_can_be_turned_off() -> None:
    assert load_settings(["--metrics-port", "null"]).metrics_port is None


def test_metrics_stay_on_this_machine_whoever_else_may_call() -> None:
    settings = load_settings(["--host", "0.0.0.0", "--insecure"])
    assert settings.metrics_host == "127.0.0.1"
    assert load_settings(["--metrics-host", "0.0.0.0"]).metrics_host == "0.0.0.0"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings([]).port = 1  # type: ignore[misc]


@pytest.mark.slow
def test_bad_settings_end_the_process_before_anything_heavy_is_imported() -> None:
    script = (
        "import sys\n"
        "from kandinsky_server.cli import app\n"
        "try:\n"
        "    app(['--port=x', '--queue-size=0'])\n"
        "finally:\n"
        "    assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "port" in ended.stderr
    assert "queue_size" in ended.stderr


def test_what_libraries_read_at_their_import_is_set_before_the_command_line_imports_them() -> None:
    """Above all gRPC, which would stop at every fork while the port is open."""
    script = (
        "import os, sys\n"
        "names = ('GRPC_ENABLE_FORK_SUPPORT', 'GOMP_SPINCOUNT')\n"
        "def tell(event, about):\n"
        "    if event == 'import' and about[0] == 'grpc':\n"
        "        print(*map(os.environ.get, names))\n"
        "sys.addaudithook(tell)\n"
        "from kandinsky_client.cli import main\n"
        "main(['serve', '--port=x'])\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("GRPC_", "GOMP_"))
    }
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert "port" in ended.stderr
    assert ended.stdout.splitlines()[:1] == ["0 10000"]
