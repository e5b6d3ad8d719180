"""`kandinsky download` against a hub of this machine, and what it fetched is served."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from pathlib import Path
from threading import Thread

import pytest
from kandinsky_server.testing.running import RunningServer

pytestmark = pytest.mark.slow  # programs of their own, which load torch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's API that a download needs: each stage of a model is the repository `tiny/STAGE`.

    Paths: /api/models/ID/revision/REVISION, /api/models/ID/tree/COMMIT, /ID/resolve/COMMIT/FILE.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, model: Path, seen: list[str], *arguments: object) -> None:
        self._model, self._seen = model, seen
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._seen.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0].removeprefix("/api/models").strip("/").split("/")
        owner, name, what, revision, *file = path
        folder = self._model / name
        if owner != "tiny" or not folder.is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "v1", COMMIT):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif what == "revision":
            self._answer(200, dumps({"id": f"tiny/{name}", "sha": COMMIT, "siblings": []}).encode(), {})
        elif what == "tree":
            self._answer(200, dumps([_entry(folder, each) for each in _files(folder)]).encode(), {})
        else:
            content = folder.joinpath(*file).read_bytes()
            etag = hashlib.sha1(content).hexdigest()
            self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in sorted(folder.rglob("*")) if each.is_file())


def _entry(folder: Path, file: Path) -> dict[str, object]:
    digest = hashlib.sha1(file.read_bytes()).hexdigest()
    return {
        "type": "file",
        "path": str(file.relative_to(folder)),
        "size": file.stat().st_size,
        "oid": digest,
    }


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what was asked of it."""
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, tiny_model, seen))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def run(endpoint: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("kandinsky")), "download", *arguments]
    variables = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, timeout=120)


def test_what_is_fetched_is_served(hub: tuple[str, list[str]], tiny_model: Path, tmp_path: Path) -> None:
    endpoint, seen = hub
    target = tmp_path / "models"
    arguments = (str(target), "--stage", "prior=tiny/prior", "--stage", f"decoder=tiny/decoder@{COMMIT}")
    done = run(endpoint, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert f"now: kandinsky serve --model {target}" in done.stdout
    assert {each.name for each in target.iterdir()} == {"prior", "decoder"}
    with RunningServer(target) as copy, RunningServer(tiny_model) as original:
        fetched, whole = fingerprints(copy), fingerprints(original)
    assert fetched.keys() == {"prior", "decoder"}
    assert fetched.items() <= whole.items()
    # Again: everything is there.
    seen.clear()
    assert run(endpoint, tmp_path, *arguments).returncode == 0
    assert not [each for each in seen if each.startswith("GET") and "/resolve/" in each]


def fingerprints(server: RunningServer) -> dict[str, str]:
    """Of the stages that are loaded, by name."""
    with server.client() as client:
        return {stage.name: stage.fingerprint for stage in client.info().stages if stage.loaded}


def test_a_server_fetches_a_revision_by_itself(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, seen = hub
    variables = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    code = (
        "from kandinsky_server.checkpoints.source import local_directory\n"
        "print(local_directory('tiny/decoder@v1'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | variables, timeout=60
    )
    assert COMMIT in done.stdout, done.stderr
    assert any("/revision/v1" in each for each in seen)


WRONG = {
    "no repository": (["--stage", "prior=nobody/nothing"], 1, "the hub has no repository 'nobody/nothing'"),
    "no revision": (["--stage", "prior=tiny/prior@v9"], 1, "'tiny/prior' has no revision 'v9'"),
    "no id": (["--stage", "prior=tiny"], 1, "is no hub id"),
    "no stage": (["--stage", "priors=tiny/prior"], 2, "there is no stage 'priors'"),
    "no source": (["--stage", "depth"], 2, "say depth=owner/name"),
    "no preset": (["--model", "kandinsky-9"], 2, "there is no preset 'kandinsky-9'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_fetched_is_said(what: str, hub: tuple[str, list[str]], tmp_path: Path) -> None:
    arguments, code, words = WRONG[what]
    done = run(hub[0], tmp_path, str(tmp_path / "models"), *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_out_of_reach_is_said(tmp_path: Path) -> None:
    done = run("http://127.0.0.1:9", tmp_path, str(tmp_path / "models"), "--stage", "prior=tiny/prior")
    assert done.returncode == 1
    assert "the hub could not be reached" in done.stderr
