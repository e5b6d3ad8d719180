"""What a loaded model takes of the machine."""

from __future__ import annotations

import logging

from kandinsky_backends.half_precision import advice, instructions

from kandinsky_server.diffusion.model import Model
from kandinsky_server.startup.capacity import by_stage, readable
from kandinsky_server.startup.device_memory import memory_of
from kandinsky_server.startup.footprint import weight_bytes
from kandinsky_server.startup.load_options import LoadOptions

log = logging.getLogger(__name__)


def log_occupancy(model: Model, options: LoadOptions, threads: int) -> None:
    """Logs the memory that the weights take and what is left, and how many rows work at once."""
    weights = weight_bytes({stage.name: stage.networks for stage in model.stages} | model.depth.networks)
    areas = {stage.name: stage.native_area for stage in model.stages}
    rows = ", ".join(f"{name} {model.networks[name].rows_for(area)}" for name, area in areas.items())
    free = memory_of(options.device).device
    log.info(
        "weights: %s; rows of a batch at the native size: %s; %s free on %s; %d threads",
        by_stage(weights),
        rows,
        "unknown" if free is None else readable(free),
        options.device,
        threads,
    )
    if options.device.type == "cpu":
        log.info("%s", advice(options.dtype, instructions()))
