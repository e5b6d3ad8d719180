"""The command line as new users meet it: 80 columns, wrong input, files that are none, options anywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors.numpy
from kandinsky_api.v1 import server_pb2
from kandinsky_client.cli.connection_flags import ConnectionFlags
from kandinsky_server.settings import Settings

from tests.client.conftest import Run
from tests.client.fake_server import FakeServer

COMMANDS = ["prior", "interpolate", "decode", "img2img", "inpaint", "controlnet", "generate", "info"]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in os.environ:
        if name.startswith("KANDINSKY_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("command", [[], ["estimate"], *([name] for name in COMMANDS), ["estimate", "prior"]])
def test_help_shows_whole_names(run: Run, command: list[str]) -> None:
    said = run(*command, "--help")
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80
    for name in re.findall(r"--[a-z-]+", said):
        assert not name.endswith("-")
    if command == ["generate"]:
        for option in ("--prior-step-count, --prior-steps", "--prior-guidance-scale", "--negative-prompt"):
            assert option in said
    if command and command != ["estimate"]:
        assert "may stand here" in said


def test_the_connection_is_said_before_a_command_or_after_it(
    run: Run,
    server: FakeServer,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KANDINSKY_TARGET", "localhost:1")
    Path("token").write_text("secret\n")
    Path("other").write_text("other")
    for arguments in (
        ["--target", target, "--token-file", "token", "info"],
        ["info", "--target", target, "--token-file", "token"],
        [
            "--target",
            "localhost:2",
            "--token-file",
            "other",
            "info",
            "--target",
            target,
            "--token-file",
            "token",
        ],
        ["estimate", "--target", target, "--token-file", "token", "prior", "a"],
        ["estimate", "prior", "a", "--target", target, "--token-file", "token"],
        ["prior", "--target", target, "a", "--token-file", "token", "--timeout", "30"],
    ):
        run(*arguments)
        assert server.metadata[-1]["authorization"] == "Bearer secret"


def test_token_and_tls_have_variables(
    run: Run,
    server: FakeServer,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KANDINSKY_TARGET", target)
    monkeypatch.setenv("KANDINSKY_CLIENT_TOKEN", "of-the-variable")
    run("info")
    assert server.metadata[-1]["authorization"] == "Bearer of-the-variable"
    Path("token").write_text("of-the-file")
    run("info", "--token-file", "token")
    assert server.metadata[-1]["authorization"] == "Bearer of-the-file"
    monkeypatch.setenv("KANDINSKY_CLIENT_TOKEN", "")
    monkeypatch.setenv("KANDINSKY_CLIENT_TOKEN_FILE", "token")
    run("info")
    assert server.metadata[-1]["authorization"] == "Bearer of-the-file"
    monkeypatch.setenv("KANDINSKY_CLIENT_TLS", "1")
    assert "does not speak TLS" in run("info", code=1)
    monkeypatch.setenv("KANDINSKY_CLIENT_TLS", "0")
    monkeypatch.setenv("KANDINSKY_CLIENT_ROOT_CERTIFICATES", "nowhere.pem")
    assert "nowhere.pem" in run("info", code=1)


def test_no_variable_of_the_client_is_a_setting_of_the_server() -> None:
    names = {f"KANDINSKY_{name.upper()}" for name in Settings.model_fields}
    assert "KANDINSKY_TARGET" not in names
    assert not [name for name in names if name.startswith("KANDINSKY_CLIENT_")]
    assert ConnectionFlags().with_environment() == ConnectionFlags(tls=False)


def test_tokens_that_are_none_are_refused(run: Run) -> None:
    Path("latin").write_bytes("sécret".encode("latin-1"))
    Path("empty").write_text("\n")
    assert "latin: holds no token" in run("info", "--token-file", "latin", code=2)
    assert "empty: is empty" in run("info", "--token-file", "empty", code=2)
    assert "nowhere: No such file" in run("info", "--token-file", "nowhere", code=1)


def test_the_version_is_shown(run: Run) -> None:
    assert run("--version") == f"kandinsky {version('kandinsky-client')}\n"


def test_embeddings_go_to_their_own_kind_of_file(run: Run, server: FakeServer) -> None:
    assert "embeddings end in .safetensors" in run("prior", "a", "-o", "emb.png", code=2)
    assert "embeddings end in .safetensors" in run("interpolate", "a", "-w", "1", "-o", "emb.npy", code=2)
    assert not server.requests
    run("prior", "a", "-o", "emb.SAFETENSORS")
    run("decode", "emb.SAFETENSORS")


@pytest.mark.parametrize(
    "arguments",
    [
        ["decode", "-"],
        ["prior", "-"],
        ["generate", "a", "-"],
        ["interpolate", "a", "-", "-w", "1,1"],
        ["generate", "a", "-o", "-"],
        ["prior", "a", "-o", "-"],
        ["img2img", "a.safetensors", "--image", "-"],
        ["inpaint", "a.safetensors", "--image", "a.png", "--mask", "-"],
        ["controlnet", "a.safetensors", "--hint", "-"],
        ["controlnet", "a.safetensors", "--depth-from", "-"],
        ["prior", "a", "--image", "-"],
        ["info", "--token-file", "-"],
    ],
    ids=" ".join,
)
def test_a_dash_is_no_file(run: Run, server: FakeServer, arguments: list[str]) -> None:
    assert re.search(r"- is no (file|text)", run(*arguments, code=2))
    assert not server.requests
    assert not list(Path().iterdir())


@pytest.mark.parametrize("output", ["file/a.{}", "/proc/none/a.{}", "x" * 300 + ".{}"])
@pytest.mark.parametrize(("command", "suffix"), [("generate", "png"), ("prior", "safetensors")])
def test_what_can_not_be_written_is_refused_before_the_work(
    run: Run,
    server: FakeServer,
    output: str,
    command: str,
    suffix: str,
) -> None:
    Path("file").write_text("")
    said = run(command, "a", "-o", output.format(suffix), code=1)
    assert said.startswith("kandinsky: ")
    assert len(said.splitlines()) == 1
    assert not server.requests


def test_looking_whether_a_file_can_be_written_leaves_it_alone(run: Run) -> None:
    Path("a.png").write_text("old")
    run("generate", "a", "-o", "a.png", "--seed", str(2**63), code=1)
    assert Path("a.png").read_text() == "old"
    run("generate", "a", "-o", "new.png", "--seed", str(2**63), code=1)
    assert not Path("new.png").exists()


def test_long_texts_are_texts_and_names_of_files_are_files(run: Run, server: FakeServer) -> None:
    long = "a very long text " * 40
    run("interpolate", long, "w" * 300, "a/b", "3.5 cats", "-w", "1,1,1,1", "-o", "a.safetensors")
    assert [c.text for c in server.requests[-1].conditions] == [long, "w" * 300, "a/b", "3.5 cats"]
    for name in ("phto.png", "phto.JPG", "./phto", "../x/phto", "/x/phto", "phto.webp", "mix.safetensors"):
        said = run("interpolate", name, "a cat", "-w", "1,1", code=1)
        assert said.startswith(f"kandinsky: {name}: "), said
    assert len(server.requests) == 1


def test_json_says_which_result_is_of_which_prompt(run: Run) -> None:
    said = json.loads(run("prior", "a", "b", "-n", "2", "--json", "-o", "e.safetensors"))
    assert [result["source_index"] for result in said["results"]] == [0, 0, 1, 1]
    said = json.loads(run("generate", "a", "b", "-n", "2", "--json"))
    assert [(r["source_index"], r["path"]) for r in said["results"]] == [
        (0, "generate-0.png"),
        (0, "generate-1.png"),
        (1, "generate-2.png"),
        (1, "generate-3.png"),
    ]
    assert said["warnings"] == []
    assert json.loads(run("decode", "e.safetensors", "--json"))["results"][3]["source_index"] == 3


def test_hints_keep_their_brackets(run: Run, server: FakeServer) -> None:
    hint = "pip install 'kandinsky-server[openvino]'"
    server.backends.append(server_pb2.BackendInfo(name="openvino", reason="[red]none[/red]", hint=hint))
    shown = re.sub(r"\s+", "", run("info"))
    assert "[red]none[/red]" in shown
    assert "'kandinsky-server[openvino]'" in shown


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"positive": np.zeros((1, 8), np.int64)}, "`positive` is I64 and must be F32, F16, BF16 or F64"),
        ({"positive": np.zeros((1, 2, 8), "f4")}, r"`positive` is \[1, 2, 8\] and must be"),
        ({"positive": np.float32(1)}, r"`positive` is \[\] and must be"),
        ({"positive": np.zeros((0, 8), "f4")}, r"`positive` is \[0, 8\] and must be"),
        (
            {"positive": np.zeros((2, 8), "f4"), "negative": np.zeros((1, 8), "f4")},
            "2 rows of `positive` and 1",
        ),
        ({"other": np.zeros(8, "f4")}, "no tensor `positive`, but other"),
    ],
)
def test_files_of_something_else_are_told_in_words(
    run: Run,
    tensors: dict[str, np.ndarray],
    words: str,
) -> None:
    safetensors.numpy.save_file({name: np.asarray(value) for name, value in tensors.items()}, "a.safetensors")
    said = run("decode", "a.safetensors", code=1)
    assert re.search(words, said), said
    safetensors.numpy.save_file({"positive": np.ones((1, 8), "f8")}, "a.safetensors")
    run("decode", "a.safetensors")


def test_receipts_that_do_not_fit_are_told_in_words(run: Run) -> None:
    for receipts in ("[]x", '{"a": 1}', "[null, null, null]", "3"):
        tensors = {"positive": np.ones((1, 8), "f4")}
        safetensors.numpy.save_file(tensors, "a.safetensors", {"receipts": receipts})
        assert "is no file of embeddings: " in run("decode", "a.safetensors", code=1)


@pytest.mark.slow
def test_arguments_that_are_no_characters_are_told(target: str, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    script = "from kandinsky_client.cli import main; main()"
    for word in (b"caf\xe9", b"caf\xe9.png"):
        command = [sys.executable.encode(), b"-c", script.encode(), b"interpolate", word, b"-w", b"1"]
        environment = {**os.environ, "KANDINSKY_TARGET": target}
        ended = subprocess.run(command, env=environment, capture_output=True, cwd=tmp_path, timeout=60)
        assert ended.returncode == 1
        assert b"Traceback" not in ended.stderr
        assert ended.stderr.startswith(b"kandinsky: ")


def test_the_library_says_nothing_of_its_own(tmp_path: Path, target: str) -> None:
    """gRPC core tells every failed handshake on standard error, before our sentence."""
    command = [sys.executable, "-c", "from kandinsky_client.cli import main; main()", "info", "--tls"]
    environment = {**os.environ, "KANDINSKY_TARGET": target}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert len(ended.stderr.splitlines()) == 1
    assert "does not speak TLS" in ended.stderr
