"""The unit, as systemd's own tools judge it; no systemd runs it here."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from kandinsky_server.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = "kandinsky.service"
MOST_EXPOSED = 25
"""Tenths of systemd's scale, which ends at 10."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def unit(directory: Path, *drop_ins: str) -> Path:
    """The unit with such drop-ins, and a program that there is."""
    file = directory / UNIT
    file.write_text((FOLDER / UNIT).read_text().replace("/opt/kandinsky/bin/kandinsky", "/bin/true"))
    (directory / f"{UNIT}.d").mkdir()
    for name in drop_ins:
        (directory / f"{UNIT}.d" / name).write_text((FOLDER / name).read_text())
    return file


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
@pytest.mark.parametrize("drop_ins", [(), ("gpu.conf",), ("network.conf",), ("gpu.conf", "network.conf")])
def test_systemd_takes_it_and_finds_it_little_exposed(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    file = unit(tmp_path, *drop_ins)
    verified = analyze("verify", "--man=no", file)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", file)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("file", [UNIT, "gpu.conf", "network.conf"])
def test_it_sets_only_settings_that_there_are(file: str) -> None:
    named = re.findall(r"^Environment=KANDINSKY_(\w+)=", (FOLDER / file).read_text(), re.MULTILINE)
    assert {name.lower() for name in named} <= set(Settings.model_fields) | {"config"}


def test_the_file_of_settings_is_one() -> None:
    commented = (FOLDER / "config.toml").read_text()
    tomllib.loads(commented)
    given = tomllib.loads("\n".join(re.findall(r"^# (\w+ = .*)$", commented, re.MULTILINE)))
    assert given
    Settings(**given)


def test_a_drain_fits_into_the_time_to_stop() -> None:
    text = (FOLDER / UNIT).read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) >= Settings.model_fields["drain_seconds"].default + 15
