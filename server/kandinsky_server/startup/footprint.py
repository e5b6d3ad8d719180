"""How much memory a model needs at the least, told before it is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from kandinsky_server.checkpoints.outline import Outline
from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.startup.activations import peak_bytes

GUIDED_ROWS = 2
"""Of the smallest batch that most requests need: one image with classifier-free guidance."""


@dataclass(frozen=True)
class NetworkBytes:
    """``weights`` of a network, of which no network before it has ``added``; ``activations`` of its smallest batch.

    With offloading it leaves the device unless it ``stays``, and what it has added takes ``pinned`` bytes of main memory.
    """

    stage: str
    weights: int
    added: int
    activations: int
    pinned: int = 0
    stays: bool = False


@dataclass(frozen=True)
class Footprint:
    """What networks need, with one of them at work. Backends, kernels and the device's driver need more."""

    networks: tuple[NetworkBytes, ...]

    @property
    def weights(self) -> Mapping[str, int]:
        """Bytes by stage; what stages share counts for the first."""
        bytes_of: dict[str, int] = {}
        for network in self.networks:
            bytes_of[network.stage] = bytes_of.get(network.stage, 0) + network.added
        return bytes_of

    @property
    def activations(self) -> int:
        """Bytes of the network that has most."""
        return max((network.activations for network in self.networks), default=0)

    def on_device(self, offload: bool) -> int:
        """Bytes on the device: with ``offload`` those of the largest network and of all that stay."""
        if not offload:
            return sum(self.weights.values()) + self.activations
        staying = sum(network.added for network in self.networks if network.stays)
        return staying + max((n.weights + n.activations for n in self.networks if not n.stays), default=0)

    def in_main_memory(self) -> int:
        """Bytes of main memory, with offloading."""
        return sum(network.pinned for network in self.networks if not network.stays)

    @property
    def stages(self) -> set[str]:
        """The stages, which the depth model is not."""
        return {network.stage for network in self.networks if not network.stays}

    def of(self, stage: str) -> Footprint:
        """That of one stage alone."""
        return Footprint(tuple(network for network in self.networks if network.stage == stage))

    def halved(self) -> Footprint:
        """The same in a number type of half the size; what stays keeps its own."""
        return Footprint(tuple(network if network.stays else _half(network) for network in self.networks))


def _half(network: NetworkBytes) -> NetworkBytes:
    return replace(
        network,
        weights=network.weights // 2,
        added=network.added // 2,
        activations=network.activations // 2,
        pinned=network.pinned // 2,
    )


def footprint_of(stages: Iterable[PriorStage | DecoderStage], depth: Outline | None = None) -> Footprint:
    """Of stages whose networks are on the meta device.

    Weights count in the stage's dtype. Activations are those of one guided image, or embedding, of the native size:
    `peak_bytes`. MoVQs of the same shapes are taken to be equal, which stages share.
    """
    counted: set[int] = set()
    movqs: dict[Any, Any] = {}
    networks: list[NetworkBytes] = []
    for stage in stages:
        if isinstance(stage, DecoderStage):
            stage = replace(stage, movq=movqs.setdefault(_shapes(stage.movq), stage.movq))
        networks += [_network_bytes(stage.name, part, counted) for part in stage.parts()]
    if depth:
        weights = sum(tensor.nbytes for tensor in _tensors(depth.network))
        networks.append(NetworkBytes("depth", weights, weights, 0, stays=True))
    return Footprint(tuple(networks))


def weight_bytes(modules: Mapping[str, Sequence[nn.Module]]) -> dict[str, int]:
    """Bytes of the weights of loaded modules, by what they belong to; what several share counts for the first."""
    counted: set[int] = set()
    sizes = {}
    for name, belonging in modules.items():
        tensors = [tensor for module in belonging for tensor in _tensors(module) if id(tensor) not in counted]
        counted.update(map(id, tensors))
        sizes[name] = _size(tensors)
    return sizes


def _network_bytes(stage: str, part: NetworkSpec, counted: set[int]) -> NetworkBytes:
    tensors = list(_tensors(part.module))
    new = [tensor for tensor in tensors if id(tensor) not in counted]
    counted.update(map(id, new))
    inputs = part.shapes[0](GUIDED_ROWS if part.steps else 1).random_inputs(torch.device("meta"))
    return NetworkBytes(stage, _size(tensors), _size(new), peak_bytes(part.module, inputs), _pinned(new))


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


def _size(tensors: Collection[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _pinned(tensors: Collection[Tensor]) -> int:
    """Bytes that torch takes for them in pinned memory: for each a power of two.

    Source: torch's aten/src/ATen/core/CachingHostAllocator.h, `CachingHostAllocatorImpl::allocate`.
    """
    return sum(1 << (tensor.nbytes - 1).bit_length() for tensor in tensors if tensor.nbytes)


def _shapes(module: Any) -> Any:
    return tuple((name, tuple(tensor.shape)) for name, tensor in module.state_dict().items())
