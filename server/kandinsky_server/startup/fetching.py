"""Checkpoints that come from the hub are fetched, and looked at, before any is loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.checkpoints.hub import is_on_hub
from kandinsky_server.diffusion.model import Model
from kandinsky_server.errors import CheckpointError
from kandinsky_server.startup.capacity import Demand, shortage
from kandinsky_server.startup.device_memory import memory_of
from kandinsky_server.startup.load_options import LoadOptions


def fetch(model: Model, options: LoadOptions, watch: Callable[[str], AbstractContextManager[object]]) -> None:
    """Fetches what comes from the hub, each stage within ``watch``; the preflight has looked at directories alone.

    Raises:
        CheckpointError: a checkpoint cannot be served, or all of them need more memory than there is.
    """
    sources = model.sources.given()
    if not any(map(is_on_hub, sources.values())):
        return
    checkpoints = Checkpoints(torch.device("cpu"), options.dtype, family=model.family)
    stages = []
    for name, source in sources.items():
        model.status = what = f"fetching {name}"
        with watch(what):
            stages.append(checkpoints.sketch(name, source).stage)
    demand = Demand.of(stages, None, options.residency is not None)
    if why := shortage(demand, memory_of(options.device)):
        raise CheckpointError(why)
