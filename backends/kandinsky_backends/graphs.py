"""CUDA graphs of the eager networks: eager's kernels, and so its bits, without Python between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphed_network import GraphedNetwork, RecentRecordings
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import device_of
from kandinsky_backends.recorder import CudaRecorder, Recorder

logger = logging.getLogger(__name__)

GRAPHED_ROLES = {Role.PRIOR, Role.UNET, Role.MOVQ_DECODER}
"""The encoders are called once a request, and hints and start images have any size: they would not earn their recordings
back. transformers' encoders also build their masks as they go, which a graph may not."""


class GraphsBackend:
    """Records networks at the sizes that they are prepared for within seconds, and at others once they come often.

    A graph reads weights where they were when it was recorded: networks that move between devices cannot have any.
    """

    name = "graphs"
    exact = True

    def __init__(self, options: BackendOptions, recorder: Recorder | None = None) -> None:
        self._recorder = recorder or CudaRecorder()
        self._recent = RecentRecordings()

    def probe(self, device: torch.device) -> None:
        """Returns when ``device`` is CUDA's and can be used; raises BackendUnavailable otherwise."""
        if device.type != "cuda" or not torch.cuda.is_available():
            raise BackendUnavailable(
                f"CUDA graphs are for CUDA only, not for '{device}' here.", "Choose --backend auto."
            )

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Records the networks that are called once a step, and MoVQ's decoder; leaves the others to eager."""
        if role not in GRAPHED_ROLES:
            return EagerNetwork(network)
        graphed = GraphedNetwork(network, role, self._recorder, self._recent)
        started, count = time.monotonic(), 0
        for shape in _worth_recording(shapes):
            count += graphed.record(shape.random_inputs(device_of(network))) is not None
        logger.info(
            "Recorded %d CUDA graphs of the %s network in %.1f s.", count, role, time.monotonic() - started
        )
        return graphed

    def release(self) -> None:
        """Gives back the memory of all recordings, which come back as their shapes do."""
        if len(self._recent):
            logger.warning("All CUDA graphs make room for a call that finds none beside them.")
            self._recent.release(self._recorder)


def _worth_recording(shapes: Sequence[BatchShape]) -> Iterator[BatchShape]:
    """``shapes``, and for each kind of sample the even row counts up to its most: a guided trajectory has two rows.

    Large batches come first: what they have allocated serves the small ones too.
    """
    rows: dict[BatchShape, set[int]] = {}
    for shape in shapes:
        rows.setdefault(replace(shape, rows=1), set()).add(shape.rows)
    for one, counts in rows.items():
        for count in sorted(counts | set(range(2, max(counts) + 1, 2)), reverse=True):
            yield replace(one, rows=count)
