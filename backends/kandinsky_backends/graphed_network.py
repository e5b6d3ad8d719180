"""A network whose calls are replayed, for the shapes that it has recorded."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from weakref import ref

import torch
from torch import Tensor, nn

from kandinsky_backends.base import Role
from kandinsky_backends.device_errors import drop_frames, is_fatal, is_out_of_memory
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.recorder import Recorder, Recording
from kandinsky_backends.unprepared import UnpreparedCalls

logger = logging.getLogger(__name__)

MOST_RECORDINGS = 64
"""Of all networks together. The prior and three UNets at nine row counts each are 36; the rest is for sizes that requests
bring. Each holds memory of the device for itself: its inputs, its outputs, and what CUDA keeps to launch it."""

EAGER_CALLS = 12
"""How often a shape that was not foreseen runs eagerly before it is recorded. Recording takes 0.1 to 1 s; at the 12 ms
that a call of two rows of 512 pixels gains on an H200, that comes back after ten calls or more. So a shape that does not
come again costs nothing, and one that does costs about twice what it would if that had been known."""

Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]


class RecentRecordings:
    """The recordings of all networks of a backend; the one that was used least recently goes first.

    Those of a network that nobody holds any more, as after a try with too many rows, go when the next one comes.
    """

    def __init__(self, most: int = MOST_RECORDINGS) -> None:
        self._most = most
        self._recordings: OrderedDict[tuple[ref[GraphedNetwork], Signature], Recording] = OrderedDict()

    def __len__(self) -> int:
        return len(self._recordings)

    def get(self, network: GraphedNetwork, signature: Signature) -> Recording | None:
        """The recording of a network for these shapes, if there is one."""
        recording = self._recordings.get((ref(network), signature))
        if recording:
            self._recordings.move_to_end((ref(network), signature))
        return recording

    def put(self, network: GraphedNetwork, signature: Signature, recording: Recording) -> None:
        """Keeps a recording, and lets another go when there are too many."""
        for key in [key for key in self._recordings if key[0]() is None]:
            del self._recordings[key]
        self._recordings[ref(network), signature] = recording
        if len(self._recordings) > self._most:
            self._recordings.popitem(last=False)

    def release(self, recorder: Recorder) -> None:
        """Lets all go, once none runs, and gives their memory back: what their pool has, nobody else can use."""
        recorder.wait()
        self._recordings.clear()
        recorder.release()


class GraphedNetwork:
    """A module that is called eagerly where there is no recording of a call for the shapes of its inputs."""

    def __init__(self, module: nn.Module, role: Role, recorder: Recorder, recent: RecentRecordings) -> None:
        self.unprepared = UnpreparedCalls(role)
        self._role = role
        self._eager = EagerNetwork(module)
        self._recorder = recorder
        self._recent = recent
        self._eager_calls: Counter[Signature] = Counter()
        self._without_room: set[Signature] = set()

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Replays the call, or makes it eagerly; records it when its shapes have come often enough."""
        signature = _signature(inputs)
        recording = self._recent.get(self, signature)
        if recording is None and self._eager_calls[signature] == EAGER_CALLS:
            recording = self.record(inputs)
        if recording is not None:
            return recording(*inputs)
        if signature in self._without_room:
            self.unprepared.note(inputs, "the device has no room for a graph of it")
        else:
            self._eager_calls[signature] += 1
            self.unprepared.note(inputs, f"it is recorded once it has come {EAGER_CALLS} times")
        return self._eager(*inputs)

    def record(self, inputs: tuple[Tensor, ...]) -> Recording | None:
        """Records a call for tensors like ``inputs``; None when the device has no room for that: they stay eager."""
        signature = _signature(inputs)
        # Should the recording be let go one day, its shapes count anew.
        del self._eager_calls[signature]
        try:
            recording = self._recorder.record(self._eager.module, inputs)
        except Exception as error:
            if is_fatal(error) or not is_out_of_memory(error):
                raise
            failure = error
        else:
            self._recent.put(self, signature, recording)
            return recording
        drop_frames(failure)
        del failure  # it and this frame would keep each other alive
        self._recent.release(self._recorder)
        self._without_room.add(signature)
        logger.warning(
            "The device has no room for a CUDA graph of the %s network for %s; it stays eager there.",
            self._role,
            tuple(inputs[0].shape),
        )
        return None


def _signature(inputs: Sequence[Tensor]) -> Signature:
    """What a recording is for."""
    return tuple((tuple(tensor.shape), tensor.dtype) for tensor in inputs)
