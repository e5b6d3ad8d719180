"""The unmodified diffusers pipelines, run as this project promises to answer: image k is seed s + k, alone.

Result k of every function is a pipeline run for one image on the tests' device, with a fresh `torch.Generator("cpu")`
seeded with `seeds[k]` and a fresh scheduler: once it has added noise, diffusers keeps a scheduler's tables on the device.
Images are float32 [n, H, W, 3] in [0, 1], embeddings float32 [n, D]. Schedulers are whatever each stage's
`scheduler_config.json` says. Generate is `decode(embeddings=prior(prompt, seeds), seeds=seeds)`.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

from kandinsky_server.testing.device import DEVICE


class Embeddings(NamedTuple):
    """Image embeddings and those to guide away from, each float32 [n, D]."""

    positive: np.ndarray
    negative: np.ndarray

    def row(self, k: int) -> dict[str, torch.Tensor]:
        """Pair k as a pipeline's arguments, [1, D] each; a lone pair serves every k."""
        k = k if len(self.positive) > 1 else 0
        return {
            "image_embeds": torch.from_numpy(self.positive[k : k + 1]),
            "negative_image_embeds": torch.from_numpy(self.negative[k : k + 1]),
        }


@cache
def oracle(directory: Path) -> "Oracle":
    """The oracle of the checkpoint in `directory`, one a process."""
    return Oracle(directory)


