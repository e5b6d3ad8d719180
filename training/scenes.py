"""The scene grammar: what the toy model can draw, how a scene is drawn, and what may be said of it.

A scene is one flat shape on one flat background. Five attributes name it (`ATTRIBUTES`); a caption names
some of them. Every number a caption does not name (exact radius, exact centre) is drawn at random.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random

import numpy as np
import torch
import torch.nn.functional as F

CANVAS = 128  # the side of the frame that radii and centres are given in, in pixels

SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart")
PALETTE = {
    "red": (220, 38, 38),
    "yellow": (246, 214, 50),
    "green": (34, 150, 66),
    "cyan": (64, 208, 222),
    "blue": (36, 72, 216),
    "purple": (158, 48, 178),
    "white": (246, 246, 246),
    "black": (18, 18, 18),
}
COLORS = tuple(PALETTE)
RADII = {"small": 20.0, "medium": 28.0, "large": 39.0}
SIZES = tuple(RADII)
CENTERS = {
    "middle": (64.0, 64.0),
    "left": (43.0, 64.0),
    "right": (85.0, 64.0),
    "top": (64.0, 43.0),
    "bottom": (64.0, 85.0),
}
POSITIONS = tuple(CENTERS)
ATTRIBUTES = {"shape": SHAPES, "color": COLORS, "background": COLORS, "size": SIZES, "position": POSITIONS}

RADIUS_JITTER = 0.03  # relative, uniform
CENTER_JITTER = 2.0  # pixels, uniform

SIZE_WORDS = {
    "small": ("small", "small", "tiny", "little"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "large", "big", "huge"),
}
POSITION_WORDS = {
    "middle": ("in the middle", "in the center", "in the centre"),
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
}
TEMPLATES = (
    "a {thing}{place}{on_ground}",
    "a {thing}{on_ground}{place}",
    "{thing}{comma_ground}{comma_place}",
    "{ground_with}a {thing}{place}",
)
OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ", "an image of ")
NAMED_SHARE = {"shape": 0.93, "color": 0.88, "background": 0.85, "size": 0.72, "position": 0.72}


@dataclasses.dataclass(frozen=True)
class Scene:
    """One picture's attributes, each a word of `ATTRIBUTES`."""

    shape: str
    color: str
    background: str
    size: str
    position: str

    def indices(self) -> tuple[int, ...]:
        """Each attribute's place in its row of `ATTRIBUTES`."""
        return tuple(words.index(getattr(self, name)) for name, words in ATTRIBUTES.items())


@functools.cache
def held_out_triples() -> frozenset[tuple[str, str, str]]:
    """An eighth of all (shape, colour, background) triples, drawn at random: training never sees them."""
    triples = [t for t in itertools.product(SHAPES, COLORS, COLORS) if t[1] != t[2]]
    return frozenset(random.Random("held out").sample(triples, len(triples) // 8))


def is_held_out(scene: Scene) -> bool:
    """Whether training never sees this shape in this colour on this background."""
    return (scene.shape, scene.color, scene.background) in held_out_triples()


def random_scene(rng: random.Random, *, held_out: bool = False) -> Scene:
    """A scene from the training triples, or from the held-out ones."""
    while True:
        scene = Scene(*(rng.choice(words) for words in ATTRIBUTES.values()))
        if scene.color != scene.background and is_held_out(scene) == held_out:
            return scene


def random_named(rng: random.Random) -> frozenset[str]:
    """Which attributes a caption names; at least one of shape and colour."""
    while True:
        named = frozenset(name for name, share in NAMED_SHARE.items() if rng.random() < share)
        if named & {"shape", "color"}:
            return named


def caption(scene: Scene, named: frozenset[str], rng: random.Random) -> str:
    """A sentence that names the attributes in `named` and leaves out the others."""
    words = []
    if "size" in named:
        words.append(rng.choice(SIZE_WORDS[scene.size]))
    if "color" in named:
        words.append(scene.color)
    words.append(scene.shape if "shape" in named else "shape")
    place = rng.choice(POSITION_WORDS[scene.position]) if "position" in named else ""
    ground = f"{scene.background} background" if "background" in named else ""
    text = rng.choice(TEMPLATES).format(
        thing=" ".join(words),
        place=place and f" {place}",
        comma_place=place and f", {place}",
        on_ground=ground and rng.choice((f" on a {ground}", f" on a {ground}", f" on {scene.background}")),
        comma_ground=ground and f", {ground}",
        ground_with=ground and f"a {ground} with ",
    )
    return rng.choice(OPENINGS) + text


def full_caption(scene: Scene) -> str:
    """The plain sentence that names every attribute."""
    place = POSITION_WORDS[scene.position][0]
    return f"a {scene.size} {scene.color} {scene.shape} {place} on a {scene.background} background"


def outline(shape: str) -> np.ndarray:
    """The shape's outer polygon, (points, 2) in x, y with y down, filling [-1, 1] in both."""
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if shape in ("circle", "ring"):
        points = np.stack([np.sin(turn), -np.cos(turn)], 1)
    elif shape == "heart":
        points = np.stack(
            [
                16 * np.sin(turn) ** 3,
                -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)),
            ],
            1,
        )
    elif shape == "star":
        tips = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.382)
        points = np.stack([reach * np.sin(tips), -reach * np.cos(tips)], 1)
    else:
        arm = 0.34
        points = np.array(
            {
                "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
                "triangle": [(0, -1), (1, 1), (-1, 1)],
                "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
                "cross": [
                    (-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm),
                    (arm, 1), (-arm, 1), (-arm, arm), (-1, arm), (-1, -arm), (-arm, -arm),
                ],
            }[shape],
            dtype=float,
        )  # fmt: skip
    low, high = points.min(0), points.max(0)
    fitted: np.ndarray = (points - low) / (high - low) * 2 - 1
    return fitted


