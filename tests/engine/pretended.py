"""A device that is not there: what the engine queues on it, waits for, and reads of it."""

import itertools
import threading
from typing import Any

import torch
from kandinsky_server.engine.device import Host
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.engine.fakes import Count, add_one

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default}
"""What needs a number now: on a real device, such a call waits for everything before it."""

CALL_SECONDS = 7.0


class Pretended(Host):
    """Keeps a log. A wait lasts until the test lets it end, or makes of it what ``fault`` is."""

    queues = True

    def __init__(self, fault: Exception | None = None) -> None:
        self.log: list[str] = []
        self.fault = fault
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self._times = itertools.count(0.0, CALL_SECONDS)

    def enter(self) -> None:
        self.log.append("enter")
        _Reads(self.log).__enter__()  # type: ignore[no-untyped-call]  # torch has no types for it

    def mark(self) -> float:
        return next(self._times)

    def wait(self, mark: float) -> None:
        self.log.append("wait")
        self.reached.set()
        assert self.go_on.wait(60)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def release(self) -> None:
        self.log.append("release")

    def network(self, values: Tensor) -> tuple[Tensor]:
        """Adds one, as `Count` expects."""
        self.log.append(f"launch {len(values)}")
        return add_one(values)


class _Reads(TorchDispatchMode):
    """Sees every operation of the thread that enters it."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self._log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READS:
            self._log.append("read")
        return func(*args, **(kwargs or {}))


class Logged(Count):
    """Tells the device when it advances."""

    def __init__(self, device: Pretended, **options: Any) -> None:
        super().__init__(**options)
        self._device = device

    def advance(self, outputs: tuple[Tensor, ...]) -> None:
        self._device.log.append("advance")
        super().advance(outputs)
