"""The meter: reads a picture's attributes back from its pixels, with no learned part."""

from __future__ import annotations

import dataclasses

import numpy as np
import scenes
from scenes import CENTERS, COLORS, PALETTE, RADII, SHAPES, Scene

TEMPLATE_SIDE = 48


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the meter saw: the nearest scene, and the numbers behind it."""

    scene: Scene | None  # None: no shape found
    background: str
    color_rgb: tuple[float, float, float]  # 0..255
    mask: np.ndarray  # (height, width) bool

    def matches(self, scene: Scene, attribute: str) -> bool:
        """Whether one attribute was read as `scene` has it."""
        if attribute == "background":
            return self.background == scene.background
        return self.scene is not None and getattr(self.scene, attribute) == getattr(scene, attribute)


def nearest_color(rgb: np.ndarray) -> str:
    """The palette's word for an RGB triple (0..255)."""
    return COLORS[int(((np.array(list(PALETTE.values())) - rgb) ** 2).sum(1).argmin())]


def shape_mask(picture: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Pixels nearer to the shape's colour than to the ground, (height, width) bool.

    The shape's colour is the median over the pixels that differ most from the ground.
    """
    distance = np.sqrt(((picture - ground) ** 2).sum(2))
    far = distance > max(40.0, 0.5 * np.percentile(distance, 99))
    if far.sum() < 12:
        return np.zeros(distance.shape, bool)
    away = np.median(picture[far], 0) - ground
    return (picture - ground) @ away / (away @ away) > 0.5


def extent(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The box left, top, right, bottom of a mask, ignoring rows and columns of stray pixels."""
    edges = []
    for axis in (0, 1):
        filled = np.flatnonzero(mask.sum(axis) >= 2)
        if not len(filled):
            filled = np.flatnonzero(mask.any(axis))
        edges.append((filled[0], filled[-1] + 1))
    (left, right), (top, bottom) = edges
    return float(left), float(top), float(right), float(bottom)


def templates() -> np.ndarray:
    """Each shape filling its box, (shapes, TEMPLATE_SIDE**2) bool."""
    axis = np.linspace(-1, 1, TEMPLATE_SIDE * 2 + 1)[1::2]
    where = np.rint((axis / scenes.FIELD_REACH + 1) / 2 * (scenes.distance_fields().shape[-1] - 1)).astype(
        int
    )
    fields = scenes.distance_fields()[:, 0].numpy()[:, where][:, :, where]
    return (fields < 0).reshape(len(SHAPES), -1)


TEMPLATES = templates()


def match_shape(mask: np.ndarray) -> tuple[str, float]:
    """The shape whose template overlaps the mask's box best, and that intersection over union."""
    left, top, right, bottom = extent(mask)
    grid = (np.arange(TEMPLATE_SIDE) + 0.5) / TEMPLATE_SIDE
    rows = (top + grid * (bottom - top)).astype(int)
    columns = (left + grid * (right - left)).astype(int)
    seen = mask[np.ix_(rows, columns)].reshape(-1)
    overlap = (TEMPLATES & seen).sum(1) / (TEMPLATES | seen).sum(1)
    return SHAPES[int(overlap.argmax())], float(overlap.max())


def read(picture: np.ndarray) -> Reading:
    """Read one picture, (height, width, 3) uint8; sizes and places are relative to the picture's side."""
    pixels = picture.astype(np.float64)
    edges = (pixels[:3], pixels[-3:], pixels[3:-3, :3], pixels[3:-3, -3:])
    border = np.concatenate([edge.reshape(-1, 3) for edge in edges])
    ground = np.median(border, 0)
    background = nearest_color(ground)
    mask = shape_mask(pixels, ground)
    if mask.sum() < 12:
        return Reading(None, background, (0.0, 0.0, 0.0), mask)
    rgb = np.median(pixels[mask], 0)
    left, top, right, bottom = extent(mask)
    scale = scenes.CANVAS / picture.shape[1]
    center = np.array([left + right, top + bottom]) / 2 * scale
    radius = np.sqrt((right - left) * (bottom - top)) / 2 * scale
    scene = Scene(
        shape=match_shape(mask)[0],
        color=nearest_color(rgb),
        background=background,
        size=min(RADII, key=lambda size: abs(np.log(radius / RADII[size]))),
        position=min(CENTERS, key=lambda place: float(((center - CENTERS[place]) ** 2).sum())),
    )
    return Reading(scene, background, tuple(rgb.tolist()), mask)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 0.0
