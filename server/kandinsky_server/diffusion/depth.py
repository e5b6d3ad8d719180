"""Depth hints for ControlNet, made as diffusers' Kandinsky docs make them."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kandinsky_server.errors import StageNotLoaded

log = logging.getLogger(__name__)


class DepthEstimator:
    """transformers' depth-estimation pipeline, loaded on first use.

    ``source`` is a local directory, a hub id, or None for none.
    """

    def __init__(self, source: str | None, device: torch.device) -> None:
        self.source = source
        self.device = device
        self._pipeline: Any = None
        self._lock = threading.Lock()

    def check(self) -> str:
        """The depth model's source.

        Raises:
            StageNotLoaded: when there is none.
        """
        if not self.source:
            raise StageNotLoaded(
                "depth_from needs a depth model and this server has none: start it with --depth-model, or send the "
                "hint itself"
            )
        return self.source

    def load(self) -> None:
        """Loads the model unless that has happened. Slow, and safe from any thread.

        Raises:
            StageNotLoaded: when there is no depth model, or it cannot be loaded.
        """
        source = self.check()
        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._create(source)

    def _create(self, source: str) -> Any:
        from transformers import pipeline

        try:
            return pipeline("depth-estimation", model=source, device=self.device)
        except (OSError, ValueError, ImportError) as error:
            # Its text names files of this machine.
            log.error("the depth model %r cannot be loaded", source, exc_info=error)
            raise StageNotLoaded(
                "this server's depth model cannot be loaded, its log has the details; send the hint itself"
            ) from error

    def __call__(self, images: Tensor) -> tuple[Tensor]:
        """RGB [B, H, W, 3] uint8 to hints in [0, 1], [B, 3, H, W], after `load`."""
        return (torch.stack([self._hint(image.numpy()) for image in images]),)

    def _hint(self, image: NDArray[np.uint8]) -> Tensor:
        depth = self._pipeline(Image.fromarray(image))["depth"]
        grey = torch.from_numpy(np.array(depth)).float() / 255.0
        return grey.expand(3, -1, -1)
