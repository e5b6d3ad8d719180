"""Networks without their weights: what a configuration makes, held against what the weights' files say they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.models.modeling_utils import no_init_weights

from kandinsky_server.checkpoints.source import first_line
from kandinsky_server.checkpoints.weight_files import Shape, WeightFiles, some
from kandinsky_server.errors import CheckpointError


@dataclass(frozen=True)
class Outline:
    """A ``network`` on torch's meta device: sizes and no numbers. ``surplus`` are tensors that it has no place for."""

    network: Any
    surplus: tuple[str, ...]


Spares = Callable[[Any], Collection[str]]
"""Tells which of a network's tensors its outputs do not depend on."""


def outline(kind: Any, folder: Path, weights: WeightFiles, spares: Spares | None = None) -> Outline:
    """What ``kind.from_pretrained`` would make of ``folder``; reads its configuration and its weights' headers alone.

    Tensors that ``spares`` names may be missing.

    Raises:
        CheckpointError: when the configuration makes no such network, or tensors of it are missing or of another shape.
    """
    shapes = weights.shapes()
    try:
        if issubclass(kind, transformers.PreTrainedModel):
            network, missing, surplus, misfits = _by_transformers(kind, folder, shapes)
        else:
            network, missing, surplus, misfits = _by_diffusers(
                kind, folder, shapes, weights.index is not None
            )
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{folder.name}/ holds no {kind.__name__} that can be loaded: {first_line(error)}"
        ) from error
    if missing and spares:
        missing = missing - set(spares(network))
    check_complete(weights.name, kind, missing, misfits, surplus)
    return Outline(network, tuple(sorted(surplus)))


def check_complete(
    name: str,
    kind: type,
    missing: Collection[str],
    misfits: Collection[tuple[str, Any, Any]],
    surplus: Collection[str],
) -> None:
    """Raises CheckpointError naming the file ``name`` when tensors are missing, or of another shape than expected.

    ``misfits`` are (tensor, shape found, shape expected).
    """
    wrong = []
    if missing:
        wrong.append(f"lacks {some(missing)}")
    if misfits:
        shapes = [f"{key} of shape {list(found)} for {list(expected)}" for key, found, expected in misfits]
        wrong.append(f"has {some(shapes)}")
    if missing and surplus:
        wrong.append(f"has no use for {some(surplus)}")
    if wrong:
        raise CheckpointError(f"{name} is not the weights of this {kind.__name__}: it {', and '.join(wrong)}")


Comparison = tuple[Any, set[str], set[str], set[tuple[str, Shape, Shape]]]
"""The network, and the tensors that are missing, too many, and of another shape (found, expected)."""


def _by_transformers(kind: Any, folder: Path, shapes: Mapping[str, Shape]) -> Comparison:
    """transformers' own loading, of tensors without numbers: it renames some and forgives others."""
    network, info = kind.from_pretrained(
        None,
        config=kind.config_class.from_pretrained(folder),
        state_dict={name: torch.empty(shape, device="meta") for name, shape in shapes.items()},
        device_map="meta",
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return network, info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"]


def _by_diffusers(kind: Any, folder: Path, shapes: Mapping[str, Shape], sharded: bool) -> Comparison:
    """What diffusers' loading compares, which itself wants the numbers."""
    config = kind.load_config(folder)
    made = config.get("_class_name", kind.__name__)
    if made != kind.__name__:
        raise CheckpointError(f"{folder.name}/config.json is a {made}'s, and this must be a {kind.__name__}")
    with torch.device("meta"), no_init_weights():
        network = kind.from_config(config)
        found = {name: torch.empty(shape) for name, shape in shapes.items()}
    if not sharded:
        # diffusers renames the attention layers of old checkpoints, and has no public function for it.
        network._fix_state_dict_keys_on_load(found)
    expected = network.state_dict()
    misfits = {
        (name, tuple(found[name].shape), tuple(expected[name].shape))
        for name in found.keys() & expected.keys()
        if found[name].shape != expected[name].shape
    }
    return network, expected.keys() - found.keys(), found.keys() - expected.keys(), misfits
