"""The device's own queue: what is called has been done when the engine has waited for it."""

from __future__ import annotations

import time
from typing import Protocol, TypeVar

import torch

Mark = TypeVar("Mark")
"""A place in the queue. What a device makes is for itself alone."""


class Device(Protocol[Mark]):
    """What the engine asks of a device. All of it on the engine's thread.

    Wherever it raises, it raises what the device made of anything that was queued before.
    """

    queues: bool
    """Whether calls return before they are done, so that the host may do other things meanwhile."""

    def enter(self) -> None:
        """Makes the calling thread use this device; the first thing that the thread does."""
        ...

    def mark(self) -> Mark:
        """Marks the end of the queue as it is now."""
        ...

    def wait(self, mark: Mark) -> None:
        """Returns when all that was queued before ``mark`` is done."""
        ...

    def seconds(self, first: Mark, last: Mark) -> float:
        """What the device took from one mark to the other, once it was waited for."""
        ...

    def release(self) -> None:
        """Gives back memory that is kept for later use: who ran out of it may need it in other pieces."""
        ...


class Host:
    """A CPU: what is called has been done when the call returns. A mark is a time."""

    queues = False

    def enter(self) -> None:
        """There is one."""

    def mark(self) -> float:
        """Now, in ``time.monotonic()`` seconds."""
        return time.monotonic()

    def wait(self, mark: float) -> None:
        """There is nothing to wait for."""

    def seconds(self, first: float, last: float) -> float:
        """By the clock."""
        return last - first

    def release(self) -> None:
        """Memory is the system's."""


class Cuda:
    """A CUDA device and its current stream. A mark is an event.

    Events say what the device took, whether or not Python was late to launch what came next.
    """

    queues = True

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def enter(self) -> None:
        """Else allocations and events without a device of their own would be device 0's."""
        torch.cuda.set_device(self._device)

    def mark(self) -> torch.cuda.Event:
        """Records an event."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wait(self, mark: torch.cuda.Event) -> None:
        """Without Python's lock, so that other threads run and the watchdog sees a queue that never ends."""
        mark.synchronize()

    def seconds(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        """By the device's clock, to half a microsecond."""
        return float(first.elapsed_time(last)) / 1000

    def release(self) -> None:
        """Empties the cache of torch's allocator."""
        torch.cuda.empty_cache()


def device_for(device: torch.device) -> Host | Cuda:
    """The engine's side of a torch device."""
    return Cuda(device) if device.type == "cuda" else Host()
