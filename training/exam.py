"""The exam: prompts, pictures made from them, and how often the meter finds in them what was asked for."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training import measure, scenes
from training.painter import Embeds, Painter, Picture
from training.scenes import ATTRIBUTES, Scene

SEED = 2022
Scores = dict[str, float]


def draw(batch: Sequence[Scene], rng: random.Random) -> tuple[list[Picture], list[np.ndarray]]:
    """Ground truth: the scenes' pictures and their masks, (128, 128) float32."""
    drawing = scenes.lay_out(list(batch), rng)
    mask = scenes.masks(drawing, scenes.CANVAS)
    pictures = (scenes.paint(drawing, mask) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return list(pictures), list(mask[:, 0].numpy())


def share(outcomes: Sequence[bool]) -> float:
    """The share of hits in percent."""
    return round(100 * float(np.mean(outcomes)), 1) if len(outcomes) else float("nan")


def score(pictures: Sequence[Picture], wanted: Sequence[Scene], named: Sequence[frozenset[str]]) -> Scores:
    """Percent right for each attribute, over the pictures whose caption names it."""
    rows = list(zip([measure.read(p) for p in pictures], wanted, named, strict=True))
    result = {
        attribute: share(
            [reading.matches(scene, attribute) for reading, scene, told in rows if attribute in told]
        )
        for attribute in ATTRIBUTES
    }
    for size in scenes.SIZES:
        result[f"shape, {size}"] = share(
            [
                reading.matches(scene, "shape")
                for reading, scene, told in rows
                if "size" in told and scene.size == size
            ]
        )
    result["all named"] = share(
        [all(reading.matches(scene, a) for a in told) for reading, scene, told in rows]
    )
    return result


def sheet(pictures: Sequence[Picture], columns: int, path: Path) -> None:
    """Pictures side by side, two pixels apart."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    canvas = np.full((rows * (height + 2) - 2, columns * (width + 2) - 2, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        canvas[top : top + height, left : left + width] = picture
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


@dataclasses.dataclass
class Exam:
    """One painter under test; each method is one part of the scores."""

    painter: Painter
    count: int
    sheets: Path

    def paint(self, prompts: Sequence[str], seed: int) -> list[Picture]:
        """Prompt to picture, row i with seed `seed` + i."""
        seeds = [seed + row for row in range(len(prompts))]
        return self.painter.decode(self.painter.embed(prompts, None, seeds), seeds)

    def embed(self, prompts: Sequence[str], seed: int) -> Embeds:
        """Prompt to embeddings, row i with seed `seed` + i."""
        return self.painter.embed(prompts, None, [seed + row for row in range(len(prompts))])

    def meter(self) -> Scores:
        """The meter on drawn ground truth: what a perfect model would score."""
        rng = random.Random(f"{SEED}/meter")
        batch = [scenes.random_scene(rng, held_out=rng.random() < 0.5) for _ in range(400)]
        return score(draw(batch, rng)[0], batch, [frozenset(ATTRIBUTES)] * len(batch))

    def chance(self) -> Scores:
        """The meter on drawings of other scenes: what a model that ignores its prompt would score."""
        rng = random.Random(f"{SEED}/chance")
        batch = [scenes.random_scene(rng) for _ in range(1000)]
        wanted = [scenes.random_scene(rng, held_out=True) for _ in batch]
        return score(draw(batch, rng)[0], wanted, [frozenset(ATTRIBUTES)] * len(batch))

    def captions(self) -> Scores:
        """Held-out captions: the triple of shape, colour and background was never in training."""
        return self.follow(self.count, "captions", held_out=True)

    def seen(self) -> Scores:
        """The same with triples that were in training."""
        return self.follow(self.count // 2, "seen", held_out=False)

    def follow(self, count: int, name: str, *, held_out: bool) -> Scores:
        """Captions in many wordings, scored on what they name."""
        rng = random.Random(f"{SEED}/{name}")
        wanted = [scenes.random_scene(rng, held_out=held_out) for _ in range(count)]
        named = [scenes.random_named(rng) | {"shape", "color", "background"} for _ in wanted]
        prompts = [scenes.caption(*row, rng) for row in zip(wanted, named, strict=True)]
        pictures = self.paint(prompts, SEED)
        sheet(pictures[:48], 8, self.sheets / f"{name}.png")
        return score(pictures, wanted, named)

    def unnamed(self) -> Scores:
        """Captions that name one attribute: the named one is right, and the rest comes out clean, not mud."""
        rng = random.Random(f"{SEED}/unnamed")
        wanted = [scenes.random_scene(rng) for _ in range(self.count // 5)]
        named = [frozenset([rng.choice(("shape", "color"))]) for _ in wanted]
        prompts = [scenes.caption(*row, rng) for row in zip(wanted, named, strict=True)]
        pictures = self.paint(prompts, SEED)
        clean = [is_clean(measure.read(picture)) for picture in pictures]
        sheet(pictures[:24], 8, self.sheets / "unnamed.png")
        return {"named": score(pictures, wanted, named)["all named"], "clean": share(clean)}

    def inpaint(self) -> Scores:
        """A drawn picture whose shape is masked out, to be repainted as another shape in another colour."""
        rng = random.Random(f"{SEED}/inpaint")
        before = [scenes.random_scene(rng) for _ in range(self.count // 4)]
        after = [another(scene, rng, "shape", "color") for scene in before]
        starts, masks = draw(before, rng)
        repaint = [box_around(mask, margin=8) for mask in masks]
        seeds = [SEED + row for row in range(len(after))]
        pictures = self.painter.inpaint(
            self.embed([scenes.full_caption(scene) for scene in after], SEED), starts, repaint, seeds
        )
        kept = [
            float(np.abs(p.astype(float) - s.astype(float))[far_from(m, 16)].mean())
            for p, s, m in zip(pictures, starts, repaint, strict=True)
        ]
        scores = score(pictures, after, [frozenset(("shape", "color"))] * len(after))
        sheet(
            [p for pair in zip(starts[:24], pictures[:24], strict=True) for p in pair],
            8,
            self.sheets / "inpaint.png",
        )
        kept_all = [
            float(np.abs(p.astype(float) - s.astype(float))[m < 0.5].mean())
            for p, s, m in zip(pictures, starts, repaint, strict=True)
        ]
        return {
            "shape": scores["shape"],
            "color": scores["color"],
            "shape and color": scores["all named"],
            "kept pixels, mean difference of 255": round(float(np.mean(kept_all)), 2),
            "the same, 16 pixels from the mask": round(float(np.mean(kept)), 2),
        }

    def controlnet(self) -> Scores:
        """Prompt and hint disagree in shape and place: the colours are the prompt's, the form the hint's."""
        rng = random.Random(f"{SEED}/controlnet")
        said = [scenes.random_scene(rng) for _ in range(self.count // 4)]
        hinted = [another(scene, rng, "shape", "position") for scene in said]
        hints = draw(hinted, rng)[1]
        seeds = [SEED + row for row in range(len(said))]
        embeds = self.embed([scenes.full_caption(scene) for scene in said], SEED)
        pictures = self.painter.controlnet(embeds, hints, seeds)
        readings = [measure.read(picture) for picture in pictures]
        overlaps = [measure.overlap(r.mask, hint > 0.5) for r, hint in zip(readings, hints, strict=True)]
        pale = [np.repeat((hint * 255).astype(np.uint8)[..., None], 3, 2) for hint in hints]
        sheet(
            [p for pair in zip(pale[:24], pictures[:24], strict=True) for p in pair],
            8,
            self.sheets / "controlnet.png",
        )
        return {
            "mean IoU with the hint": round(float(np.mean(overlaps)), 3),
            "color": share([r.matches(scene, "color") for r, scene in zip(readings, said, strict=True)]),
            "background": share(
                [r.matches(scene, "background") for r, scene in zip(readings, said, strict=True)]
            ),
        }

    def interpolation(self) -> Scores:
        """Weighted sums of two embeddings: does the shape's colour move from A's to B's and never back?"""
        rng = random.Random(f"{SEED}/interpolation")
        weights = (0.0, 0.25, 0.5, 0.75, 1.0)
        first = [scenes.random_scene(rng) for _ in range(max(self.count // 10, 8))]
        last = [another(scene, rng, "color") for scene in first]
        a = self.embed([scenes.full_caption(scene) for scene in first], SEED)
        b = self.embed([scenes.full_caption(scene) for scene in last], SEED)
        along = [np.concatenate([(1 - w) * x + w * y for w in weights]) for x, y in zip(a, b, strict=True)]
        seeds = [SEED + row for row in range(len(first))] * len(weights)
        pictures = self.painter.decode((along[0].astype(np.float32), along[1].astype(np.float32)), seeds)
        paths = [pictures[row :: len(first)] for row in range(len(first))]
        steady = [moves_steadily(*row) for row in zip(paths, first, last, strict=True)]
        sheet([picture for path in paths[:12] for picture in path], 10, self.sheets / "interpolation.png")
        return {"pairs that move steadily": share(steady)}

    def img2img(self) -> Scores:
        """Mean pixel difference (of 255) to the start image by strength; the prompt says another scene."""
        rng = random.Random(f"{SEED}/img2img")
        before = [scenes.random_scene(rng) for _ in range(max(self.count // 12, 8))]
        after = [another(scene, rng, *ATTRIBUTES) for scene in before]
        starts, _ = draw(before, rng)
        embeds = self.embed([scenes.full_caption(scene) for scene in after], SEED)
        seeds = [SEED + row for row in range(len(before))]
        result, shown = {}, [starts[:8]]
        for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
            pictures = self.painter.img2img(embeds, starts, strength, seeds)
            shown.append(pictures[:8])
            apart = [
                np.abs(p.astype(float) - s.astype(float)).mean()
                for p, s in zip(pictures, starts, strict=True)
            ]
            result[f"strength {strength}"] = round(float(np.mean(apart)), 2)
        sheet([picture for row in shown for picture in row], 8, self.sheets / "img2img.png")
        return result

    def negative(self) -> Scores:
        """How often a colour is seen when nobody names one, and when it is named as negative."""
        rng = random.Random(f"{SEED}/negative")
        colors = [scenes.COLORS[row % len(scenes.COLORS)] for row in range(max(self.count // 3, 16))]
        prompts = [f"a {rng.choice(scenes.SHAPES)}" for _ in colors]
        seeds = [SEED + row for row in range(len(colors))]
        result = {}
        for name, negatives in (("without", None), ("with", [f"a {color} shape" for color in colors])):
            pictures = self.painter.decode(self.painter.embed(prompts, negatives, seeds), seeds)
            readings = [measure.read(picture) for picture in pictures]
            seen = [r.scene is not None and r.scene.color == c for r, c in zip(readings, colors, strict=True)]
            result[f"shape has the color, {name} negative"] = share(seen)
        return result


def is_clean(reading: measure.Reading) -> bool:
    """One shape of a known form in a palette colour."""
    if reading.scene is None:
        return False
    apart = np.abs(np.array(scenes.PALETTE[reading.scene.color]) - reading.color_rgb).max()
    return bool(apart < 40 and reading.likeness > 0.7)


def another(scene: Scene, rng: random.Random, *attributes: str) -> Scene:
    """The scene with other values for `attributes`; the background too stays apart from the colour."""
    while True:
        other = scenes.random_scene(rng)
        changed = dataclasses.replace(scene, **{name: getattr(other, name) for name in attributes})
        apart = all(getattr(changed, name) != getattr(scene, name) for name in attributes)
        if apart and changed.color != changed.background:
            return changed


def box_around(mask: np.ndarray, margin: int) -> np.ndarray:
    """A float32 mask of the shape's bounding box and `margin` pixels around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.zeros(mask.shape, np.float32)
    box[
        max(rows[0] - margin, 0) : rows[-1] + 1 + margin,
        max(columns[0] - margin, 0) : columns[-1] + 1 + margin,
    ] = 1
    return box


def far_from(repaint: np.ndarray, margin: int) -> np.ndarray:
    """Where the picture is at least `margin` pixels (in both axes' sense) away from what was repainted."""
    return box_around(repaint, margin) < 0.5


def moves_steadily(path: Sequence[Picture], first: Scene, last: Scene, slack: float = 0.1) -> bool:
    """Whether the colour's place on the line from A to B never falls by more than `slack`, and gets there."""
    start, end = (np.array(scenes.PALETTE[scene.color], float) for scene in (first, last))
    readings = [measure.read(picture) for picture in path]
    if any(reading.scene is None for reading in readings):
        return False
    places = [
        float((np.array(r.color_rgb) - start) @ (end - start) / ((end - start) @ (end - start)))
        for r in readings
    ]
    return bool(all(np.diff(places) > -slack) and places[-1] - places[0] > 0.5)
