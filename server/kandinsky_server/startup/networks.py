"""The networks of a model, for who would look at a backend without a server."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from kandinsky_backends.base import BackendUnavailable, NamedNetwork

from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.checkpoints.source import Sources, resolve
from kandinsky_server.errors import CheckpointError

CHECK_ROWS = 4


def load_networks(model: str | None, device: torch.device, dtype: torch.dtype) -> Iterator[NamedNetwork]:
    """Every network of a model, on ``device`` and in ``dtype``, for ``kandinsky backends check``.

    Raises:
        BackendUnavailable: when the model cannot be loaded.
    """
    known: set[str] = set()
    try:
        sources = resolve(model, Sources())
        checkpoints = Checkpoints(device, dtype, family=sources.family)
        for name, source in sources.given().items():
            stage = checkpoints.load(name, source)
            movq = getattr(stage, "movq_key", "")
            parts = stage.parts(movq=movq not in known)
            known.add(movq)
            for part in parts:
                yield NamedNetwork(part.name, part.role, part.module, tuple(part.warm_shapes(CHECK_ROWS)))
    except CheckpointError as error:
        raise BackendUnavailable(f"There is nothing to check: {error}") from error
