"""What a call of a network holds beside its weights, told without numbers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


@torch.no_grad()
def peak_bytes(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The most bytes that the tensors of one call have at once, weights and inputs left out; 0 where it cannot be told.

    All are on torch's meta device, where every operation makes its results and none has numbers. They live as long as
    they do in a real call. What kernels take besides, as workspaces, is not counted.
    """
    counter = _Counter(chain(module.parameters(), module.buffers(), inputs))
    try:
        with counter:
            module(*inputs)
    except Exception:
        return 0
    return counter.peak


class _Counter(TorchDispatchMode):
    """Sees the results of every operation. Views have the memory of what they show.

    Source: https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-native-api
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._bytes = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        results = function(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, Tensor):
                self._take(result.untyped_storage())
        return results

    def _take(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._bytes += size
        self.peak = max(self.peak, self._bytes)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._bytes -= size
