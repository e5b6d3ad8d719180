"""What is computed on, and in which numbers, where that is left to the machine."""

from __future__ import annotations

import torch

from kandinsky_backends.options import AUTO


def pick_device(name: str) -> torch.device:
    """The device that ``name`` means; ``auto`` is CUDA where torch has it, else the CPU.

    Raises:
        RuntimeError: torch knows no device of this name.
    """
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def pick_dtype(name: str, device: torch.device) -> str:
    """The name in ``options.DTYPES`` that ``name`` means: ``auto`` is fp16 on CUDA, which multiplies in it, else fp32."""
    if name != AUTO:
        return name
    return "fp16" if device.type == "cuda" else "fp32"
