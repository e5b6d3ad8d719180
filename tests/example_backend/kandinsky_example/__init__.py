"""A backend of one's own: TorchScript. Copy this folder to begin another."""

import warnings
from collections.abc import Sequence

import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import BackendOptions
from torch import nn


class ExampleBackend:
    """Traces the prior for the first shape and leaves the other networks to eager."""

    name = "example"

    def __init__(self, options: BackendOptions) -> None:
        self._options = options

    def probe(self, device: torch.device) -> None:
        """Returns on the CPU; raises BackendUnavailable elsewhere."""
        if device.type != "cpu":
            raise BackendUnavailable("This example is for the CPU.", "Choose --device cpu.")

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Traces ``network``; any number of rows works, since the trace keeps no row count."""
        if role is not Role.PRIOR or not shapes:
            return EagerNetwork(network)
        inputs = shapes[0].random_inputs(torch.device("cpu"))
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # torch exports it
            return EagerNetwork(torch.jit.trace(network, inputs, check_trace=False))
