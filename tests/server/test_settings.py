"""Settings: flag > environment > TOML file > default, and everything that is wrong is told at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest
from kandinsky_server.cli import main
from kandinsky_server.settings import Settings, load_settings
from kandinsky_server.startup.preflight import Preflight
from pydantic import ValidationError


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


@pytest.mark.parametrize("backend", ["auto", "graphs", "compiled"])
def test_what_cannot_move_is_refused_with_offload(capsys: pytest.CaptureFixture[str], backend: str) -> None:
    told = refused(capsys, "--device", "cuda", "--offload", "model", "--backend", backend)
    assert "needs backend=eager or xformers: compiled networks and CUDA graphs do not move" in told


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

        assert f"[KANDINSKY_{name.upper()}]" in text


Given = Callable[[str, str], Settings]


@pytest.fixture(params=["flag", "variable", "file"])
def given(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Settings with one value, spelt alike wherever it is given."""

    def given_(name: str, text: str) -> Settings:
        if request.param == "flag":
            return load_settings([f"--{name.replace('_', '-')}", text])
        if request.param == "variable":
            monkeypatch.setenv(f"KANDINSKY_{name.upper()}", text)
            return load_settings([])
        file = tmp_path / "server.toml"
        file.write_text(f'{name} = "{text}"\n')
        return load_settings(["--config", str(file)])

    return given_


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if NoneType in get_args(field.annotation)]
)
def test_null_turns_off(given: Given, name: str) -> None:
    if name != "config":
        assert getattr(given(name, "null"), name) is None


@pytest.mark.parametrize("text", ["1,2,4", "[1, 2, 4]", "1, 2, 4"])
def test_a_list_is_spelt_alike_everywhere(given: Given, text: str) -> None:
    assert given("buckets", text).buckets == (1, 2, 4)


