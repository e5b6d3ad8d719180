"""The type of number that networks compute in: what the settings ask for, or what suits the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kandinsky_backends.device import pick_dtype
from kandinsky_backends.options import DTYPES
from kandinsky_backends.precision import rounds_to_tf32

from kandinsky_server.settings import Settings


@dataclass(frozen=True)
class NumberType:
    """``dtype`` is that of weights and activations; ``told`` is what clients, metrics and the log call it.

    That is fp32, fp16, bf16, or tf32: float32 numbers whose products round their factors to TF32.
    """

    dtype: torch.dtype
    told: str

    @classmethod
    def of(cls, settings: Settings, device: torch.device) -> NumberType:
        """What `--dtype` means on ``device``; to be asked once the process's precision is set."""
        name = pick_dtype(settings.dtype, device)
        dtype = DTYPES[name]
        return cls(dtype, "tf32" if rounds_to_tf32(dtype, device) else name)
