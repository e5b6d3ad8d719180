"""The commands that call the server; `run` is imported when one runs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kandinsky_client.cli.files import named_file, named_texts
from kandinsky_client.cli.flags import EmbeddingFlags, ImageFlags, Json, Strength
from kandinsky_client.cli.spread import spread

Prompts = Annotated[list[str], typer.Argument(callback=named_texts, help="One prompt or several.")]
Files = Annotated[
    list[Path],
    typer.Argument(callback=named_file, help="Files of embeddings, as `kandinsky prior` writes them."),
]
NegativePrompt = Annotated[str | None, typer.Option(help="What the pictures are guided away from.")]
StartImage = Annotated[
    Path | None, typer.Option(callback=named_file, help="An image to start from, in place of noise.")
]
PasteOriginal = Annotated[bool, typer.Option("--paste-original", help="Keep the kept pixels exactly.")]

PriorSeed = Annotated[
    int | None, typer.Option(help="Seed of the first embedding. Default: the seed of the first image.")
]
PriorSteps = Annotated[
    int | None, typer.Option("--prior-step-count", "--prior-steps", help="Denoising steps of the prior.")
]
PriorGuidance = Annotated[float | None, typer.Option("--prior-guidance-scale", help="Guidance of the prior.")]


@spread
def prior(
    context: typer.Context,
    prompts: Prompts,
    *,
    negative_prompt: NegativePrompt = None,
    image: StartImage = None,
    strength: Strength = None,
    flags: EmbeddingFlags,
) -> None:
    """Turn prompts into embeddings, for decode and its kin."""
    from kandinsky_client.cli.run import run_embeddings

    own: dict[str, Any] = {"negative_prompt": negative_prompt, "image": image, "strength": strength}
    run_embeddings(context.obj, lambda call, options: call.prior(prompts, **own, **options), flags, "prior")


@spread
def interpolate(
    context: typer.Context,
    conditions: Annotated[
        list[str],
        typer.Argument(
            callback=named_texts,
            help="Texts, image files and .safetensors files: what exists, or ends like one, is a file.",
        ),
    ],
    *,
    weights: Annotated[
        list[str], typer.Option("--weights", "-w", help="One weight a condition: 0.3,0.7. Repeat for a path.")
    ],
    negative_prompt: NegativePrompt = None,
    negative_prior_prompt: Annotated[str | None, typer.Option(help="Of each text's prior run.")] = None,
    flags: EmbeddingFlags,
) -> None:
    """Mix texts, images and embeddings by weight."""
    from kandinsky_client.cli.inputs import read_conditions, read_weights
    from kandinsky_client.cli.run import run_embeddings

    mixed, vectors = read_conditions(conditions), read_weights(weights)
    own: dict[str, Any] = {
        "negative_prompt": negative_prompt or "",
        "negative_prior_prompt": negative_prior_prompt,
    }
    run_embeddings(
        context.obj,
        lambda call, options: call.interpolate(mixed, vectors, **own, **options),
        flags,
        "interpolate",
    )


@spread
def decode(context: typer.Context, embeddings: Files, *, flags: ImageFlags) -> None:
    """Turn embeddings into images."""
    _from_embeddings("decode", context, embeddings, flags)


@spread
def img2img(
    context: typer.Context,
    embeddings: Files,
    *,
    image: Annotated[Path, typer.Option(callback=named_file, help="The image to start from.")],
    strength: Strength = None,
    flags: ImageFlags,
) -> None:
    """Repaint an image towards embeddings."""
    _from_embeddings("img2img", context, embeddings, flags, image=image, strength=strength)


@spread
def inpaint(
    context: typer.Context,
    embeddings: Files,
    *,
    image: Annotated[Path, typer.Option(callback=named_file, help="The image.")],
    mask: Annotated[
        Path, typer.Option(callback=named_file, help="Its mask: white is repainted, black is kept.")
    ],
    paste_original: PasteOriginal = False,
    flags: ImageFlags,
) -> None:
    """Repaint the white part of a mask."""
    own: dict[str, Any] = {"image": image, "mask": mask, "paste_original": paste_original}
    _from_embeddings("inpaint", context, embeddings, flags, **own)


@spread
def controlnet(
    context: typer.Context,
    embeddings: Files,
    *,
    hint: Annotated[
        Path | None, typer.Option(callback=named_file, help="The hint itself, such as a depth map.")
    ] = None,
    depth_from: Annotated[
        Path | None,
        typer.Option(
            callback=named_file, help="An image whose depth the server estimates, in place of a hint."
        ),
    ] = None,
    image: StartImage = None,
    strength: Strength = None,
    flags: ImageFlags,
) -> None:
    """Turn embeddings into images that follow a depth hint."""
    if (hint is None) == (depth_from is None):
        raise typer.BadParameter("give one of --hint and --depth-from")
    own: dict[str, Any] = {"hint": hint, "depth_from": depth_from, "image": image, "strength": strength}
    _from_embeddings("controlnet", context, embeddings, flags, **own)


@spread
def generate(
    context: typer.Context,
    prompts: Prompts,
    *,
    negative_prompt: NegativePrompt = None,
    prior_seed: PriorSeed = None,
    prior_step_count: PriorSteps = None,
    prior_guidance_scale: PriorGuidance = None,
    image: StartImage = None,
    mask: Annotated[
        Path | None, typer.Option(callback=named_file, help="The white part of the image is repainted.")
    ] = None,
    strength: Strength = None,
    paste_original: PasteOriginal = False,
    flags: ImageFlags,
) -> None:
    """Turn prompts into images in one call."""
    from kandinsky_client.cli.run import run_images

    own: dict[str, Any] = {
        "negative_prompt": negative_prompt,
        "prior_seed": prior_seed,
        "prior_step_count": prior_step_count,
        "prior_guidance_scale": prior_guidance_scale,
        "image": image,
        "mask": mask,
        "strength": strength,
        "paste_original": paste_original,
    }
    run_images(context.obj, lambda call, options: call.generate(prompts, **own, **options), flags, "generate")


def info(context: typer.Context, json: Json = False) -> None:
    """Show what the server has loaded, its limits and its defaults."""
    from kandinsky_client.cli.info import show_info

    show_info(context.obj, as_json=json)


def health(
    context: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            help='A stage, or a service such as "kandinsky_api.v1.ServerService", which says that the process lives. '
            "Default: whether all is loaded and nothing drains."
        ),
    ] = "",
) -> None:
    """Ask whether the server is serving: exit code 0 when it is, else 1. Without token, and without a second try."""
    from kandinsky_client.cli.health import show_health

    show_health(context.obj, service)


def _from_embeddings(
    method: str, context: typer.Context, files: list[Path], flags: ImageFlags, **own: Any
) -> None:
    """Runs a call whose first argument is embeddings; results are named after the first file."""
    from kandinsky_client.cli.inputs import read_pairs
    from kandinsky_client.cli.run import run_images

    pairs = read_pairs(files)
    run_images(
        context.obj,
        lambda call, options: getattr(call, method)(pairs, **own, **options),
        flags,
        files[0].stem,
        [pair.receipt.prompt if pair.receipt else None for pair in pairs],
    )
