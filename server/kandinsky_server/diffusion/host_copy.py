"""What leaves the device: copied behind the work that makes it, in the dtype that it has there."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class HostCopy:
    """A tensor's values on their way to the host; both ends belong to the engine's thread."""

    def __init__(self, tensor: Tensor) -> None:
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()  # numpy knows no such numbers
        self._event: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._values = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._values.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(tensor.device))
        else:
            self._values = tensor.clone(memory_format=torch.contiguous_format)

    def values(self) -> NDArray[Any]:
        """Waits until they are here: float16, or float32."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.numpy()
