"""The answer is the library's answer: every RPC against the unmodified diffusers pipeline."""

from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.testing import pipelines
from kandinsky_server.testing.oracle import Oracle, oracle
from kandinsky_server.testing.pipelines import (
    EMBEDDING_PIPELINES,
    IMAGE_PIPELINES,
    STEPS,
    Pipeline,
    Variant,
    pair_of,
)

TOLERANCE = 1e-3
EDGE = 0.01
"""Of a 255th: pixels this close to a rounding edge may fall to either side."""

COUNTS, GUIDANCES, NEGATIVES = (1, 3), (4.0, 1.0), (None, "a blue dog")
SIZES = ((64, 64), (128, 64))
EMBEDDING_VARIANTS = [Variant(*parts) for parts in product(COUNTS, GUIDANCES, NEGATIVES)]
# Every combination but the negative prompt, which goes with half of them: each three of the four are crossed.
IMAGE_VARIANTS = [
    Variant(COUNTS[c], GUIDANCES[g], NEGATIVES[(c + g + s) % 2], *SIZES[s])
    for c, g, s in product((0, 1), repeat=3)
]


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Oracle:
    return oracle(tiny_model)


class Largest:
    """The largest difference seen by pipeline, told when the session ends."""

    def __init__(self) -> None:
        self.differences: dict[str, float] = defaultdict(float)

    def take(self, name: str, difference: float) -> None:
        self.differences[name] = max(self.differences[name], difference)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("largest differences to diffusers")
        for name, difference in self.differences.items():
            terminalreporter.write_line(f"{difference:.1e} {name}")


@pytest.fixture(scope="module")
def largest(request: pytest.FixtureRequest) -> Largest:
    found = Largest()
    request.config.pluginmanager.register(found)
    return found


def name_of(value: Pipeline | Variant) -> str:
    return str(value) if isinstance(value, Variant) else value.__name__


@pytest.mark.parametrize(
    ("pipeline", "variant"),
    [*product(EMBEDDING_PIPELINES, EMBEDDING_VARIANTS), *product(IMAGE_PIPELINES, IMAGE_VARIANTS)],
    ids=name_of,
)
def test_answer_equals_the_pipelines(
    client: Kandinsky,
    reference: Oracle,
    largest: Largest,
    pipeline: Pipeline,
    variant: Variant,
) -> None:
    case = pipeline(reference, variant)
    served = case.served(client)
    assert served.shape == case.expected.shape
    assert served.dtype == case.expected.dtype == np.float32
    difference = float(np.abs(served - case.expected).max())
    largest.take(pipeline.__name__, difference)
    assert difference <= TOLERANCE


def test_png_is_the_pipelines_image_in_8_bits(client: Kandinsky, reference: Oracle) -> None:
    variant = Variant(count=3)
    pair = pair_of(reference, variant)
    served = client.decode(pipelines.sendable(pair), **{**variant.asked_images, "format": "png"})
    expected = reference.decode(pair, variant.seeds, **variant.sized) * 255
    off = np.abs(pipelines.pixels(served).astype(np.float32) - expected)
    assert off.max() <= 0.5 + EDGE


def test_guidance_of_one_is_unguided(client: Kandinsky, reference: Oracle) -> None:
    pair = pipelines.sendable(pair_of(reference, Variant()))[0]
    one, less = (
        client.decode(pair, seed=1, step_count=STEPS, guidance_scale=scale, format="raw_rgb_f32")[0].array
        for scale in (1.0, 0.0)
    )
    np.testing.assert_array_equal(one, less)
