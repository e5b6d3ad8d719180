"""The largest batch of a stage, from the server's histogram of rows."""

from __future__ import annotations

from benchmarks.process import ServerProcess

EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""As in `kandinsky_server/telemetry/metrics.py`."""


class Batches:
    """Looks at batches from its making on."""

    def __init__(self, server: ServerProcess, stage: str = "decoder") -> None:
        self._server = server
        self._stage = stage
        self._before = self._counts()

    def largest(self) -> int:
        """Rows, rounded up to an edge of the histogram; 0 when there was no batch."""
        new = [now - before for now, before in zip(self._counts(), self._before, strict=True)]
        return next((edge for edge, count in zip(EDGES, new, strict=True) if count == new[-1] > 0), 0)

    def _counts(self) -> list[float]:
        return [
            self._server.metric("kandinsky_batch_rows_bucket", stage=self._stage, le=f"{edge:.1f}")
            for edge in EDGES
        ]
