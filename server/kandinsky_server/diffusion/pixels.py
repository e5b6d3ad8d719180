"""Images as the networks take them: resized as each diffusers pipeline does it, then numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kandinsky_server.errors import NonFinite

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def fit_start(image: Image.Image, width: int, height: int) -> Bytes:
    """RGB [height, width, 3]: bicubic with reducing_gap 1, as the Img2Img and Inpaint pipelines do."""
    resized = image.resize((width, height), resample=Image.Resampling.BICUBIC, reducing_gap=1)
    return np.array(resized.convert("RGB"))


def fit_mask(image: Image.Image, width: int, height: int) -> Bytes:
    """Grey [height, width]: Lanczos, as the Inpaint pipeline does."""
    return np.array(image.resize((width, height), resample=Image.Resampling.LANCZOS).convert("L"))


def fit_hint(image: Image.Image, width: int, height: int) -> Bytes:
    """RGB [height, width, 3]: bicubic, and only when the size differs."""
    rgb = image.convert("RGB")
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), resample=Image.Resampling.BICUBIC)
    return np.array(rgb)


def movq_pixels(rgb: Bytes) -> Floats:
    """RGB [H, W, 3] to [-1, 1], [3, H, W].

    The arithmetic is the Img2Img pipeline's (VaeImageProcessor); Inpaint's ``/ 127.5 - 1`` differs by rounding alone.
    """
    return np.ascontiguousarray(hint_pixels(rgb) * 2 - 1)


def repaint_mask(grey: Bytes) -> NDArray[np.bool_]:
    """True where the image is repainted, [H, W]: cut at one half, as the Inpaint pipeline does."""
    return np.asarray(grey.astype(np.float32) / 255.0 >= 0.5)


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


def hint_pixels(rgb: Bytes) -> Floats:
    """RGB [H, W, 3] to [0, 1], [3, H, W]."""
    return np.ascontiguousarray(rgb.astype(np.float32).transpose(2, 0, 1) / np.float32(255))


def unit_pixels(decoded: NDArray[Any]) -> Floats:
    """What MoVQ makes, in about [-1, 1], [3, H, W], to [0, 1], [H, W, 3]; same arithmetic as diffusers' pipelines.

    Raises:
        NonFinite: when it holds NaN.
    """
    made = decoded.astype(np.float32)
    made *= np.float32(0.5)
    made += np.float32(0.5)
    np.clip(made, 0, 1, out=made)
    if not np.isfinite(made).all():
        raise NonFinite("MoVQ made NaN or infinity; run the server in fp32")
    return np.ascontiguousarray(made.transpose(1, 2, 0))


def paste_kept(pixels: Floats, rgb: Bytes, repaint: NDArray[np.bool_]) -> Floats:
    """``pixels`` [H, W, 3] in [0, 1] with the kept pixels of ``rgb`` laid over them, exact to the 8-bit value."""
    original = rgb.astype(np.float32) / np.float32(255)
    return np.where(repaint[:, :, None], pixels, original)


def to_bytes(pixels: Floats) -> NDArray[np.uint8]:
    """Pixels in [0, 1] rounded to 8 bits, as diffusers' numpy_to_pil."""
    return (pixels * 255).round().astype(np.uint8)
