"""The vectorised mask is diffusers' loop over pixels."""

import numpy as np
import pytest
import torch
from diffusers.pipelines.kandinsky2_2.pipeline_kandinsky2_2_inpainting import (
    prepare_mask,
    prepare_mask_and_masked_image,
)
from kandinsky_server.diffusion.pixels import (
    fit_mask,
    fit_start,
    keep_mask,
    movq_pixels,
    paste_kept,
    repaint_mask,
)
from PIL import Image

SIZES = [(64, 64), (128, 64), (64, 192)]


def by_diffusers(mask: Image.Image, image: Image.Image, width: int, height: int) -> np.ndarray:
    """The mask as the Inpaint pipeline lays it over the latents, [1, h, w]: 1 is kept."""
    keep, _ = prepare_mask_and_masked_image(image, mask, height, width)
    small = torch.nn.functional.interpolate(keep, (height // 8, width // 8), mode="nearest")
    kept: np.ndarray = prepare_mask(small)[0].numpy()
    return kept


def noise(seed: int, width: int, height: int, share: float) -> Image.Image:
    """A mask with so large a share of white."""
    white = np.random.default_rng(seed).random((height, width)) < share
    return Image.fromarray(white.astype(np.uint8) * 255)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_keep_mask_equals_the_loop(seed: int, width: int, height: int, share: float) -> None:
    mask = noise(seed, width, height, share)
    expected = by_diffusers(mask, Image.new("RGB", (width, height)), width, height)
    found = keep_mask(repaint_mask(fit_mask(mask, width, height)), factor=8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_plain_mask_keeps_all_or_nothing(share: float) -> None:
    kept = keep_mask(repaint_mask(fit_mask(noise(0, 64, 64, share), 64, 64)), factor=8)
    np.testing.assert_array_equal(kept, np.full((1, 8, 8), 1 - share, np.float32))


@pytest.mark.parametrize("size", [(100, 80), (40, 200)])
def test_image_and_mask_of_another_size_are_resized_as_there(size: tuple[int, int]) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.BILINEAR)
    mask = noise(1, 8, 8, 0.5).resize(size, Image.Resampling.BILINEAR)
    keep, pixels = prepare_mask_and_masked_image(image, mask, 64, 128)
    np.testing.assert_array_equal(repaint_mask(fit_mask(mask, 128, 64)), keep[0, 0].numpy() == 0)
    np.testing.assert_allclose(movq_pixels(fit_start(image, 128, 64)), pixels[0].numpy(), rtol=0, atol=1e-6)


def test_pasted_pixels_are_exactly_the_inputs() -> None:
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    repaint = repaint_mask(fit_mask(noise(3, 64, 64, 0.5), 64, 64))
    made = np.full((64, 64, 3), 0.123, np.float32)
    pasted = paste_kept(made, np.asarray(image), repaint)
    np.testing.assert_array_equal((pasted * 255).round()[~repaint], np.asarray(image)[~repaint])
    np.testing.assert_array_equal(pasted[repaint], made[repaint])
