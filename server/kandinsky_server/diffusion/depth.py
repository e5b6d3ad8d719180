"""Depth hints for ControlNet, made as diffusers' Kandinsky docs make them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation, pipeline

from kandinsky_server.checkpoints.finite import check_finite
from kandinsky_server.checkpoints.hub import is_on_hub, split
from kandinsky_server.checkpoints.layout import read_object
from kandinsky_server.checkpoints.outline import Outline, check_complete, outline
from kandinsky_server.checkpoints.source import first_line, local_path
from kandinsky_server.checkpoints.weight_files import Library, find_weights
from kandinsky_server.errors import CheckpointError, StageNotLoaded

SIDE = 384
"""Pixels of a picture for models that take any size."""


class DepthEstimator:
    """transformers' depth-estimation pipeline. ``source`` is a local directory, a hub id, or None for none."""

    def __init__(self, source: str | None, device: torch.device) -> None:
        self.source = source
        self.device = device
        self._pipeline: Any = None

    def check(self) -> str:
        """The depth model's source.

        Raises:
            StageNotLoaded: when there is none.
        """
        if not self.source:
            raise StageNotLoaded(
                "depth_from needs a depth model and this server has none: start it with --depth-model, or send the "
                "hint itself",
                stage="depth",
            )
        return self.source

    @property
    def networks(self) -> dict[str, tuple[Any, ...]]:
        """Its module, once it is loaded."""
        return {"depth": (self._pipeline.model,)} if self._pipeline else {}

    def load(self) -> None:
        """Loads the model, if there is a source.

        Raises:
            CheckpointError: when it cannot be loaded, or not whole.
        """
        if not self.source:
            return
        options = {}
        if not is_on_hub(self.source):
            sketch_depth(self.source)
            options = find_weights(local_path(self.source), Library.TRANSFORMERS).options
        try:
            self._pipeline = _create(self.source, self.device, options)
        except CheckpointError as error:
            raise CheckpointError(f"the depth model {self.source!r}: {error}") from error
        except Exception as error:
            raise CheckpointError(
                f"the depth model {self.source!r} cannot be loaded: {first_line(error)}"
            ) from error

    def __call__(self, images: Tensor) -> tuple[Tensor]:
        """RGB [B, H, W, 3] uint8 to hints in [0, 1], [B, 3, H, W], after `load`."""
        return (torch.stack([self._hint(image.numpy()) for image in images]),)

    def _hint(self, image: NDArray[np.uint8]) -> Tensor:
        depth = self._pipeline(Image.fromarray(image))["depth"]
        grey = torch.from_numpy(np.array(depth)).float() / 255.0
        return grey.expand(3, -1, -1)


def _create(source: str, device: torch.device, options: dict[str, Any]) -> Any:
    folder, revision = split(source) if is_on_hub(source) else (str(local_path(source)), None)
    model, info = AutoModelForDepthEstimation.from_pretrained(
        folder, revision=revision, output_loading_info=True, **options
    )
    missing = info["missing_keys"] and info["missing_keys"] - spares(_without_weights(model.config))
    check_complete("its file", type(model), missing, info["mismatched_keys"], ())
    check_finite(model, "its file", lambda: model)
    processor = AutoImageProcessor.from_pretrained(folder, revision=revision)
    return pipeline("depth-estimation", model=model, image_processor=processor, device=device)


def sketch_depth(source: str) -> Outline:
    """What can be told of the depth model in a directory without reading its weights.

    Raises:
        CheckpointError: when it is none, or not whole.
    """
    folder = local_path(source)
    for name in ("config.json", "preprocessor_config.json"):
        read_object(folder / name)
    weights = find_weights(folder, Library.TRANSFORMERS)
    try:
        model = _without_weights(AutoConfig.from_pretrained(folder))
    except Exception as error:
        raise CheckpointError(f"{source!r} holds no depth model: {first_line(error)}") from error
    return outline(type(model), folder, weights, spares)


def _without_weights(config: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForDepthEstimation.from_config(config)


def spares(model: Any) -> set[str]:
    """The tensors of a depth model on the meta device that its depth does not depend on; official ones of DPT lack them.

    None are found where the model does not run without numbers.
    """
    names, parameters = zip(*model.named_parameters(), strict=True)
    side = getattr(model.config, "image_size", None) or SIDE
    try:
        depth = model.eval()(pixel_values=torch.zeros(1, 3, side, side, device="meta")).predicted_depth
        gradients = torch.autograd.grad(depth.sum(), parameters, allow_unused=True)
    except Exception:
        return set()
    counters = {name for name, _ in model.named_buffers() if name.endswith("num_batches_tracked")}
    return counters | {name for name, found in zip(names, gradients, strict=True) if found is None}
