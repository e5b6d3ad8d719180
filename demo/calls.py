"""The calls of the demo, in order; each adds a row of pictures to the album."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kandinsky_client import EmbeddingSet, Kandinsky
from PIL import Image, ImageDraw

STEPS = 30
PROMPTS = (
    "a large red circle in the middle on a blue background",
    "a large yellow star in the middle on a black background",
    "a green heart in the middle on a white background",
    "a purple diamond on the left on a yellow background",
    "a big white ring on a red background",
)
START, END = (
    "a large red circle in the middle on a white background",
    "a large blue square in the middle on a white background",
)


@dataclass
class Row:
    """Labelled pictures of one RPC."""

    name: str
    title: str
    tiles: list[tuple[str, Image.Image]] = field(default_factory=list)


class Album:
    """What has been made so far."""

    def __init__(self, client: Kandinsky) -> None:
        self.client = client
        self.rows: list[Row] = []
        self.circle: EmbeddingSet = client.prior(PROMPTS[0], seed=7)

    def add(self, name: str, title: str, *tiles: tuple[str, Image.Image]) -> None:
        """Adds a row."""
        self.rows.append(Row(name, title, list(tiles)))


def generate(album: Album) -> None:
    """Prompts to pixels in one call."""
    results = album.client.generate(PROMPTS, seed=3, step_count=STEPS)
    album.add(
        "generate",
        "Generate: prompts to pixels in one call",
        *((prompt, result.image) for prompt, result in zip(PROMPTS, results, strict=True)),
    )


def prior_and_decode(album: Album) -> None:
    """One embedding, many images."""
    embedding = album.client.prior(PROMPTS[0], seed=7)
    results = album.client.decode(embedding, image_count=5, seed=1, step_count=STEPS)
    tiles = ((f"seed {result.seed}", result.image) for result in results)
    album.add("decode", "Prior once, then Decode with five seeds", *tiles)


def interpolate(album: Album) -> None:
    """A path of embeddings from one prompt to another."""
    shares = [k / 4 for k in range(5)]
    path = album.client.interpolate([START, END], [[1 - share, share] for share in shares], seed=5)
    # One call a frame, since the images of one call have seeds of their own and a path wants the same noise.
    frames = [album.client.decode(frame, seed=2, step_count=STEPS)[0].image for frame in path]
    tiles = ((f"{share:.0%}", image) for share, image in zip(shares, frames, strict=True))
    album.add(
        "interpolate", "Interpolate: from a red circle to a blue square, both large and in the middle", *tiles
    )


def img2img(album: Album) -> None:
    """An image repainted more and more."""
    start = album.client.generate(PROMPTS[2], seed=4, step_count=STEPS)[0].image
    tiles = [("start", start)]
    for strength in (0.2, 0.4, 0.6, 0.9):
        made = album.client.img2img(album.circle, start, strength=strength, seed=3, step_count=STEPS)
        tiles.append((f"strength {strength}", made[0].image))
    album.add("img2img", f"Img2Img: towards {PROMPTS[0]!r}", *tiles)


def inpaint(album: Album) -> None:
    """A part of an image repainted."""
    image = album.client.generate(PROMPTS[0], seed=4, step_count=STEPS)[0].image
    width, height = image.size
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rectangle((width // 8, height // 8, 7 * width // 8, 7 * height // 8), fill=255)
    star = album.client.prior("a large yellow star in the middle on a blue background", seed=1)
    free = album.client.inpaint(star, image, mask, seed=6, step_count=STEPS)
    pasted = album.client.inpaint(star, image, mask, seed=6, step_count=STEPS, paste_original=True)
    album.add(
        "inpaint",
        "Inpaint: 'a large yellow star in the middle on a blue background' where the mask is white",
        ("image", image),
        ("mask", mask),
        ("repainted", free[0].image),
        ("kept pixels pasted", pasted[0].image),
    )


def controlnet(album: Album) -> None:
    """Images that follow a depth hint."""
    width, height = album.rows[0].tiles[0][1].size
    hint = Image.new("L", (width, height))
    ImageDraw.Draw(hint).rectangle((width // 8, height // 3, width // 2, 3 * height // 4), fill=255)
    source = album.rows[0].tiles[3][1]
    given = album.client.controlnet(album.circle, hint=hint, seed=2, step_count=STEPS)
    estimated = album.client.controlnet(album.circle, depth_from=source, seed=2, step_count=STEPS)
    album.add(
        "controlnet",
        f"ControlNet: {PROMPTS[0]!r} in the shape of a hint",
        ("hint", hint),
        ("follows the hint", given[0].image),
        ("depth_from this", source),
        ("follows its depth", estimated[0].image),
    )


def ask_the_server(album: Album) -> None:
    """What the server is, and what a call would cost."""
    assert all(stage.loaded for stage in album.client.info().stages)
    assert album.client.estimate.decode(album.circle, step_count=STEPS).trajectory_count == 1


CALLS: tuple[tuple[str, str, Callable[[Album], None]], ...] = (
    ("Generate", f"{len(PROMPTS)} prompts", generate),
    ("Prior, Decode", "one embedding, five images", prior_and_decode),
    ("Interpolate, Decode", "a path of five frames, one call each", interpolate),
    ("Img2Img", "four strengths, one call each", img2img),
    ("Inpaint", "with and without pasting", inpaint),
    ("ControlNet", "a hint, and depth_from", controlnet),
    ("GetServerInfo, Estimate", "no pictures", ask_the_server),
)
