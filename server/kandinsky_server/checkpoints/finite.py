"""NaN and infinity in weights, found before anything is served."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kandinsky_server.checkpoints.weight_files import some
from kandinsky_server.errors import CheckpointError


def check_finite(module: nn.Module, file: str, original: Callable[[], nn.Module]) -> None:
    """Looks at every parameter and buffer once, at the speed of the memory.

    ``original`` loads the module again, in the type that its files have: to tell NaN in a file from a number that is
    beyond the type it was cast to.

    Raises:
        CheckpointError: naming ``file``, where the weights are from, and the tensors.
    """
    bad = _not_finite(module)
    if not bad:
        return
    broken = _not_finite(original())
    if broken:
        raise CheckpointError(f"{file} holds weights that are NaN or infinite: {some(broken)}")
    raise CheckpointError(
        f"{file} holds weights beyond the range of this dtype: {some(bad)}; give --dtype fp32 or bf16"
    )


def _not_finite(module: nn.Module) -> list[str]:
    return [name for name, tensor in module.state_dict().items() if not _is_finite(tensor)]


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    # One pass without room for a mask; NaN is the least and the greatest of all.
    return bool(torch.isfinite(torch.stack(tensor.aminmax())).all())
