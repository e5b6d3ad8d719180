"""What torch's compiler needs of a machine with CUDA."""

from __future__ import annotations

import os
import shutil

from torch.utils._triton import has_triton

from kandinsky_backends.base import BackendUnavailable

C_COMPILERS = ("gcc", "clang")
"""Triton builds its launchers with what the variable CC names, else with one of these (triton/runtime/build.py)."""


def require_triton() -> None:
    """Returns when kernels can be compiled for CUDA here.

    Raises:
        BackendUnavailable: Triton, or the C compiler that it calls, is missing.
    """
    if not has_triton():
        raise BackendUnavailable(
            "torch.compile writes its kernels for CUDA in Triton, which is not installed or not for this GPU.",
            "Install the triton that belongs to this torch (pip install triton), or choose --backend graphs.",
        )
    asked = os.environ.get("CC")
    if not any(map(shutil.which, [asked] if asked else C_COMPILERS)):
        found = f"the variable CC names {asked!r}, which is not there" if asked else "there is none"
        raise BackendUnavailable(
            f"Triton needs a C compiler, and {found}.",
            "Install gcc (apt-get install gcc), point CC to a compiler, or choose --backend graphs.",
        )