def polygon_distance(points: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Signed distance of `where` (n, 2) to a polygon, negative inside; Inigo Quilez's formula."""
    squared = np.full(len(where), np.inf)
    sign = np.ones(len(where))
    for a, b in zip(points, np.roll(points, -1, 0), strict=True):
        edge, offset = b - a, where - a
        along = np.clip(offset @ edge / (edge @ edge), 0, 1)
        squared = np.minimum(squared, ((offset - along[:, None] * edge) ** 2).sum(1))
        cross = edge[0] * offset[:, 1] - edge[1] * offset[:, 0]
        upward = (where[:, 1] >= a[1]) & (where[:, 1] < b[1]) & (cross > 0)
        downward = (where[:, 1] < a[1]) & (where[:, 1] >= b[1]) & (cross <= 0)
        sign = np.where(upward | downward, -sign, sign)
    distance: np.ndarray = sign * np.sqrt(squared)
    return distance


FIELD_REACH = 1.5  # the distance fields cover [-1.5, 1.5] of the shape's own frame


@functools.cache
def distance_fields(side: int = 193) -> torch.Tensor:
    """Signed distance fields of all shapes, (shapes, 1, side, side), in units of the radius."""
    axis = np.linspace(-FIELD_REACH, FIELD_REACH, side)
    where = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    fields = []
    for shape in SHAPES:
        field = polygon_distance(outline(shape), where)
        if shape == "ring":
            field = np.maximum(field, 0.55 - np.hypot(where[:, 0], where[:, 1]))
        fields.append(field.reshape(1, side, side))
    return torch.tensor(np.stack(fields), dtype=torch.float32)


@dataclasses.dataclass
class Drawing:
    """The exact numbers of a batch of n scenes: everything that drawing needs."""

    shape: torch.Tensor  # (n,) index into SHAPES
    color: torch.Tensor  # (n, 3) in [0, 1]
    background: torch.Tensor  # (n, 3) in [0, 1]
    radius: torch.Tensor  # (n,) in canvas pixels
    center: torch.Tensor  # (n, 2) x, y in canvas pixels


def lay_out(scenes: list[Scene], rng: random.Random) -> Drawing:
    """Fix what the words leave open: the exact radius and centre of each scene."""
    palette = torch.tensor(list(PALETTE.values())) / 255
    index = torch.tensor([scene.indices() for scene in scenes])
    radius = [RADII[s.size] * (1 + RADIUS_JITTER * rng.uniform(-1, 1)) for s in scenes]
    center = [[c + CENTER_JITTER * rng.uniform(-1, 1) for c in CENTERS[s.position]] for s in scenes]
    return Drawing(
        index[:, 0], palette[index[:, 1]], palette[index[:, 2]], torch.tensor(radius), torch.tensor(center)
    )


def recolor(drawing: Drawing, color: torch.Tensor, background: torch.Tensor) -> None:
    """Give the shapes where `color`, and the grounds where `background`, both (n,) bool, any colour there is."""
    for name, rows in (("color", color), ("background", background)):
        free = torch.rand(len(rows), 3)
        setattr(drawing, name, torch.where(rows[:, None], free, getattr(drawing, name)))


def masks(
    drawing: Drawing, side: int, corner: torch.Tensor | None = None, span: float = CANVAS
) -> torch.Tensor:
    """The share of each pixel that the shape covers, (n, 1, side, side) in [0, 1].

    The window drawn has its top left at `corner`, (n, 2) canvas pixels, and is `span` of them wide.
    """
    step = span / side
    axis = (torch.arange(side) + 0.5) * step
    origin = torch.zeros_like(drawing.center) if corner is None else corner
    local = [
        (origin[:, i : i + 1] + axis - drawing.center[:, i : i + 1]) / (drawing.radius[:, None] * FIELD_REACH)
        for i in (0, 1)
    ]
    grid = torch.stack(
        [local[0][:, None, :].expand(-1, side, -1), local[1][:, :, None].expand(-1, -1, side)], dim=-1
    )
    field = F.grid_sample(distance_fields()[drawing.shape], grid, padding_mode="border", align_corners=True)
    return (0.5 - field * drawing.radius[:, None, None, None] / step).clamp(0, 1)


def paint(drawing: Drawing, mask: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, side, side) in [0, 1] from the masks of `masks`."""
    color, ground = (c[:, :, None, None] for c in (drawing.color, drawing.background))
    return ground + (color - ground) * mask
