"""A CUDA device that is none: tensors on the CPU that say they are on it, and what would be asked of a real one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
QUIET = ("detach", "alias", "lift_fresh", "_to_copy", "_local_scalar_dense")
"""Operations that start no kernel, or that are counted as copies."""


@dataclass
class Tally:
    """What a piece of code asked of the device; ``syncs`` are the operations for which the host waits."""

    kernels: int = 0
    syncs: list[str] = field(default_factory=list)


class Pretended(torch.Tensor):
    """A tensor ``within`` that says it is on the device."""

    within: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Pretended":
        made: Pretended = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device("meta"),
        )
        made.within = inner
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch's own has no class, which it is given all the same
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} outside of the pretence")


class Pretence(TorchDispatchMode):
    """Runs every operation on the CPU and notes what it would be to the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.tally = Tally()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        flat, _ = tree_flatten((args, kwargs))
        there = any(isinstance(each, Pretended) for each in flat)
        target = kwargs.get("device")
        if target is not None and torch.device(target).type == "cuda":
            kwargs["device"], onto = torch.device("cpu"), True
        else:
            onto = there and target is None
        pinned = kwargs.pop("pin_memory", False)
        made = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        self._count(func, name, flat, there, onto, bool(kwargs.get("non_blocking")))
        if pinned:
            made.pretended_pinned = True
        return tree_map(_pretended, made) if onto else made

    def _count(
        self, func: Any, name: str, flat: list[Any], there: bool, onto: bool, non_blocking: bool
    ) -> None:
        if name in ("_local_scalar_dense", "nonzero") and there:
            self.tally.syncs.append(name)
        elif name == "_to_copy" and there != onto:
            free = non_blocking and getattr(flat[0], "pretended_pinned", False)
            self.tally.syncs += [] if free else ["copy to the device" if onto else "copy to the host"]
        elif onto and not func.is_view and name not in QUIET:
            self.tally.kernels += 1


def _inner(each: Any) -> Any:
    return each.within if isinstance(each, Pretended) else each


def _pretended(each: Any) -> Any:
    plain = isinstance(each, torch.Tensor) and not isinstance(each, Pretended)
    return Pretended(each) if plain else each


@contextmanager
def pretended_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], Tally]]:
    """Within it tensors can be put on `CUDA`; gives what counts one piece of code."""
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    pretence = Pretence()
    with pretence, torch.no_grad():

        def count(piece: Callable[[], object]) -> Tally:
            pretence.tally = Tally()
            piece()
            return pretence.tally

        yield count
