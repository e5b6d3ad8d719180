"""Any diffusers scheduler that a checkpoint names works, with the pipelines' own results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.testing import tiny
from kandinsky_server.testing.oracle import Embeddings, Oracle, oracle
from kandinsky_server.testing.pipelines import STRENGTH, Variant, mask, pair_of, picture, pixels, sendable
from kandinsky_server.testing.running import RunningServer

TOLERANCE = 1e-3
SCHEDULERS = [
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
]
WITHOUT_GENERATOR = ["UniPCMultistepScheduler", "HeunDiscreteScheduler"]
"""Their steps draw nothing and take no generator, which the pipelines insist on giving: these stop at it."""
PIPELINES = {
    "KandinskyV22Pipeline": "decoder",
    "KandinskyV22Img2ImgPipeline": "decoder",
    "KandinskyV22InpaintPipeline": "inpaint",
}
VARIANT = Variant(count=2)

pytestmark = pytest.mark.slow


class Setting(NamedTuple):
    """A client of a server, and the oracle, of one checkpoint."""

    client: Kandinsky
    reference: Oracle


@pytest.fixture(scope="module", params=[*SCHEDULERS, *WITHOUT_GENERATOR])
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    directory = tmp_path_factory.mktemp("schedulers") / request.param
    tiny.build(directory, decoder_scheduler=request.param)
    stages = {stage: str(directory / stage) for stage in ("decoder", "inpaint")}
    reference = Oracle(directory)
    if request.param in WITHOUT_GENERATOR:
        for name, stage in PIPELINES.items():
            take_generator(reference._pipeline(name, stage))
    with RunningServer(directory, model=None, **stages) as server, server.client() as client:
        yield Setting(client, reference)


def take_generator(pipeline: Any) -> None:
    """Lets its scheduler's step be given a generator, for nothing."""

    class Tolerant(type(pipeline.scheduler)):  # type: ignore[misc]
        def step(self, *args: Any, generator: Any, **options: Any) -> Any:
            return super().step(*args, **options)

    pipeline.scheduler = Tolerant.from_config(pipeline.scheduler.config)


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> Embeddings:
    return pair_of(oracle(tiny_model), VARIANT)


def assert_close(served: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(served, expected, rtol=0, atol=TOLERANCE)


def test_decode(setting: Setting, pair: Embeddings) -> None:
    served = setting.client.decode(sendable(pair), **VARIANT.asked_images)
    assert_close(pixels(served), setting.reference.decode(pair, VARIANT.seeds, **VARIANT.sized))


def test_img2img(setting: Setting, pair: Embeddings) -> None:
    start = picture(1)
    served = setting.client.img2img(sendable(pair), start, strength=STRENGTH, **VARIANT.asked_images)
    expected = setting.reference.img2img(pair, start, VARIANT.seeds, STRENGTH, **VARIANT.sized)
    assert_close(pixels(served), expected)


def test_inpaint(setting: Setting, pair: Embeddings) -> None:
    start = picture(1)
    served = setting.client.inpaint(sendable(pair), start, mask(), **VARIANT.asked_images)
    expected = setting.reference.inpaint(pair, start, mask(), VARIANT.seeds, **VARIANT.sized)
    assert_close(pixels(served), expected)