class Oracle:
    """Pipelines over `directory`, which holds `prior/ decoder/ inpaint/ controlnet/ depth/`.

    Each is loaded on first use. `sampling` stands for the pipelines' own `num_inference_steps` and
    `guidance_scale`, with their defaults.
    """

    def __init__(self, directory: Path, device: torch.device = DEVICE):
        self._directory = directory
        self._device = device
        self._loaded: dict[str, Any] = {}
        if device.type == "cuda":
            # It is the judge: in TF32, with 10 bits of mantissa, it would be 1e-3 off itself.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False

    def prior(
        self, prompt: str, seeds: Sequence[int], negative_prompt: str | None = None, **sampling: Any
    ) -> Embeddings:
        """KandinskyV22PriorPipeline."""
        pipeline = self._pipeline("KandinskyV22PriorPipeline", "prior")
        return _pairs(
            _fresh(pipeline)(prompt, negative_prompt=negative_prompt, generator=_generator(seed), **sampling)
            for seed in seeds
        )

    def prior_emb2emb(
        self,
        prompt: str,
        image: Image.Image | np.ndarray,
        seeds: Sequence[int],
        strength: float = 0.3,
        negative_prompt: str | None = None,
        **sampling: Any,
    ) -> Embeddings:
        """KandinskyV22PriorEmb2EmbPipeline from a picture, or from an embedding [D]."""
        pipeline = self._pipeline("KandinskyV22PriorEmb2EmbPipeline", "prior")
        start = image if isinstance(image, Image.Image) else torch.from_numpy(image)[None].to(self._device)
        return _pairs(
            _fresh(pipeline)(
                prompt,
                start,
                strength,
                negative_prompt,
                generator=_generator(seed),
                **sampling,
            )
            for seed in seeds
        )

    def interpolate_prior(
        self,
        conditions: Sequence[str | Image.Image | np.ndarray],
        weights: Sequence[float],
        seeds: Sequence[int],
        negative_prompt: str = "",
        negative_prior_prompt: str | None = None,
        **sampling: Any,
    ) -> Embeddings:
        """KandinskyV22PriorPipeline.interpolate, only that each text starts from a fresh generator.

        A condition is a text, a picture or an embedding [D]. The negative embedding is, as there, what comes
        with `negative_prompt` if that is "", else `negative_prompt`'s own.
        """
        parts = [
            self._condition(condition, seeds, negative_prior_prompt, sampling) for condition in conditions
        ]
        weighted = [part * np.float32(weight) for part, weight in zip(parts, weights, strict=True)]
        zero = self.prior(negative_prompt, seeds, negative_prior_prompt, **sampling)
        return Embeddings(
            np.asarray(sum(weighted)), zero.negative if negative_prompt == "" else zero.positive
        )

    def decode(
        self, embeddings: Embeddings, seeds: Sequence[int], width: int = 64, height: int = 64, **sampling: Any
    ) -> np.ndarray:
        """KandinskyV22Pipeline."""
        pipeline = self._pipeline("KandinskyV22Pipeline", "decoder")
        return _images(pipeline, embeddings, seeds, width=width, height=height, **sampling)

    def img2img(
        self,
        embeddings: Embeddings,
        image: Image.Image,
        seeds: Sequence[int],
        strength: float = 0.3,
        width: int = 64,
        height: int = 64,
        **sampling: Any,
    ) -> np.ndarray:
        """KandinskyV22Img2ImgPipeline.

        It calls `image_processor.preprocess(i, width, height)`, whose parameters are (height, width), so its
        pictures are as wide as its `height` and as high as its `width`. Hence the two are swapped here.
        """
        pipeline = self._pipeline("KandinskyV22Img2ImgPipeline", "decoder")
        swapped = {"width": height, "height": width}
        return _images(pipeline, embeddings, seeds, image=image, strength=strength, **swapped, **sampling)

    def inpaint(
        self,
        embeddings: Embeddings,
        image: Image.Image,
        mask: Image.Image,
        seeds: Sequence[int],
        width: int = 64,
        height: int = 64,
        **sampling: Any,
    ) -> np.ndarray:
        """KandinskyV22InpaintPipeline; the mask is white where to repaint."""
        pipeline = self._pipeline("KandinskyV22InpaintPipeline", "inpaint")
        size = {"width": width, "height": height}
        return _images(pipeline, embeddings, seeds, image=image, mask_image=mask, **size, **sampling)

    def controlnet(
        self, embeddings: Embeddings, hint: Image.Image, seeds: Sequence[int], **sampling: Any
    ) -> np.ndarray:
        """KandinskyV22ControlnetPipeline; the picture is as large as the hint."""
        pipeline = self._pipeline("KandinskyV22ControlnetPipeline", "controlnet")
        size = {"width": hint.width, "height": hint.height}
        return _images(pipeline, embeddings, seeds, hint=hint_tensor(hint), **size, **sampling)

    def controlnet_img2img(
        self,
        embeddings: Embeddings,
        image: Image.Image,
        hint: Image.Image,
        seeds: Sequence[int],
        strength: float = 0.3,
        **sampling: Any,
    ) -> np.ndarray:
        """KandinskyV22ControlnetImg2ImgPipeline; as large as the hint, sides swapped as in `img2img`."""
        pipeline = self._pipeline("KandinskyV22ControlnetImg2ImgPipeline", "controlnet")
        swapped = {"width": hint.height, "height": hint.width}
        options = {"image": image, "strength": strength, "hint": hint_tensor(hint), **swapped}
        return _images(pipeline, embeddings, seeds, **options, **sampling)

    def depth_hint(self, image: Image.Image, width: int = 64, height: int = 64) -> Image.Image:
        """A grey RGB hint of that size, as `make_hint` in diffusers' pipeline_kandinsky2_2_controlnet.py."""
        if "depth" not in self._loaded:
            self._loaded["depth"] = transformers.pipeline(
                "depth-estimation", model=str(self._directory / "depth"), device=self._device
            )
        depth: Image.Image = self._loaded["depth"](image.resize((width, height)))["depth"]
        return depth.convert("RGB")

    def _condition(
        self,
        condition: str | Image.Image | np.ndarray,
        seeds: Sequence[int],
        negative_prior_prompt: str | None,
        sampling: dict[str, Any],
    ) -> np.ndarray:
        """The embeddings that one condition stands for: [n, D] from a text, otherwise [1, D]."""
        if isinstance(condition, str):
            return self.prior(condition, seeds, negative_prior_prompt, **sampling).positive
        if isinstance(condition, Image.Image):
            # of the two `interpolate`s, the one that runs the prior for nothing but texts
            pipeline = self._pipeline("KandinskyV22PriorEmb2EmbPipeline", "prior")
            embedding: np.ndarray = (
                _fresh(pipeline).interpolate([condition], [1.0]).image_embeds.cpu().numpy()
            )
            return embedding
        return condition[None]

    def _pipeline(self, name: str, stage: str) -> Any:
        if name not in self._loaded:
            diffusers.utils.logging.disable_progress_bar()
            transformers.utils.logging.disable_progress_bar()
            pipeline = getattr(diffusers, name).from_pretrained(
                self._directory / stage, **self._borrowed(stage)
            )
            pipeline.set_progress_bar_config(disable=True)
            self._loaded[name] = pipeline.to(self._device)
        return self._loaded[name]

    def _borrowed(self, stage: str) -> dict[str, Any]:
        """The decoder's MoVQ for a stage that comes without its weights."""
        folder = self._directory / stage / "movq"
        if not folder.exists() or any(folder.glob("*.safetensors")):
            return {}
        return {"movq": self._pipeline("KandinskyV22Pipeline", "decoder").movq}


def hint_tensor(hint: Image.Image) -> torch.Tensor:
    """An 8-bit hint as the pipelines take it: float32 [1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.array(hint.convert("RGB"))).float().div(255.0).permute(2, 0, 1)[None]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def _fresh(pipeline: Any) -> Any:
    """The pipeline, with a scheduler that has not run yet."""
    pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    return pipeline


def _pairs(outputs: Any) -> Embeddings:
    pairs = [
        (output.image_embeds.cpu().numpy(), output.negative_image_embeds.cpu().numpy()) for output in outputs
    ]
    return Embeddings(*(np.concatenate(rows) for rows in zip(*pairs, strict=True)))


def _images(pipeline: Any, embeddings: Embeddings, seeds: Sequence[int], **options: Any) -> np.ndarray:
    runs = (
        _fresh(pipeline)(
            **_placed({**embeddings.row(k), **options}, pipeline.device),
            generator=_generator(seed),
            output_type="np",
        )
        for k, seed in enumerate(seeds)
    )
    return np.concatenate([run.images for run in runs])


def _placed(options: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """With tensors on the device: pipelines move some of them themselves, and only when guided."""
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in options.items()
    }
