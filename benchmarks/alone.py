"""A decoder's networks called with nothing between: what a backend could give if serving cost nothing."""

from __future__ import annotations

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

    def images_per_second(self, step_count: int) -> float:
        """Guided images: two rows of the UNet a step, one of MoVQ at the end, each at its best batch size."""
        steps = 2 * step_count * self._seconds_a_row(Role.UNET)
        return 1 / (steps + self._seconds_a_row(Role.MOVQ_DECODER))

    @torch.no_grad()
    def _seconds_a_row(self, role: Role) -> float:
        part, network = self._networks[role]
        return min(self._seconds(part, network, rows) / rows for rows in ROWS)

    def _seconds(self, part: NetworkSpec, network: Network, rows: int) -> float:
        inputs = part.shapes[0](rows).random_inputs(self._device)

        def call() -> None:
            network(*inputs)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

        return min(seconds(call) for _ in range(CALLS))
