"""A trajectory's latents as bytes, from which another process goes on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SavedLatents:
    """Latents after ``step`` of ``step_count`` steps; ``data`` are the numbers in C order, little-endian."""

    step: int
    step_count: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, latents: Tensor, step: int, step_count: int) -> SavedLatents:
        """Copies them from the device; on the engine's thread."""
        numbers = latents.detach().cpu().contiguous()
        data = numbers.view(torch.uint8).numpy().tobytes()
        return cls(step, step_count, latents.dtype, tuple(latents.shape), data)

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.step == self.step_count

    def tensor(self) -> Tensor:
        """The latents, on the host."""
        return torch.frombuffer(bytearray(self.data), dtype=self.dtype).reshape(self.shape)
