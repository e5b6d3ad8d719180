"""Settings that would be unsafe or cannot work: refused before anything is loaded, and all at once."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from kandinsky_server.settings import Settings, load_settings
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing.running import RunningServer

from tests.server.test_reflection import V1, V1ALPHA, Reflection
from tests.support import pki, raw

TOKENS = '[web]\ntoken = "0123456789abcdef"\n[batch]\ntoken = "fedcba9876543210"\n'

Refused = Callable[..., list[str]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The complaints that arguments get."""

    def refused_(*arguments: str | Path) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            load_settings([str(argument) for argument in arguments])
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()

    return refused_


@pytest.fixture
def pair(tmp_path: Path) -> pki.Pair:
    return pki.authority(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_this_machine_needs_no_tls(host: str) -> None:
    assert load_settings(["--host", host]).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_other_machines_need_tls_or_a_word(refused: Refused, pair: pki.Pair, host: str) -> None:
    (complaint,) = refused("--host", host)
    assert "prompts and images" in complaint
    assert "tls_certificate" in complaint
    assert load_settings(["--host", host, "--insecure"]).certificates is None
    files = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
    assert load_settings(["--host", host, *files]).certificates


def test_tokens_do_not_travel_in_the_open(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(TOKENS)
    (complaint,) = refused("--host", "0.0.0.0", "--tokens-file", file)
    assert "tokens" in complaint


def test_certificates_that_cannot_work_are_described(
    refused: Refused, pair: pki.Pair, tmp_path: Path
) -> None:
    other, nothing = pki.authority(tmp_path, "other"), tmp_path / "nothing.pem"
    nothing.write_text("no certificate\n")
    certificate = ("--tls-certificate", pair.certificate)
    (lonely,) = refused(*certificate)
    assert "need each other" in lonely
    (crossed,) = refused(*certificate, "--tls-key", other.key)
    assert str(other.key) in crossed
    assert "mismatch" in crossed
    (authorities,) = refused(*certificate, "--tls-key", pair.key, "--tls-client-ca", nothing)
    assert f"{nothing} holds no PEM certificate" in authorities
    (plain,) = refused("--tls-client-ca", pair.certificate)
    assert "need TLS" in plain


def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    refused: Refused, pair: pki.Pair, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    encrypt: list[str | Path] = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-in",
        pair.key,
        "-out",
        locked,
        "-passout",
        "pass:secret",
    ]
    subprocess.run(encrypt, check=True, capture_output=True)
    (complaint,) = refused("--tls-certificate", pair.certificate, "--tls-key", locked)
    assert "encrypted" in complaint


def test_every_bad_setting_is_told_at_once(refused: Refused, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("[web]\n")
    complaints = refused(
        *("--tls-key", tmp_path / "missing.key", "--tokens-file", tokens, "--host", "0.0.0.0"),
        *("--port", 70000, "--dtype", "fp8", "--offload", "model", "--queue-size", 0, "--log-level", "loud"),
    )
    named = [line.removeprefix("kandinsky serve: ").split(":")[0] for line in complaints]
    assert sorted(named) == [
        "dtype",
        "host",
        "log_level",
        "offload",
        "port",
        "queue_size",
        "tls_key",
        "tokens_file",
    ]
    assert not any("Value error" in line for line in complaints)


def test_a_look_ahead_says_what_it_found(tiny_model: Path, pair: pki.Pair, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(TOKENS)
    files: dict[str, Any] = {
        "tls_certificate": pair.certificate,
        "tls_key": pair.key,
        "tls_client_ca": pair.certificate,
    }
    preflight = Preflight(
        Settings(model=str(tiny_model), device="cpu", backend="eager", tokens_file=tokens, **files)
    )
    preflight.run()
    assert preflight.problems == []
    found = dict(preflight.findings)
    assert found["port"].endswith("TLS with client certificates")
    assert (found["clients"], found["device"], found["backend"]) == ("web, batch", "cpu, fp32", "eager")
    assert {"prior", "decoder", "inpaint", "controlnet", "depth"} <= found.keys()


def test_a_look_ahead_names_all_that_is_wrong(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    weights = next((model / "prior" / "prior").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    shutil.rmtree(model / "decoder" / "scheduler")
    next((model / "decoder" / "unet").glob("*.safetensors")).unlink()
    preflight = Preflight(Settings(model=str(model), device="toaster", backend="magic"))
    preflight.run()
    assert [problem.split(":")[0] for problem in preflight.problems] == [
        "device",
        "backend",
        "prior",
        "decoder",
    ]
    told = "\n".join(preflight.problems)
    for word in ("'toaster'", "'magic'", "is damaged", "scheduler/ holds no", "unet/ holds no weights"):
        assert word in told
    assert "inpaint" in dict(preflight.findings)


@pytest.mark.slow
def test_check_is_a_command(tiny_model: Path) -> None:
    def check(model: Path) -> subprocess.CompletedProcess[str]:
        flags = ["--check", "--device", "cpu", "--backend", "eager", "--model", str(model)]
        command: list[str | Path] = [Path(sys.executable).with_name("kandinsky"), "serve", *flags]
        return subprocess.run(command, capture_output=True, text=True)

    good, bad = check(tiny_model), check(tiny_model / "no")
    assert good.returncode == 0, good.stderr
    assert "controlnet" in good.stdout
    assert "listening" not in good.stdout
    assert bad.returncode == 2
    assert "kandinsky serve: model: " in bad.stderr


def test_reflection_can_be_turned_off(tiny_model: Path, tmp_path: Path) -> None:
    assert load_settings(["--no-reflection"]).reflection is False
    model = raw.only(tmp_path / "model", tiny_model, "prior")
    with (
        RunningServer(model, metrics_port=None, reflection=False) as server,
        raw.connected(server.target) as stubs,
    ):
        assert stubs.serving() == "SERVING"
        for name in (V1, V1ALPHA):
            with pytest.raises(grpc.RpcError) as refused:
                Reflection(stubs.channel, name).ask(list_services="")
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
