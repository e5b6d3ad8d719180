"""The toy model over gRPC: pictures that show what was asked for, and are the library's own."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.testing.oracle import Oracle, oracle
from kandinsky_server.testing.pipelines import EMBEDDING_PIPELINES, IMAGE_PIPELINES, Pipeline, Variant
from kandinsky_server.testing.running import RunningServer
from PIL import Image, ImageDraw

from training import measure

pytestmark = pytest.mark.slow
STEPS = 15


@pytest.fixture(scope="module")
def client(toy_model: Path) -> Iterator[Kandinsky]:
    with RunningServer() as server, server.client() as connected:
        yield connected


@pytest.fixture(scope="module")
def reference(toy_model: Path) -> Oracle:
    return oracle(toy_model)


def seen(image: Image.Image) -> measure.Reading:
    """What the meter reads."""
    return measure.read(np.asarray(image.convert("RGB")))


@pytest.fixture(scope="module")
def circle(client: Kandinsky) -> Image.Image:
    prompt = "a large red circle in the middle on a blue background"
    return client.generate(prompt, seed=1, step_count=STEPS)[0].image


def test_a_red_circle_is_asked_for_and_found(circle: Image.Image) -> None:
    scene = seen(circle).scene
    assert scene is not None
    assert (scene.shape, scene.color, scene.background) == ("circle", "red", "blue")
    assert (scene.size, scene.position) == ("large", "middle")


def test_the_server_says_that_it_serves_the_toy_model(client: Kandinsky) -> None:
    info = client.info()
    assert info.model == "toy"
    assert info.versions["server"] == version("kandinsky-server")


def test_a_star_is_painted_into_the_mask(client: Kandinsky, circle: Image.Image) -> None:
    mask = Image.new("L", circle.size)
    ImageDraw.Draw(mask).rectangle((12, 12, 115, 115), fill=255)
    star = client.prior("a large yellow star in the middle on a blue background", seed=1)
    made = client.inpaint(star, circle, mask, seed=3, step_count=STEPS, paste_original=True)[0].image
    scene = seen(made).scene
    assert scene is not None
    assert (scene.shape, scene.color, scene.background) == ("star", "yellow", "blue")
    kept = np.asarray(mask) == 0
    np.testing.assert_array_equal(np.asarray(made)[kept], np.asarray(circle)[kept])


def test_a_hint_decides_the_form_and_the_prompt_the_colors(client: Kandinsky) -> None:
    hint = Image.new("L", (128, 128))
    ImageDraw.Draw(hint).rectangle((20, 40, 76, 96), fill=255)
    circle = client.prior("a red circle at the top on a white background", seed=1)
    reading = seen(client.controlnet(circle, hint=hint, seed=2, step_count=STEPS)[0].image)
    assert reading.scene is not None
    assert (reading.scene.color, reading.scene.background) == ("red", "white")
    assert measure.overlap(reading.mask, np.asarray(hint) > 127) > 0.75


def test_depth_from_a_picture_keeps_its_form(client: Kandinsky, circle: Image.Image) -> None:
    heart = client.prior("a green heart on a black background", seed=1)
    reading = seen(client.controlnet(heart, depth_from=circle, seed=2, step_count=STEPS)[0].image)
    assert reading.scene is not None
    assert (reading.scene.color, reading.scene.background) == ("green", "black")
    assert measure.overlap(reading.mask, seen(circle).mask) > 0.75


def test_interpolation_begins_and_ends_with_its_conditions(client: Kandinsky) -> None:
    ends = [
        "a large red square in the middle on a white background",
        "a large blue square in the middle on a white background",
    ]
    path = client.interpolate(ends, [[1, 0], [0, 1]], seed=5)
    scenes = [seen(client.decode(pair, seed=2, step_count=STEPS)[0].image).scene for pair in path]
    assert [scene and scene.color for scene in scenes] == ["red", "blue"]


@pytest.mark.parametrize(
    "pipeline", [*EMBEDDING_PIPELINES, *IMAGE_PIPELINES], ids=lambda pipeline: pipeline.__name__
)
def test_answer_equals_the_pipelines(client: Kandinsky, reference: Oracle, pipeline: Pipeline) -> None:
    case = pipeline(reference, Variant(count=2, width=128, height=128))
    assert float(np.abs(case.served(client) - case.expected).max()) <= 1e-3
