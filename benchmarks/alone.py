"""A decoder's networks called with nothing between: what a backend could give if serving cost nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kandinsky_backends.base import Network, Role
from kandinsky_backends.options import DTYPES, BackendOptions
from kandinsky_backends.registry import get_backend
from kandinsky_backends.threads import set_threads
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.families.kandinsky22.specs import movq_parts, unet_parts
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.stages import DecoderStage

from benchmarks.decoding import seconds
from benchmarks.setting import Setting

ROWS = (1, 2, 4, 8, 16, 32)
CALLS = 3
"""Of each number of rows, of which the quickest counts."""


class Alone:
    """The networks of a checkpoint's decoder, prepared by a backend as the server does it."""

    def __init__(self, setting: Setting, backend: str) -> None:
        set_threads(setting.threads)
        dtype = DTYPES[setting.dtype]
        self._device = torch.device(setting.device)
        chosen = get_backend(backend, BackendOptions(threads=setting.threads, dtype=dtype), self._device)
        stage = Checkpoints(self._device, dtype).load("decoder", str(setting.model / "decoder"))
        assert isinstance(stage, DecoderStage)
        self._networks: dict[Role, tuple[NetworkSpec, Network]] = {}
        for part in (*unet_parts(stage), *movq_parts(stage)):
            prepared = chosen.prepare(part.module, part.role, part.warm_shapes(ROWS[-1]))
            self._networks[part.role] = part, prepared

        self._best = {role: self._best_rows(role) for role in self._networks}

    @property
    def best_unet_rows(self) -> int:
        """The number of rows at which the UNet's rows are cheapest."""
        return self._best[Role.UNET]

    @torch.no_grad()
    def images_per_second(self, step_count: int, images: int) -> float:
        """So many guided images: two rows of the UNet a step, one of MoVQ at the end, each at its best batch size.

        As long a run as the server's, since both slow down alike where others use the machine, or heat does.
        """
        unet, movq = self._call(Role.UNET), self._call(Role.MOVQ_DECODER)

        def all_calls() -> None:
            for _ in range(2 * step_count * images // self._best[Role.UNET]):
                unet()
            for _ in range(images // self._best[Role.MOVQ_DECODER]):
                movq()

        return images / seconds(all_calls)

    @torch.no_grad()
    def _best_rows(self, role: Role) -> int:
        """The number of rows that makes a row cheapest."""

        def seconds_a_row(rows: int) -> float:
            call = self._call(role, rows)
            return min(seconds(call) for _ in range(CALLS)) / rows

        return min(ROWS, key=seconds_a_row)

    def _call(self, role: Role, rows: int | None = None) -> Callable[[], None]:
        part, network = self._networks[role]
        inputs = part.shapes[0](rows or self._best[role]).random_inputs(self._device)

        def call() -> None:
            network(*inputs)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

        return call
