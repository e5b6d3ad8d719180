"""Whether a model fits into memory, and what to ask for where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from kandinsky_server.checkpoints.outline import Outline
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.startup.device_memory import Memory
from kandinsky_server.startup.footprint import Footprint, footprint_of


@dataclass(frozen=True)
class Demand:
    """A model, and what was asked for: weights that leave the device, and a number type of four bytes."""

    footprint: Footprint
    offload: bool
    full_precision: bool

    @classmethod
    def of(cls, stages: Sequence[PriorStage | DecoderStage], depth: Outline | None, offload: bool) -> Demand:
        """That of stages, one at least, whose networks are on the meta device."""
        return cls(footprint_of(stages, depth), offload, stages[0].dtype == torch.float32)

    @property
    def on_device(self) -> int:
        """Bytes."""
        return self.footprint.on_device(self.offload)

    @property
    def in_main_memory(self) -> int:
        """Bytes that are there besides."""
        return self.footprint.in_main_memory() if self.offload else 0

    def fits(self, memory: Memory) -> bool:
        """Whether it may: what is not known has room."""
        pairs = ((self.on_device, memory.device), (self.in_main_memory, memory.main))
        return all(free is None or needed <= free for needed, free in pairs)


def shortage(demand: Demand, memory: Memory) -> str | None:
    """Why the model cannot be served with so much memory, and what would help, in one sentence; None where it may fit."""
    if demand.fits(memory):
        return None
    what = "the largest network takes" if demand.offload else "the model takes"
    where = "on the device" if memory.cuda else "in main memory"
    needed, free = demand.on_device, memory.device
    if free is None or needed <= free:
        what, where = "with offloading the weights take", "in main memory"
        needed, free = demand.in_main_memory, memory.main or 0
    weights, batch = by_stage(demand.footprint.weights), readable(demand.footprint.activations)
    return (
        f"memory: {what} {readable(needed)} and {readable(free)} are free {where} (weights: {weights}; a batch of one "
        f"image: {batch}); {_help(demand, memory)}"
    )


def _help(demand: Demand, memory: Memory) -> str:
    """The flags with which it would fit, the cheapest first."""
    footprint, half = demand.footprint, demand.footprint.halved()
    offload = "--offload model --backend eager"
    precision = "--dtype fp16" if memory.cuda else "--dtype bf16 --backend eager"
    choices = [(precision, Demand(half, demand.offload, False))] if demand.full_precision else []
    if memory.cuda and not demand.offload:
        choices.append((offload, Demand(footprint, True, demand.full_precision)))
        choices += [(f"{precision} {offload}", Demand(half, True, False))] if demand.full_precision else []
    helps = [f"{flags} ({readable(other.on_device)})" for flags, other in choices if other.fits(memory)]
    alone = (Demand(footprint.of(stage), demand.offload, True) for stage in footprint.stages)
    if any(other.fits(memory) for other in alone):
        helps.append("fewer stages")
    return f"it would fit with {', or '.join(helps)}" if helps else "it needs more memory"


def by_stage(weights: Mapping[str, int]) -> str:
    """Bytes in words, such as ``prior 2.0 GB, decoder 1.0 GB``."""
    return ", ".join(f"{stage} {readable(size)}" for stage, size in weights.items())


def readable(size: int) -> str:
    """Bytes with a unit."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
