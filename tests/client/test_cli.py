"""The command `kandinsky`, from arguments to files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import grpc
import PIL.Image
import pytest
import typer
from kandinsky_api.v1 import types_pb2
from kandinsky_client import Receipt, load_embeddings
from kandinsky_client.cli import plugins
from PIL.PngImagePlugin import PngImageFile

from tests.client.conftest import Run
from tests.client.fake_server import Failure, FakeServer


def test_prior_then_decode(run: Run, server: FakeServer) -> None:
    assert "wrote cat.safetensors\n" in run("prior", "a red circle", "-o", "cat.safetensors", "--seed", "5")
    said = run("decode", "cat.safetensors", "-n", "4", "-o", "out/")
    files = [f"out/cat-{index}.png" for index in range(4)]
    drawn = server.requests[-1].sampling.seed
    assert said.splitlines() == [*(f"wrote {file}" for file in files), f"seed {drawn}"]
    with PIL.Image.open(files[3]) as image:
        assert isinstance(image, PngImageFile)
        assert Receipt.from_json(image.text["kandinsky"]).seed == drawn + 3


def test_what_is_replaced_is_said(run: Run) -> None:
    assert run("generate", "a cat").splitlines()[0] == "wrote generate.png"
    assert run("generate", "a cat").splitlines()[0] == "wrote generate.png (replaced the file that was there)"


def test_the_suffix_chooses_the_format(run: Run, server: FakeServer) -> None:
    run("generate", "a cat", "-o", "new/a.webp", "--quality", "50")
    with PIL.Image.open("new/a.webp") as image:
        assert image.format == "WEBP"
    run("generate", "a cat", "--format", "jpeg", "-o", "b")
    assert Path("b/generate.jpg").exists()
    assert server.requests[-1].output == types_pb2.OutputOptions(format=types_pb2.IMAGE_FORMAT_JPEG)
    assert "contradicts" in run("generate", "a cat", "-o", "a.png", "--format", "jpeg", code=2)
    assert "images end in" in run("generate", "a cat", "-o", "a.gif", code=2)


def test_json_is_all_that_stdout_has(run: Run, server: FakeServer) -> None:
    said = json.loads(run("prior", "a", "b", "--json"))
    assert [result["path"] for result in said["results"]] == ["prior.safetensors"] * 2
    assert said["seed"] == server.requests[-1].sampling.seed
    said = json.loads(run("decode", "prior.safetensors", "--json", "--step-count", "7"))
    assert [Path(result["path"]).exists() for result in said["results"]] == [True, True]
    assert [result["seed"] for result in said["results"]] == [said["seed"], said["seed"] + 1]
    assert said["results"][1]["receipt"]["rpc"] == "Fake"
    assert json.loads(run("info", "--json"))["device"] == "cpu"


def test_health_is_a_word_and_an_exit_code(run: Run, server: FakeServer) -> None:
    assert run("health") == "serving\n"
    assert run("health", "kandinsky_api.v1.ImageService", code=1) == ""
    assert "NOT_FOUND" in run("health", "nonsense", code=1)
    server.stop()
    assert "Start one with" in run("health", "--timeout", "2", code=1)


def test_every_call_sends_its_own_options(run: Run, server: FakeServer) -> None:
    run("prior", "a cat", "-o", "cat.safetensors")
    PIL.Image.new("RGB", (4, 4)).save("photo.png")
    run("img2img", "cat.safetensors", "--image", "photo.png", "--strength", "0.5", "--width-px", "32")
    assert server.requests[-1].strength == 0.5
    assert server.requests[-1].sampling.width_px == 32
    run("inpaint", "cat.safetensors", "--image", "photo.png", "--mask", "photo.png", "--paste-original")
    assert server.requests[-1].paste_original
    run("controlnet", "cat.safetensors", "--hint", "photo.png")
    assert server.requests[-1].WhichOneof("hint_source") == "hint"
    assert "one of --hint" in run("controlnet", "cat.safetensors", code=2)
    run("interpolate", "a cat", "photo.png", "cat.safetensors", "-w", "0.2,0.3,0.5", "-w", "1,0,0")
    kinds = [condition.WhichOneof("kind") for condition in server.requests[-1].conditions]
    assert kinds == ["text", "image", "embedding"]
    assert len(load_embeddings("interpolate.safetensors")) == 2
    run("generate", "a cat", "--prior-steps", "3", "--guidance-scale", "0", "--priority", "high")
    assert server.requests[-1].prior_sampling.step_count == 3
    assert server.requests[-1].sampling.guidance_scale == 0
    assert server.requests[-1].options.priority == types_pb2.PRIORITY_HIGH


def test_estimate_asks_and_writes_nothing(run: Run, server: FakeServer, tmp_path: Path) -> None:
    assert "run_seconds: 2.0" in run("estimate", "generate", "a cat", "-n", "4")
    assert server.requests[-1].generate.sampling.image_count == 4
    assert json.loads(run("estimate", "prior", "a cat", "--json"))["step_count"] == 50
    assert not list(tmp_path.iterdir())


def test_info_shows_the_stages(run: Run) -> None:
    said = run("info")
    assert "model toy on cpu" in said
    assert "not loaded" in said


def test_failures_are_one_sentence_and_exit_1(run: Run, server: FakeServer, tmp_path: Path) -> None:
    server.failures.append(Failure(grpc.StatusCode.FAILED_PRECONDITION, "STAGE_NOT_LOADED", "no prior here"))
    said = run("prior", "a cat", code=1)
    assert said == "kandinsky: FAILED_PRECONDITION (STAGE_NOT_LOADED): no prior here | request request-1\n"
    assert run("decode", "missing.safetensors", code=1).startswith("kandinsky: missing.safetensors: No such")
    (tmp_path / "text.safetensors").write_text("text")
    assert "text.safetensors is no file of embeddings" in run("decode", "text.safetensors", code=1)
    assert "kandinsky serve" in run("--target", "localhost:1", "--timeout", "1", "info", code=1)
    server.failures.append(Failure(grpc.StatusCode.UNAUTHENTICATED, message="no token"))
    assert "--token-file" in run("info", code=1)


def test_the_token_comes_from_its_file(run: Run, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    run("--token-file", "token", "info")
    assert server.metadata[-1]["authorization"] == "Bearer secret"


def test_bars_are_drawn_on_a_terminal_only(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("generate", "a cat")
    assert server.requests[-1].options.HasField("progress_interval_steps")
    monkeypatch.setenv("FORCE_COLOR", "1")
    run("generate", "a cat")
    assert not server.requests[-1].options.HasField("progress_interval_steps")


def test_help_loads_neither_grpc_nor_plugins() -> None:
    code = (
        "import sys; from kandinsky_client.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'grpc', 'numpy', 'torch', 'kandinsky_server'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "set()"
    assert "serve" in said


def serve(port: int = 1, command_only: bool = False) -> None:
    typer.echo(f"serving on {port}")


app = typer.Typer()
app.command("check")(serve)
app.command("list")(serve)


def needs_more() -> None:
    import torch_of_the_extra  # type: ignore[import-not-found]  # noqa: F401


def broken() -> None:
    import kandinsky_server.of_another_name  # type: ignore[import-not-found]  # noqa: F401


class FoundPoint(EntryPoint):
    """An entry point as an installed distribution has it."""

    dist = type("Found", (), {"name": "kandinsky-server"})()


@pytest.fixture
def run_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    found = [
        FoundPoint(name, f"{__name__}:{attribute}", plugins.GROUP)
        for name, attribute in [
            ("serve", "serve"),
            ("backends", "app"),
            ("more", "needs_more"),
            ("broken", "broken"),
            ("absent", "nothing"),
        ]
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    cli = typer.Typer()
    plugins.add_plugins(cli)
    return cli


def test_plugins_get_their_own_arguments(
    run_plugin: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, expected in [
        (["serve", "--port", "7"], "serving on 7"),
        (["backends", "check", "--port", "8", "--command-only"], "serving on 8"),
        (["serve", "--help"], "--command-only"),
    ]:
        with pytest.raises(SystemExit) as ended:
            run_plugin(args=arguments)
        assert not ended.value.code
        assert expected in capsys.readouterr().out


def test_a_plugin_that_fails_says_why(run_plugin: Callable[..., Any]) -> None:
    with pytest.raises(plugins.NotInstalledError, match=r"torch_of_the_extra: pip install kandinsky-server"):
        run_plugin(args=["more"])
    with pytest.raises(ModuleNotFoundError, match="of_another_name"):
        run_plugin(args=["broken"])
    with pytest.raises(AttributeError, match="nothing"):
        run_plugin(args=["absent"])


def test_without_the_server_its_commands_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    cli = typer.Typer()
    plugins.add_plugins(cli)
    for arguments in (["serve", "--port", "7"], ["backends", "--help"]):
        with pytest.raises(
            plugins.NotInstalledError, match="comes with the server: pip install kandinsky-server"
        ):
            cli(args=arguments)
