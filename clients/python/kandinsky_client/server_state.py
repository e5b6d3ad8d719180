"""What a server says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kandinsky_api.v1 import server_pb2

from kandinsky_client.receipts import seconds

ServerInfo = server_pb2.GetServerInfoResponse
Health = Literal["unknown", "serving", "not_serving", "service_unknown"]
READY_INTERVAL_SECONDS = 0.1  # between two looks at whether a server has become ready
_HEALTH: tuple[Health, ...] = ("unknown", "serving", "not_serving", "service_unknown")


@dataclass(frozen=True)
class Estimate:
    """What a request would cost if it came now.

    Args:
        queue_wait_seconds: From arrival to the first step.
        run_seconds: From the first step to the last result, with the present company in its batches.
        step_count: Denoising steps over all its trajectories.
        trajectory_count: Trajectories it would become.
        queue_length: How many trajectories wait or run now; each request counts as one at least.
        measured: False while no such step has been measured: the times are then guesses.
    """

    queue_wait_seconds: float
    run_seconds: float
    step_count: int
    trajectory_count: int
    queue_length: int
    measured: bool

    @classmethod
    def from_message(cls, message: server_pb2.EstimateResponse) -> Estimate:
        """Reads the wire's form."""
        return cls(
            queue_wait_seconds=seconds(message.queue_wait),
            run_seconds=seconds(message.run_time),
            step_count=message.step_count,
            trajectory_count=message.trajectory_count,
            queue_length=message.queue_length,
            measured=message.measured,
        )


def health_of(status: int) -> Health:
    """Names a grpc.health.v1 status; one that this client does not know is "unknown"."""
    return _HEALTH[status] if 0 <= status < len(_HEALTH) else "unknown"
