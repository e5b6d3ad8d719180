"""Which type of number networks compute in, and who is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_backends.precision import set_precision
from kandinsky_server.settings import Settings
from kandinsky_server.startup.number_type import NumberType
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing.running import RunningServer
from pydantic import ValidationError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    set_precision()


@pytest.mark.parametrize(
    ("settings", "device", "told"),
    [
        ({}, CPU, "fp32"),
        ({}, CUDA, "fp16"),
        ({"offload": "model", "backend": "eager"}, CUDA, "fp16"),
        ({"offload": "model", "backend": "eager", "dtype": "fp32"}, CUDA, "fp32"),
        ({"dtype": "fp32"}, CUDA, "fp32"),
        ({"dtype": "bf16"}, CPU, "bf16"),
        ({"dtype": "fp32", "tf32": True}, CUDA, "tf32"),
    ],
)
def test_the_device_decides_unless_the_settings_do(
    settings: dict[str, Any], device: torch.device, told: str
) -> None:
    asked = Settings(**settings)
    set_precision(asked.tf32, asked.deterministic)
    assert NumberType.of(asked, device).told == told


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({}, "dtype=fp32"),
        ({"dtype": "fp16"}, "dtype=fp32"),
        ({"dtype": "fp32", "deterministic": True}, "one of them"),
    ],
)
def test_tf32_is_refused_where_it_rounds_nothing(settings: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        Settings(tf32=True, **settings)


def test_tf32_is_refused_on_a_cpu(tiny_model: Path) -> None:
    preflight = Preflight(
        Settings(model=str(tiny_model), device="cpu", dtype="fp32", tf32=True, port=0, metrics_port=0)
    )
    preflight.run()
    assert preflight.problems == ["tf32: is arithmetic of CUDA devices, and the device is 'cpu'"]


def test_what_was_chosen_is_told(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "kandinsky_server"),
        RunningServer(prior=str(tiny_model / "prior"), max_batch_rows=1) as server,
        server.client() as client,
    ):
        assert {stage.dtype for stage in client.info().stages if stage.loaded} == {"fp32"}
    assert "the networks compute in fp32 on cpu" in caplog.text
