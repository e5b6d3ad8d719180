"""How exactly PyTorch computes in this process: TF32, and the same bits at every run."""

from __future__ import annotations

import os

import torch

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS reads this variable as it starts, and repeats its bits with either of two values
(https://docs.nvidia.com/cuda/cublas/#results-reproducibility)."""


def set_precision(tf32: bool = False, deterministic: bool = False) -> None:
    """To be called before anything is computed on CUDA; the last call counts.

    Without ``tf32``, products of float32 numbers are float32's on CUDA too: PyTorch's own default lets convolutions
    round their factors to 10 mantissa bits, so that two kernels for one convolution differ by some 1e-4.

    With ``deterministic``, equal calls give equal bits, and what cannot promise that raises RuntimeError
    (https://docs.pytorch.org/docs/stable/notes/randomness.html).
    """
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    if deterministic:
        os.environ.setdefault(CUBLAS_WORKSPACE, ":4096:8")
        # Our networks read nothing that was not written: filling it first would cost time only.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False


def rounds_to_tf32(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether networks of ``dtype`` multiply in TF32 on ``device``."""
    return dtype == torch.float32 and device.type == "cuda" and torch.backends.cudnn.allow_tf32
