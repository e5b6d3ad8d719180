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
        self._options = request.options
        self._resume = types_pb2.Resume()
        self._checkpoints: dict[tuple[str, int], types_pb2.Checkpoint] = {}
        self.progressed = False
        """Whether anything new has come since the last try."""

    def checkpoint(self, message: types_pb2.Checkpoint) -> None:
        """Keeps the newest of a trajectory. A server that does not go on from it comes through older ones again."""
        trajectory = message.stage, message.index
        kept = self._checkpoints.get(trajectory)
        if kept is None or message.step > kept.step:
            self._checkpoints[trajectory] = message
            self.progressed = True

    def embedding(self, message: events_pb2.EmbeddingResult) -> bool:
        """Notes an embedding; False when the caller has it from an earlier try."""
        if any(delivered.index == message.index for delivered in self._resume.embeddings):
            return False
        self._resume.embeddings.add(index=message.index, embeddings=message.embeddings)
        self._deliver(message.receipt.stage, message.receipt.fingerprint)
        return True

    def image(self, index: int, stage: str, fingerprint: str) -> bool:
        """Notes a whole image and the stage that made it; False when the caller has it from an earlier try."""
        if index in self._resume.image_indices:
            return False
        self._resume.image_indices.append(index)
        self._deliver(stage, fingerprint)
        return True

    @property
    def counts(self) -> tuple[int, int]:
        """How many embeddings and images the caller has got."""
        return len(self._resume.embeddings), len(self._resume.image_indices)

    def _deliver(self, stage: str, fingerprint: str) -> None:
        if fingerprint:
            self._resume.stage_fingerprints[stage] = fingerprint
        self.progressed = True

    def write(self) -> None:
        """Has the next try go on from here, if there is anything to go on from."""
        self.progressed = False
        del self._resume.checkpoints[:]
        self._resume.checkpoints.extend(self._checkpoints.values())
        if self._resume.ByteSize():
            self._options.resume.CopyFrom(self._resume)

    def forget(self, error: RpcError) -> bool:
        """Whether `error` is the refusal of a replica that cannot go on from here, and all can begin anew.

        Once a result has been delivered it cannot: the rest would be of another model.
        """
        mismatch = isinstance(error, FingerprintMismatchError)
        invalid = isinstance(error, InvalidRequestError) and any(
            violation.field.startswith(RESUME) for violation in error.field_violations
        )
        if any(self.counts) or not self._options.HasField("resume") or not (mismatch or invalid):
            return False
        self._checkpoints.clear()
        self._options.ClearField("resume")
        return True
