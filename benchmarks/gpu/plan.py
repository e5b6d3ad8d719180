"""What a run on a GPU measures, and the server that its parts share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from kandinsky_backends.options import DTYPES

from benchmarks import full_size
from benchmarks.process import ServerProcess
from benchmarks.setting import Setting

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """Sizes in pixels of a square's side; ``steps`` of an image under load; ``shrink`` makes the networks tiny.

    ``model`` is where the checkpoint of random weights is made when a part first needs it.
    """

    device: str
    dtype: str
    backend: str
    sizes: tuple[int, ...]
    clients: tuple[int, ...]
    steps: int
    soak_seconds: float
    shrink: bool
    model: Path

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU; --shrink does without."""
        return torch.device(self.device).type == "cuda"

    def scaled(self, full: T, small: T) -> T:
        """One of two sizes."""
        return small if self.shrink else full

    def make_room(self) -> None:
        """Gives back what this process had on the device for networks that are gone."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()

    def setting(self) -> Setting:
        """How to start servers, once the checkpoint is there."""
        device, dtype = torch.device(self.device), DTYPES[self.dtype]
        return Setting(
            full_size.ensure(self.model, device, dtype, self.shrink),
            self.backend,
            threads=self.scaled(min(8, os.cpu_count() or 1), 1),
            quick=self.shrink,
            device=self.device,
            dtype=self.dtype,
        )

    def command(self, part: str) -> str:
        """What makes a figure again."""
        options = f"--device {self.device} --dtype {self.dtype} --backend {self.backend}"
        return f"python -m benchmarks gpu --parts {part} {options}" + self.scaled("", " --shrink")


class Stand:
    """The server under test: it is started for the first part that asks for it, and anew when it has ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._server: ServerProcess | None = None
        self._stack = ExitStack()

    def server(self) -> ServerProcess:
        """`kandinsky serve` with the plan's backend."""
        if self._server is None or not self._server.alive:
            self.close()
            self._server = self._stack.enter_context(self.plan.setting().ours())
        return self._server

    def close(self) -> None:
        """Stops it."""
        self._server = None
        self._stack.close()


@contextmanager
def standing(plan: Plan) -> Iterator[Stand]:
    """A stand that is closed in the end."""
    stand = Stand(plan)
    try:
        yield stand
    finally:
        stand.close()