def test_a_list_can_be_toml_as_well(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("buckets = [1, 2, 4]\n")
    assert load_settings(["--config", str(file)]).buckets == (1, 2, 4)


def test_home_is_spelt_alike_everywhere(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tokens.toml").write_text('[web]\ntoken = "0123456789abcdef"\n')
    assert given("tokens_file", "~/tokens.toml").tokens_file == tmp_path / "tokens.toml"


NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if "int" in str(field.annotation) and "port" not in name
]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_no_library_takes_are_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    declared = next(base.__annotations__[name] for base in Settings.__mro__ if name in base.__annotations__)
    counted_here = declared == "Amount"
    for number in (2**53 + 1 if counted_here else 2**31, 2**64, -1):
        told = refused(capsys, f"--{name.replace('_', '-')}={number}")
        assert told.startswith(f"kandinsky serve: {name}")
        assert str(number) in told


@pytest.mark.parametrize("name", ["drain_seconds", "handshake_seconds", "idle_seconds"])
@pytest.mark.parametrize("text", ["inf", "1e300", "nan", "-1"])
def test_times_that_no_clock_takes_are_refused(
    capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    assert f"{name}: " in refused(capsys, f"--{name.replace('_', '-')}={text}")


def test_the_value_and_where_it_came_from_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('max_images = 0\ntokens_file = "tokens.toml"\n')
    monkeypatch.setenv("KANDINSKY_DTYPE", "fp8")
    lines = refused(capsys, f"--config={file}", "--queue-size=-1", "--host", "0.0.0.0").splitlines()
    told = {line.split(": ")[1]: line for line in lines}
    assert "'fp8' from KANDINSKY_DTYPE)" in told["dtype"]
    assert "'-1' from --queue-size)" in told["queue_size"]
    assert f"0 from {file})" in told["max_images"]
    assert f"{str(tmp_path / 'tokens.toml')!r} from {file})" in told["tokens_file"]
    assert "'0.0.0.0' from --host)" in told["host"]


def test_a_default_has_no_origin(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("")
    told = refused(capsys, "--tls-certificate", str(tmp_path / "own.pem"))
    assert "kandinsky serve: tls_key: tls_certificate and tls_key need each other" in told


def test_a_misspelt_name_is_refused_wherever_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("queue-size = 7\n")
    monkeypatch.setenv("KANDINSKY_QUEUE_SIZ", "7")
    told = refused(capsys, f"--config={file}")
    assert f"queue-size: there is no such setting, but {file} has it; did you mean queue_size?" in told
    assert "KANDINSKY_QUEUE_SIZ: there is no such setting, " in told
    assert "did you mean KANDINSKY_QUEUE_SIZE?" in told
    assert "--queue-sise 7; did you mean --queue-size?" in refused(capsys, "--queue-sise", "7")


def test_others_variables_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients', and what Kubernetes sets for Services whose names begin alike."""
    for name in (
        "KANDINSKY_TARGET",
        "KANDINSKY_CLIENT_TOKEN",
        "KANDINSKY_SERVICE_HOST",
        "KANDINSKY_SERVICE_PORT",
        "KANDINSKY_SERVICE_PORT_GRPC",
        "KANDINSKY_PORT_50051_TCP",
        "KANDINSKY_PORT_50051_TCP_ADDR",
        "KANDINSKY_GRPC_PORT",
        "KANDINSKY_GRPC_SERVICE_HOST",
        "KANDINSKY_WEB_PORT_443_TCP_PROTO",
    ):
        monkeypatch.setenv(name, "tcp://10.0.0.1:50051")
    assert load_settings([]).model_dump() == Settings().model_dump()


@pytest.mark.parametrize("name", ["PORT", "METRICS_PORT"])
def test_a_service_called_kandinsky_is_told_with_the_way_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"KANDINSKY_{name}", "tcp://10.0.0.1:50051")
    told = refused(capsys)
    assert f"'tcp://10.0.0.1:50051' from KANDINSKY_{name}" in told
    assert "enableServiceLinks: false" in told
    flag = f"--{name.lower().replace('_', '-')}"
    assert flag in told
    assert getattr(load_settings([flag, "7"]), name.lower()) == 7  # its advice works


def test_an_empty_variable_is_unset_where_that_lets_nobody_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ones = {"TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA", "TOKENS_FILE", "REFLECTION"}
    for name in Settings.model_fields:
        monkeypatch.setenv(f"KANDINSKY_{name.upper()}", "")
    lines = refused(capsys).splitlines()
    assert {line.split("'' from ")[1].split(")")[0] for line in lines} == {
        f"KANDINSKY_{name}" for name in open_ones
    }
    with pytest.raises(ValueError, match="tokens_file"):
        Settings()
    for name in open_ones:
        monkeypatch.delenv(f"KANDINSKY_{name}")
    assert load_settings([]).model_dump() == Settings().model_dump()


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "tokens.toml").write_text('[web]\ntoken = "0123456789abcdef"\n')
    (tmp_path / "etc" / "decoder").mkdir()
    file = tmp_path / "etc" / "server.toml"
    file.write_text(
        'tokens_file = "tokens.toml"\nbackend_cache_dir = "../cache"\nmodel = "kandinsky-2.2"\n'
        'decoder = "decoder"\nprior = "./prior"\ninpaint = "org/inpaint"\n'
    )
    monkeypatch.chdir(tmp_path)
    for config in (file, Path("etc/server.toml")):
        settings = load_settings(["--config", str(config)])
        assert settings.tokens_file == config.parent / "tokens.toml"
        assert settings.backend_cache_dir == config.parent / "../cache"
        assert settings.model == "kandinsky-2.2"
        assert settings.decoder == str(config.parent / "decoder")
        assert settings.prior == str(config.parent / "prior")
        assert settings.inpaint == "org/inpaint"  # on the hub
    assert load_settings([f"--config={file}", "--decoder", "mine"]).decoder == "mine"


@pytest.mark.parametrize("content", [b"port = \xff", b"port = ", b"[[", b"a = 1\na = 2"])
def test_a_file_that_cannot_be_read_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "server.toml"
    file.write_bytes(content)
    assert f"config: {str(file)!r} cannot be read: " in refused(capsys, "--config", str(file))


def test_without_a_home_nothing_is_kept_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers whose user is a number that no passwd has."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    assert load_settings([]).backend_cache_dir is None
    told = refused(capsys, "--backend-cache-dir", "~/cache", "--tokens-file", "~/tokens.toml")
    assert told.count("this user has no home directory: give a path without ~") == 2
    preflight = Preflight(load_settings(["--device=cpu", "--model=~/model", "--port=0", "--metrics-port=0"]))
    preflight.run()
    assert preflight.problems == ["model: '~/model': this user has no home directory; give a path without ~"]
    assert "not kept" in dict(preflight.findings)["cache"]


def test_without_temporary_files_the_way_out_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(SystemExit) as ended:
        main(load_settings(["--check"]))
    assert ended.value.code == 2
    assert "no directory for them can be written; mount one at /tmp" in capsys.readouterr().err


def test_texts_that_no_receipt_could_repeat_are_refused() -> None:
    """No message exceeds 2 MiB, and a result of Interpolate has all texts, and what was cut off them."""
    assert Settings(max_prompts=16, max_prompt_length=13_333).max_prompt_length == 13_333
    with pytest.raises(ValidationError, match="at most 13333"):
        Settings(max_prompts=16, max_prompt_length=13_334)


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
