"""Images as the networks take them: numpy on the way in, resized as each diffusers pipeline does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def movq_pixels(image: Image.Image, width: int, height: int) -> Floats:
    """RGB in [-1, 1], [3, height, width]: bicubic with reducing_gap 1, as the Img2Img and Inpaint pipelines do.

    The arithmetic is the Img2Img pipeline's (VaeImageProcessor); Inpaint's ``/ 127.5 - 1`` differs by rounding alone.
    """
    resized = image.resize((width, height), resample=Image.Resampling.BICUBIC, reducing_gap=1).convert("RGB")
    values = np.asarray(resized, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    return np.ascontiguousarray(values * 2 - 1)


def repaint_mask(mask: Image.Image, width: int, height: int) -> NDArray[np.bool_]:
    """True where the image is repainted, [height, width]: Lanczos, grey, cut at one half, as the Inpaint pipeline."""
    resized = mask.resize((width, height), resample=Image.Resampling.LANCZOS).convert("L")
    grey = np.asarray(resized, dtype=np.float32) / 255.0
    return np.asarray(grey >= 0.5)


def keep_mask(repaint: NDArray[np.bool_], factor: int) -> Floats:
    """1 where latents are kept, 0 where they are repainted, [1, h, w]; ``factor`` is pixels a latent.

    Takes every ``factor``-th pixel (F.interpolate, nearest), then grows the repainted part by diffusers' prepare_mask:
    a repainted latent takes its neighbours left, right, above, below, above left and below right with it. Same result
    as the loop over pixels in pipeline_kandinsky2_2_inpainting.py.
    """
    repainted = repaint[::factor, ::factor]
    grown = repainted.copy()
    grown[:-1] |= repainted[1:]
    grown[1:] |= repainted[:-1]
    grown[:, :-1] |= repainted[:, 1:]
    grown[:, 1:] |= repainted[:, :-1]
    grown[:-1, :-1] |= repainted[1:, 1:]
    grown[1:, 1:] |= repainted[:-1, :-1]
    return (~grown[None]).astype(np.float32)


def hint_pixels(hint: Image.Image, width: int, height: int) -> Floats:
    """RGB in [0, 1], [3, height, width]; resized (bicubic) only when the size differs."""
    rgb = hint.convert("RGB")
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), resample=Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(rgb, dtype=np.float32).transpose(2, 0, 1) / np.float32(255))


def paste_kept(pixels: Floats, image: Image.Image, repaint: NDArray[np.bool_]) -> Floats:
    """``pixels`` [H, W, 3] in [0, 1] with the kept pixels of ``image`` laid over them, exact to the 8-bit value."""
    height, width = repaint.shape
    resized = image.resize((width, height), resample=Image.Resampling.BICUBIC, reducing_gap=1).convert("RGB")
    original = np.asarray(resized, dtype=np.float32) / np.float32(255)
    return np.where(repaint[:, :, None], pixels, original)


def to_bytes(pixels: Floats) -> NDArray[np.uint8]:
    """Pixels in [0, 1] rounded to 8 bits, as diffusers' numpy_to_pil."""
    return (pixels * 255).round().astype(np.uint8)
