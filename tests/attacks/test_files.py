"""Files of secrets and settings in whose place somebody has put something else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kandinsky_client import AuthenticationError
from kandinsky_server.security.certificates import Certificates, check_authorities
from kandinsky_server.security.files import MOST_BYTES
from kandinsky_server.security.tokens import TokenFile
from kandinsky_server.settings import load_settings
from kandinsky_server.testing.running import RunningServer

from benchmarks.attacks import pki
from tests.support.patience import eventually

TOKEN, NEW = "0123456789abcdef", "fedcba9876543210"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listener(path: Path) -> None:
    # By a short name: that of a socket has some hundred bytes at most.
    before = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as created:
        created.bind(path.name)
    os.chdir(before)


def ten_gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 * 2**30)


Put = Callable[[Path], None]
THINGS = pytest.mark.parametrize("put", [fifo, directory, device, listener, ten_gigabytes])


def replace(path: Path, put: Put) -> None:
    path.unlink(missing_ok=True)
    put(path)


def tokens_of(*lines: str) -> str:
    return "\n".join(f'[client{number}]\ntoken = "{token}"' for number, token in enumerate(lines))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens.toml"


@pytest.fixture(scope="module")
def server(tiny_model: Path, tokens: Path) -> Iterator[RunningServer]:
    tokens.write_text(tokens_of(TOKEN))
    with RunningServer(prior=str(tiny_model / "prior"), metrics_port=None, tokens_file=tokens) as running:
        yield running


def opens(server: RunningServer, token: str) -> bool:
    with server.client(token=token, timeout=30) as client:
        try:
            return bool(client.info())
        except AuthenticationError:
            return False


def both(path: Path) -> None:
    path.write_text(tokens_of(TOKEN, NEW))


@THINGS
def test_what_takes_the_place_of_the_tokens_while_they_serve_is_refused_and_holds_up_nobody(
    server: RunningServer, tokens: Path, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    replace(tokens, put)
    try:
        eventually(lambda: opens(server, TOKEN) and "cannot be used" in caplog.text)
    finally:
        if put is directory:
            tokens.rmdir()
        replace(tokens, both)
    eventually(lambda: opens(server, NEW))


@THINGS
def test_at_the_start_too(tmp_path: Path, put: Put) -> None:
    file = tmp_path / "file"
    put(file)
    pair = pki.authority(tmp_path)
    for read in (
        lambda: TokenFile(file),
        Certificates(file, pair.key).check,
        Certificates(pair.certificate, file).check,
        lambda: check_authorities(file),
    ):
        with pytest.raises(ValueError, match=str(file)):
            read()


@THINGS
@pytest.mark.parametrize("flag", ["config", "tokens-file", "tls-client-ca"])
def test_the_settings_say_so(tmp_path: Path, put: Put, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    put(file)
    with pytest.raises(SystemExit) as ended:
        load_settings([f"--{flag}={file}"])
    assert ended.value.code == 2
    assert "kandinsky serve: " in capsys.readouterr().err


def test_a_file_as_large_as_allowed_is_read(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    text = tokens_of(TOKEN)
    file.write_text(text + "\n#" + "x" * (MOST_BYTES - len(text) - 2))
    assert TokenFile(file).find(TOKEN)
    with file.open("a") as stream:
        stream.write("x")
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        TokenFile(file)


@pytest.mark.parametrize("end", ["\\n", "\\r", "\\u0000", "\\u2028", "\\u001b"])
def test_names_and_tokens_are_plain_to_their_last_character(tmp_path: Path, end: str) -> None:
    file = tmp_path / "tokens.toml"
    for text in (f'["a{end}"]\ntoken = "{TOKEN}"', f'[a]\ntoken = "{TOKEN}{end}"'):
        file.write_text(text)
        with pytest.raises(ValueError, match="should match pattern") as refused:
            TokenFile(file)
        assert TOKEN not in str(refused.value)
