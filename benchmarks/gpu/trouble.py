"""`kandinsky` whose device gets into trouble on a signal: `python -m benchmarks.gpu.trouble serve ...`.

SIGUSR1: so little memory that the largest batches do not fit any more. SIGUSR2: all of it again. SIGHUP: the device
breaks. Without a GPU the networks fail as they would on one.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from kandinsky_client.cli import main
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

LIMIT_ROWS = 2
"""That fit on a CPU that pretends."""

_pretended: list[Any] = []


def squeeze(*_: object) -> None:
    """Leaves half of what the largest batch so far has taken beside the weights."""
    if not torch.cuda.is_available():
        _pretend(_no_room)
        return
    torch.cuda.empty_cache()
    taken = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
    allowed = torch.cuda.memory_reserved() + taken // 2
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.mem_get_info()[1])


def release(*_: object) -> None:
    """Undoes `squeeze`."""
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1.0)
    while _pretended:
        _pretended.pop().remove()


def smash(*_: object) -> None:
    """Reads where nothing is: the device's assertion fails, and with it everything that this process asks of it."""
    if not torch.cuda.is_available():
        _pretend(_broken)
        return
    nowhere = torch.full((1,), 2**40, device="cuda")
    torch.zeros(1, device="cuda")[nowhere]


def _pretend(hook: Callable[[nn.Module, Any], None]) -> None:
    _pretended.append(register_module_forward_pre_hook(hook))


def _no_room(module: nn.Module, inputs: Any) -> None:
    if isinstance(module, UNet2DConditionModel) and len(inputs[0]) > LIMIT_ROWS:
        raise torch.OutOfMemoryError("CUDA out of memory (pretended)")


def _broken(module: nn.Module, inputs: Any) -> None:
    raise RuntimeError("CUDA error: device-side assert triggered (pretended)")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, squeeze)
    signal.signal(signal.SIGUSR2, release)
    signal.signal(signal.SIGHUP, smash)
    main(sys.argv[1:])
