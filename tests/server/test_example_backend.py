"""A stranger's package serves: installed beside this one, chosen with `--backend example`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kandinsky_client import Kandinsky

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parents[1] / "example_backend"


def test_a_third_party_backend_serves(tiny_model: Path, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(tmp_path), str(PACKAGE)], check=True, timeout=120)
    serve: list[str | Path] = [
        Path(sys.executable).with_name("kandinsky"),
        "serve",
        "--port=0",
        "--metrics-port=null",
        "--threads=1",
    ]
    command = [*serve, "--backend=example", f"--prior={tiny_model / 'prior'}", "--device=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            ready = next(line for line in process.stdout if line.startswith("serving on "))
            with Kandinsky(ready.split()[2].rstrip(","), timeout=60) as client:
                stages = {stage.name: stage for stage in client.info().stages}
                receipt = client.prior("a red circle", step_count=2)[0].receipt
        finally:
            process.terminate()
    assert stages["prior"].backend == "example"
    assert stages["prior"].HasField("parity_difference")
    assert receipt.backend == "example"
    assert process.returncode == 0
