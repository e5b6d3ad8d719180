"""Loads stages from diffusers layout, after everything that can be told without their weights has been looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from kandinsky_server.checkpoints.fingerprint import fingerprint
from kandinsky_server.checkpoints.finite import check_finite
from kandinsky_server.checkpoints.layout import INDEX, Layout, read_layout, read_object
from kandinsky_server.checkpoints.outline import outline
from kandinsky_server.checkpoints.source import FAMILY, first_line, local_directory
from kandinsky_server.checkpoints.weight_files import some
from kandinsky_server.diffusion.noise_scheduler import NoiseScheduler, by_name
from kandinsky_server.diffusion.rehearsal import rehearse
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.family import Family
from kandinsky_server.families.stages import DecoderStage, PriorStage

log = logging.getLogger(__name__)


class NoLender(CheckpointError):
    """A decoder without a MoVQ of its own, and none before it that has one."""


@dataclass(frozen=True)
class Sketch:
    """A stage as far as it is known without weights: its networks are on the meta device.

    ``surplus`` are tensors that its networks have no place for, by file.
    """

    stage: PriorStage | DecoderStage
    layout: Layout
    surplus: dict[str, tuple[str, ...]]


@dataclass
class Checkpoints:
    """Loads stages one after another and holds equal MoVQs once.

    ``device`` is where they run; ``weights_device`` where their weights are put, if that is another. The stages are those
    of ``family``.
    """

    device: torch.device
    dtype: torch.dtype
    weights_device: torch.device | None = None
    family: Family = FAMILY
    _sketches: dict[str, Sketch] = field(default_factory=dict)
    _movqs: dict[str, Any] = field(default_factory=dict)

    def sketch(self, name: str, source: str) -> Sketch:
        """Everything about the stage ``name`` that can be told without reading weights, held against stages before it.

        Raises:
            CheckpointError: naming the stage and what is wrong with it.
        """
        with _told_as(name, source):
            directory = local_directory(source)
        with _told_as(name, source, directory):
            return self._sketch(name, directory, source)

    def load(self, name: str, source: str) -> PriorStage | DecoderStage:
        """Loads the stage ``name`` from a directory or hub id, unless a sketch of it shows that it cannot be served.

        Raises:
            CheckpointError: naming the stage and what is wrong with it.
        """
        sketch = self.sketch(name, source)
        with _told_as(name, source, sketch.layout.directory):
            return self._fill(sketch)

    def _sketch(self, name: str, directory: Path, source: str) -> Sketch:
        layout, spec = read_layout(self.family, name, directory), self.family.stages[name]
        networks, surplus = {}, {}
        for folder, weights in layout.weights.items():
            drawn = outline(spec.networks[folder], layout.directory / folder, weights)
            # diffusers' own `to` has advice for developers.
            networks[folder] = nn.Module.to(drawn.network, self.dtype)
            if drawn.surplus:
                surplus[weights.name] = drawn.surplus
        common: dict[str, Any] = {
            "spec": spec,
            "source": source,
            "fingerprint": "",
            "noise_schedulers": by_name([NoiseScheduler(scheduler(layout.directory))]),
            "dtype": self.dtype,
            "device": self.device,
        }
        if issubclass(spec.kind, DecoderStage):
            if "movq" not in networks:
                networks["movq"] = self._borrowed()
            common["movq_key"] = ""
        processors = {folder: _processor(layout.directory, folder) for folder in spec.processors}
        stage: PriorStage | DecoderStage = spec.kind(**common, **networks, **processors)
        spec.check(stage)
        self._check_company(stage)
        rehearse(stage)
        sketch = self._sketches[name] = Sketch(stage, layout, surplus)
        return sketch

    def _borrowed(self) -> Any:
        """The first decoder stage's MoVQ."""
        for sketch in self._sketches.values():
            if isinstance(sketch.stage, DecoderStage):
                return sketch.stage.movq
        raise NoLender("movq/ holds no weights and no decoder stage is loaded to borrow them from")

    def _check_company(self, stage: PriorStage | DecoderStage) -> None:
        for other in (sketch.stage for sketch in self._sketches.values()):
            if isinstance(other, PriorStage) and isinstance(stage, DecoderStage):
                self.family.check_together(other, stage)

    def _fill(self, sketch: Sketch) -> PriorStage | DecoderStage:
        """The stage with its weights."""
        stage, layout = sketch.stage, sketch.layout
        for file, names in sketch.surplus.items():
            log.warning("stage %s: %s holds tensors that are not used: %s", stage.name, file, some(names))
        kinds = stage.spec.networks
        networks = {
            name: self._module(layout, name, kinds[name]) for name in layout.weights if name != "movq"
        }
        if isinstance(stage, DecoderStage):
            networks["movq_key"], networks["movq"] = self._movq(layout, kinds["movq"])
        filled: PriorStage | DecoderStage = replace(
            stage, fingerprint=fingerprint(layout.directory, layout.files()), **networks
        )
        return filled

    def _movq(self, layout: Layout, kind: type[Any]) -> tuple[str, Any]:
        """The stage's MoVQ, or the one already held that equals it; a folder without weights borrows the first."""
        if "movq" not in layout.weights:
            return next(iter(self._movqs.items()))
        key = fingerprint(layout.directory / "movq", layout.files("movq"))
        if key not in self._movqs:
            self._movqs[key] = self._module(layout, "movq", kind)
        return key, self._movqs[key]

    def _module(self, layout: Layout, name: str, kind: type[Any]) -> Any:
        folder, weights = layout.directory / name, layout.weights[name]
        argument = "dtype" if issubclass(kind, transformers.PreTrainedModel) else "torch_dtype"
        module = from_folder(kind, folder, **weights.options, **{argument: self.dtype})
        check_finite(module, weights.name, lambda: from_folder(kind, folder, **weights.options))
        return module.to(self.weights_device or self.device).eval().requires_grad_(False)


