"""What a model family says of one of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kandinsky_server.families.network_spec import NetworkSpec
from kandinsky_server.families.sizes import Size


@dataclass(frozen=True, eq=False)
class StageSpec:
    """A stage, whatever checkpoint it is loaded from.

    Attributes:
        name: what flags, folders of a model, metrics and clients call it; also the name of its own network.
        kind: the `Stage` that it is once it is loaded.
        networks: the class of the network in each folder of a checkpoint, its own network's first.
        processors: the folders of what prepares inputs of networks.
        scheduler: diffusers' class of the noise scheduler that it was trained with.
        check: raises CheckpointError when parts of a loaded or sketched stage do not fit each other.
        parts: its networks, for pictures of the sizes that are asked for; those of its MoVQ only if the last is true.
        inpaints: whether its trajectories keep a part of a picture.
        takes_hint: whether its trajectories follow a hint.
    """

    name: str
    kind: type[Any]
    networks: Mapping[str, Any]
    scheduler: str
    check: Callable[[Any], None]
    parts: Callable[[Any, Sequence[Size], bool], list[NetworkSpec]]
    processors: tuple[str, ...] = ()
    inpaints: bool = False
    takes_hint: bool = False

    @property
    def folder(self) -> str:
        """That of its own network."""
        return next(iter(self.networks))
