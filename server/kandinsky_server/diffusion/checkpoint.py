"""Loads stages from diffusers layout: their networks, schedulers, tokenizers, and what they say of themselves."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from kandinsky_server.diffusion.fingerprint import fingerprint
from kandinsky_server.diffusion.layout import check_layout, read_object
from kandinsky_server.diffusion.schedule import rehearse
from kandinsky_server.diffusion.source import CheckpointError, local_directory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One loaded checkpoint. ``scheduler`` is a template: every trajectory copies it."""

    name: str
    source: str
    fingerprint: str
    scheduler: Any
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class PriorStage(Stage):
    """Text, or text and an image, to CLIP image embeddings."""

    prior: Any
    text_encoder: Any
    image_encoder: Any
    tokenizer: Any
    image_processor: Any

    @property
    def embedding_width(self) -> int:
        """Floats of an embedding: 1280 for Kandinsky 2.2."""
        return int(self.prior.config.embedding_dim)

    @property
    def token_count(self) -> int:
        """The tokenizer's window, start and end marks included."""
        return int(self.tokenizer.model_max_length)


@dataclass(frozen=True)
class DecoderStage(Stage):
    """Embeddings to pixels: ``decoder``, ``inpaint`` and ``controlnet`` alike."""

    unet: Any
    movq: Any
    movq_key: str
    """Equal for stages that share one MoVQ."""

    @cached_property
    def factor(self) -> int:
        """Pixels of a latent's side: 8 for Kandinsky 2.2."""
        return int(2 ** (len(self.movq.config.block_out_channels) - 1))

    @property
    def size_step(self) -> int:
        """Widths and heights are multiples of this: diffusers rounds to the square of the factor."""
        return self.factor**2

    @property
    def native_size(self) -> int:
        """Width and height it was trained for, in pixels, rounded up to the size step."""
        sample_size = self.unet.config.sample_size or 64
        steps = -(-int(sample_size) * self.factor // self.size_step)
        return steps * self.size_step

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.movq.config.latent_channels)

    @property
    def embedding_width(self) -> int:
        """Floats of the embeddings it takes."""
        projection = self.unet.encoder_hid_proj
        return int(projection.image_embeds.in_features)


@dataclass
class Checkpoints:
    """Loads stages one after another and holds equal MoVQs once.

    ``device`` is where they run; ``weights_device`` where their weights are put, if that is another.
    """

    device: torch.device
    dtype: torch.dtype
    weights_device: torch.device | None = None
    _movqs: dict[str, Any] = field(default_factory=dict)

    def load(self, name: str, source: str) -> PriorStage | DecoderStage:
        """Loads the stage ``name`` from a directory or hub id.

        Raises:
            CheckpointError: naming the stage and what is wrong with it.
        """
        try:
            directory = local_directory(source)
            check_layout(name, directory)
            return (
                self._prior(source, directory) if name == "prior" else self._decoder(name, source, directory)
            )
        except CheckpointError as error:
            raise CheckpointError(f"stage {name}: {error}") from error
        except Exception as error:
            raise CheckpointError(
                f"stage {name}: {source!r} cannot be loaded: {first_line(error)}"
            ) from error

    def _prior(self, source: str, directory: Path) -> PriorStage:
        return PriorStage(
            name="prior",
            source=source,
            fingerprint=fingerprint(directory),
            scheduler=scheduler(directory),
            dtype=self.dtype,
            device=self.device,
            prior=self._module(diffusers.PriorTransformer, directory / "prior"),
            text_encoder=self._module(transformers.CLIPTextModelWithProjection, directory / "text_encoder"),
            image_encoder=self._module(
                transformers.CLIPVisionModelWithProjection, directory / "image_encoder"
            ),
            tokenizer=from_folder(transformers.CLIPTokenizer, directory / "tokenizer"),
            image_processor=from_folder(transformers.CLIPImageProcessor, directory / "image_processor"),
        )

    def _decoder(self, name: str, source: str, directory: Path) -> DecoderStage:
        key, movq = self._movq(directory)
        return DecoderStage(
            name=name,
            source=source,
            fingerprint=fingerprint(directory),
            scheduler=scheduler(directory),
            dtype=self.dtype,
            device=self.device,
            unet=self._module(diffusers.UNet2DConditionModel, directory / "unet"),
            movq=movq,
            movq_key=key,
        )

    def _movq(self, directory: Path) -> tuple[str, Any]:
        """The stage's MoVQ, or the one already held that equals it; a folder without weights borrows the first."""
        folder = directory / "movq"
        has_weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
        if not has_weights:
            if not self._movqs:
                raise CheckpointError(
                    f"{folder} holds no weights and no decoder stage is loaded to borrow them from"
                )
            return next(iter(self._movqs.items()))
        key = fingerprint(folder)
        if key not in self._movqs:
            self._movqs[key] = self._module(diffusers.VQModel, folder)
        return key, self._movqs[key]

    def _module(self, kind: Any, directory: Path) -> Any:
        argument = "dtype" if issubclass(kind, transformers.PreTrainedModel) else "torch_dtype"
        module = from_folder(kind, directory, **{argument: self.dtype})
        return module.to(self.weights_device or self.device).eval().requires_grad_(False)


def scheduler(directory: Path) -> Any:
    """The scheduler that ``scheduler_config.json`` names, whichever class of diffusers it is.

    Raises:
        CheckpointError: naming the file, when it makes no scheduler or none that can take a step.
    """
    folder = directory / "scheduler"
    file = folder / "scheduler_config.json"
    name = str(read_object(file).get("_class_name"))
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise CheckpointError(
            f"{str(file)!r}: diffusers {diffusers.__version__} has no scheduler {name!r} here"
        )
    template = from_folder(kind, folder)
    try:
        rehearse(template)
    except Exception as error:
        raise CheckpointError(f"{str(file)!r} makes a {name} that fails: {first_line(error)}") from error
    return template


def from_folder(kind: Any, folder: Path, **options: Any) -> Any:
    """``kind.from_pretrained``; raises CheckpointError naming the folder, whatever a library raises."""
    try:
        return kind.from_pretrained(folder, **options)
    except Exception as error:
        message = f"{str(folder)!r} holds no {kind.__name__} that can be loaded: {first_line(error)}"
        raise CheckpointError(message) from error


def first_line(error: Exception) -> str:
    """Libraries' errors can be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
