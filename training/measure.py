"""The meter: reads a picture's attributes back from its pixels, with no learned part."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F

from training import scenes
from training.scenes import CENTERS, COLORS, PALETTE, RADII, SHAPES, Scene

FIT_SIDE = 64  # the side that shapes are compared at, in pixels
LEAST_PIXELS = 12  # fewer are noise, not a shape


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the meter saw: the nearest scene, and the numbers behind it."""

    scene: Scene | None  # None: no shape found
    background: str
    color_rgb: tuple[float, float, float]  # 0..255
    mask: np.ndarray  # (height, width) bool
    likeness: float  # how well the nearest drawing covers what was seen, 0..1

    def matches(self, scene: Scene, attribute: str) -> bool:
        """Whether one attribute was read as `scene` has it."""
        if attribute == "background":
            return self.background == scene.background
        return self.scene is not None and getattr(self.scene, attribute) == getattr(scene, attribute)


def nearest_color(rgb: np.ndarray) -> str:
    """The palette's word for an RGB triple (0..255)."""
    return COLORS[int(((np.array(list(PALETTE.values())) - rgb) ** 2).sum(1).argmin())]


def coverage(picture: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """How far each pixel is from the ground's colour to the shape's, (height, width) in [0, 1].

    The shape's colour is the median over the pixels that differ most from the ground. All 0: no shape.
    """
    distance = np.sqrt(((picture - ground) ** 2).sum(2))
    far = distance > max(40.0, 0.5 * np.percentile(distance, 99))
    if far.sum() < LEAST_PIXELS:
        return np.zeros(distance.shape)
    away = np.median(picture[far], 0) - ground
    share: np.ndarray = ((picture - ground) @ away / (away @ away)).clip(0, 1)
    return share


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


@dataclasses.dataclass(frozen=True)
class Fit:
    """The drawing that comes nearest to a picture's coverage."""

    shape: str
    radius: float  # canvas pixels
    center: tuple[float, float]  # x, y in canvas pixels
    likeness: float  # soft intersection over union, 0..1


def candidates(radius: float, center: np.ndarray, reach: float, shift: float) -> scenes.Drawing:
    """Every shape at radii `reach` (relative) and centres `shift` (pixels) around a guess, five by three by three."""
    grid = itertools.product(
        range(len(SHAPES)), np.linspace(1 - reach, 1 + reach, 5), (-shift, 0.0, shift), (-shift, 0.0, shift)
    )
    shape, scale, right, down = (torch.tensor(column) for column in zip(*grid, strict=True))
    blank = torch.zeros(len(shape), 3)
    where = torch.tensor(center) + torch.stack([right, down], 1)
    return scenes.Drawing(shape, blank, blank, (radius * scale).float(), where.float())


def fit(seen: np.ndarray) -> Fit:
    """Draw all shapes at and around the place of `seen`, (side, side) in [0, 1], and keep the likest.

    A coarse search, and a fine one around its winner. Blurred tips and corners count for the little they cover.
    """
    left, top, right, bottom = extent(seen > 0.5)
    scale = scenes.CANVAS / seen.shape[1]
    center = np.array([left + right, top + bottom]) / 2 * scale
    radius = float(np.sqrt((right - left) * (bottom - top)) / 2 * scale)
    target = F.interpolate(torch.from_numpy(seen).float()[None, None], (FIT_SIDE, FIT_SIDE), mode="area")
    for reach, shift in ((0.2, 2.0), (0.05, 0.7)):
        drawing = candidates(radius, center, reach, shift)
        drawn = scenes.masks(drawing, FIT_SIDE)
        likeness = torch.minimum(drawn, target).sum((1, 2, 3)) / torch.maximum(drawn, target).sum((1, 2, 3))
        best = int(likeness.argmax())
        radius, center = float(drawing.radius[best]), drawing.center[best].numpy().astype(float)
    x, y = center.tolist()
    return Fit(SHAPES[int(drawing.shape[best])], radius, (x, y), float(likeness[best]))


def read(picture: np.ndarray) -> Reading:
    """Read one square picture, (side, side, 3) uint8; sizes and places are relative to its side."""
    pixels = picture.astype(np.float64)
    edges = (pixels[:3], pixels[-3:], pixels[3:-3, :3], pixels[3:-3, -3:])
    border = np.concatenate([edge.reshape(-1, 3) for edge in edges])
    ground = np.median(border, 0)
    background = nearest_color(ground)
    seen = coverage(pixels, ground)
    mask = seen > 0.5
    if mask.sum() < LEAST_PIXELS:
        return Reading(None, background, (0.0, 0.0, 0.0), mask, 0.0)
    rgb = np.median(pixels[mask], 0)
    found = fit(seen)
    scene = Scene(
        shape=found.shape,
        color=nearest_color(rgb),
        background=background,
        size=min(RADII, key=lambda size: abs(np.log(found.radius / RADII[size]))),
        position=min(CENTERS, key=lambda place: math.dist(found.center, CENTERS[place])),
    )
    return Reading(scene, background, tuple(rgb.tolist()), mask, found.likeness)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 0.0
