"""What a backend is: the whole plug, in one file.

A backend takes a network (a ``torch.nn.Module`` that is called once per step, with positional tensors, and
returns one tensor or a tuple of tensors) and gives back something that is called the same way and is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Role(StrEnum):
    """What a network is for; a backend may treat roles differently, or leave some to eager."""

    PRIOR = "prior"
    UNET = "unet"
    MOVQ_DECODER = "movq_decoder"
    MOVQ_ENCODER = "movq_encoder"
    TEXT_ENCODER = "text_encoder"
    IMAGE_ENCODER = "image_encoder"
    HINT_ENCODER = "hint_encoder"


@dataclass(frozen=True)
class BatchShape:
    """The shapes of one call: ``rows`` leads every input, ``sample`` is what follows in each input, in order.

    For a UNet of 64x64 images: ``BatchShape(rows=2, samples=((4, 8, 8), (), (32,)))`` - latents, timestep,
    embedding.
    """

    rows: int
    samples: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype, ...]

    def random_inputs(self, device: torch.device, seed: int = 0) -> tuple[Tensor, ...]:
        """Draws inputs of these shapes: normal floats, token ids 1 to 7, masks that start with True."""
        generator = torch.Generator().manual_seed(seed)
        inputs = []
        for sample, dtype in zip(self.samples, self.dtypes, strict=True):
            shape = (self.rows, *sample)
            if dtype.is_floating_point:
                values = torch.randn(shape, generator=generator)
            elif dtype == torch.bool:
                values = torch.rand(shape, generator=generator) < 0.5
                values[..., :1] = True  # attention over nothing would be NaN
            else:
                values = torch.randint(1, 8, shape, generator=generator)
            inputs.append(values.to(device, dtype))
        return tuple(inputs)


@dataclass(frozen=True)
class NamedNetwork:
    """A network of a loaded model, to be checked: its stage, its role, and the shapes it is served with.

    The server yields them from the function it registers as ``model`` in the entry-point group
    ``kandinsky.networks``: ``load_networks(model: str | None, device, dtype) -> Iterable[NamedNetwork]``.
    """

    stage: str
    role: Role
    module: nn.Module
    shapes: tuple[BatchShape, ...]


class Network(Protocol):
    """A prepared network: called with tensors that share their leading dimension, the rows.

    If it serves some shapes eagerly, its attribute ``unprepared`` (`unprepared.UnpreparedCalls`) says how often.
    """

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs one step for all rows; every output has the rows as its leading dimension.

        Outputs belong to the caller: a later call must not write into them. Called from one thread at a time.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """A way to make networks fast. Registered by name in the entry-point group ``kandinsky.backends``.

    What is registered is called with one argument, a ``BackendOptions``, and returns the backend: a class
    will do. Its module should import without the libraries that may be missing, so that ``probe`` can say
    what to install.

    A backend whose networks give eager's bits may say so by an attribute ``exact = True``: the parity gate then
    allows no difference at all. One whose networks hold memory of the device between calls may have a method
    ``release()`` that gives it back: it is called on their thread when a call finds no room.
    """

    name: str

    def probe(self, device: torch.device) -> None:
        """Returns when the backend can serve ``device`` here.

        Raises:
            BackendUnavailable: with the reason and what to do about it.
        """
        ...

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Makes ``network`` ready to be called, warmed up for ``shapes`` (which may be empty).

        ``network`` is in eval mode on its device and in its dtype; the values of its parameters must not
        change, since eager and other stages may hold them too. The result must accept any number of rows and
        any sample shape the module itself accepts.

        Raises:
            BackendUnavailable: when this network cannot be prepared; the server falls back to eager.
        """
        ...


class BackendUnavailable(Exception):
    """A backend cannot be used here. ``reason`` says why, ``hint`` what to do about it."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason} {hint}".strip())
        self.reason = reason
        self.hint = hint


class WeightsChanged(BackendUnavailable):
    """A backend changed the values of a network's weights: nothing can serve it any more."""
