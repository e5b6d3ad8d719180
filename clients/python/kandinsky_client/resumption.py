"""What the tries of one call have brought so far, for the next one to go on from."""

from __future__ import annotations

from kandinsky_api.v1 import events_pb2, types_pb2

from kandinsky_client.errors import FingerprintMismatchError, InvalidRequestError, RpcError
from kandinsky_client.rpcs import Request

RESUME = "options.resume"


class Resumption:
    """Collects checkpoints and results, and puts them into the request before it is sent again.

    Args:
        request: The request as it is sent; its `options.resume` is this class's to write.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._resume = types_pb2.Resume()
        self._checkpoints: dict[tuple[str, int], types_pb2.Checkpoint] = {}
        self.active = request.options.checkpoint_interval_steps > 0
        self.delivered = False
        """Whether a result has reached the caller."""
        self.progressed = False
        """Whether anything has come since the last try."""

    def checkpoint(self, message: types_pb2.Checkpoint) -> None:
        """Keeps the newest of a trajectory."""
        self._checkpoints[message.stage, message.index] = message
        self.progressed = True

    def embedding(self, message: events_pb2.EmbeddingResult) -> None:
        """Notes an embedding that the caller has got."""
        self._resume.embeddings.add(index=message.index, embeddings=message.embeddings)
        self.delivered = self.progressed = True

    def image(self, index: int) -> None:
        """Notes an image that the caller has got whole."""
        self._resume.image_indices.append(index)
        self.delivered = self.progressed = True

    def write(self) -> None:
        """Has the next try go on from here."""
        self.progressed = False
        if self.active:
            del self._resume.checkpoints[:]
            self._resume.checkpoints.extend(self._checkpoints.values())
            self._request.options.resume.CopyFrom(self._resume)

    def forget(self, error: RpcError) -> bool:
        """Whether `error` is the refusal of a replica that cannot go on from here, and all can begin anew.

        Once a result has been delivered it cannot: the rest would be of another model.
        """
        mismatch = isinstance(error, FingerprintMismatchError)
        invalid = isinstance(error, InvalidRequestError) and any(
            violation.field.startswith(RESUME) for violation in error.field_violations
        )
        if self.delivered or not self._request.options.HasField("resume") or not (mismatch or invalid):
            return False
        self._checkpoints.clear()
        self._request.options.ClearField("resume")
        return True
