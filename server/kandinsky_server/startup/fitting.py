"""Prepares a network for as many rows as the device has memory for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from kandinsky_backends.base import Backend
from kandinsky_backends.device_errors import drop_frames, is_fatal, is_out_of_memory
from kandinsky_backends.parity import PreparedNetwork, device_of, prepare_with_parity

from kandinsky_server.engine.device import device_for
from kandinsky_server.families.network_spec import NetworkSpec

log = logging.getLogger(__name__)


def prepare_what_fits(
    backend: Backend,
    part: NetworkSpec,
    weights: Mapping[str, int],
    most: int,
    dtype: torch.dtype,
    strict: bool,
) -> PreparedNetwork:
    """Prepares ``part`` for up to ``most`` rows as `prepare_with_parity` does, and for half as many until they fit.

    ``weights`` are the network's checksums from before the backend got it. Before one row is given up, ``backend`` gives
    back what its other networks hold. Raises what that function raises.
    """
    rows, device = max(shape.rows for shape in part.warm_shapes(most)), device_for(device_of(part.module))
    release = getattr(backend, "release", None)
    while True:
        again = rows > 1 or release is not None
        try:
            return prepare_with_parity(
                backend, part.module, part.role, part.warm_shapes(rows), dtype, strict, again, weights
            )
        except Exception as error:
            if is_fatal(error) or not (again and is_out_of_memory(error)):
                raise
            drop_frames(error)
        # Outside the handler, so that nothing holds what the failed calls had on the device.
        if rows > 1:
            log.warning("%s: there is no memory for %d rows; trying %d", part.name, rows, rows // 2)
            rows //= 2
        elif release is not None:
            log.warning("%s: there is no memory for one row beside what %s holds", part.name, backend.name)
            release()
            release = None
        device.release()