@contextmanager
def _told_as(name: str, source: str, directory: Path | None = None) -> Iterator[None]:
    """Has every error name the stage and its directory, in which the files that it names are."""
    try:
        yield
    except CheckpointError as error:
        where = f"{str(directory)!r}: " if directory else ""
        raise type(error)(f"stage {name}: {where}{error}") from error
    except Exception as error:
        raise CheckpointError(f"stage {name}: {source!r} cannot be loaded: {first_line(error)}") from error


def _processor(directory: Path, folder: str) -> Any:
    kind = _image_processor_class(directory) if folder == "image_processor" else transformers.CLIPTokenizer
    return from_folder(kind, directory / folder)


def _image_processor_class(directory: Path) -> Any:
    """The class that diffusers takes: the one that ``model_index.json`` names.

    transformers has two of CLIP's, by Pillow and by torchvision, whose pixels differ by up to 0.015.
    """
    named = read_object(directory / INDEX).get("image_processor")
    name = named[-1] if isinstance(named, list) and named else ""
    return getattr(transformers, str(name), None) or transformers.CLIPImageProcessor


def scheduler(directory: Path) -> Any:
    """The scheduler that ``scheduler_config.json`` names, whichever class of diffusers it is.

    Raises:
        CheckpointError: naming the file, when it makes no scheduler.
    """
    folder = directory / "scheduler"
    name = str(read_object(folder / "scheduler_config.json").get("_class_name"))
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise CheckpointError(
            f"scheduler/scheduler_config.json: diffusers {diffusers.__version__} has no scheduler {name!r}"
        )
    return from_folder(kind, folder)


def from_folder(kind: Any, folder: Path, **options: Any) -> Any:
    """``kind.from_pretrained``; raises CheckpointError naming the folder, whatever a library raises."""
    try:
        return kind.from_pretrained(folder, **options)
    except Exception as error:
        message = f"{folder.name}/ holds no {kind.__name__} that can be loaded: {first_line(error)}"
        raise CheckpointError(message) from error
