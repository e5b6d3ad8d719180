"""One step of many trajectories at once, where they can take it so."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from kandinsky_backends.device_errors import is_fatal
from torch import Tensor

from kandinsky_server.engine.run import Run
from kandinsky_server.engine.trajectory import Together
from kandinsky_server.errors import ServingError

log = logging.getLogger(__name__)

Share = tuple[Run[Any], tuple[Tensor, ...]]


def advance_together(shares: Sequence[tuple[Run[Any], tuple[Tensor, ...] | ServingError]]) -> set[Run[Any]]:
    """Moves the runs of one network call on that have a `Together`; returns those that it moved."""
    crews: defaultdict[Together, list[Share]] = defaultdict(list)
    for run, outputs in shares:
        together: Together | None = getattr(run.trajectory, "together", None)
        if together is not None and not isinstance(outputs, ServingError):
            crews[together].append((run, outputs))
    return {run for together, crew in crews.items() if _moves(together, crew) for run, _ in crew}


def _moves(together: Together, crew: Sequence[Share]) -> bool:
    """Whether it went well; after a fault nobody has moved, and each run's own step finds whose fault it is.

    Raises what is fatal to the device, as it is: no step of anybody's would go well.
    """
    try:
        together.advance([run.trajectory for run, _ in crew], [outputs for _, outputs in crew])
    except Exception as error:
        if is_fatal(error):
            raise
        ids = sorted({run.ticket.request_id for run, _ in crew})
        log.exception("a step of %d trajectories at once failed", len(crew), extra={"request_ids": ids})
        return False
    return True
