"""Kandinsky 2.2 as the rest of the server sees it."""

from __future__ import annotations

from functools import partial

import diffusers
import transformers

from kandinsky_server.families.family import Family, SamplingDefaults
from kandinsky_server.families.kandinsky22.compatibility import check_decoder, check_prior, check_together
from kandinsky_server.families.kandinsky22.specs import decoder_parts, prior_parts
from kandinsky_server.families.stage_spec import StageSpec
from kandinsky_server.families.stages import DecoderStage, PriorStage

PRIOR = StageSpec(
    "prior",
    kind=PriorStage,
    networks={
        "prior": diffusers.PriorTransformer,
        "text_encoder": transformers.CLIPTextModelWithProjection,
        "image_encoder": transformers.CLIPVisionModelWithProjection,
    },
    processors=("tokenizer", "image_processor"),
    scheduler="UnCLIPScheduler",
    check=check_prior,
    parts=lambda stage, sizes, movq: prior_parts(stage),
)

_decoder = partial(
    StageSpec,
    kind=DecoderStage,
    networks={"unet": diffusers.UNet2DConditionModel, "movq": diffusers.VQModel},
    scheduler="DDPMScheduler",
    check=check_decoder,
    parts=decoder_parts,
)
DECODER = _decoder("decoder")
INPAINT = _decoder("inpaint", inpaints=True)
CONTROLNET = _decoder("controlnet", takes_hint=True)

KANDINSKY22 = Family(
    stages={spec.name: spec for spec in (PRIOR, DECODER, INPAINT, CONTROLNET)},
    presets={
        "kandinsky-2.2": {
            PRIOR.name: "kandinsky-community/kandinsky-2-2-prior",
            DECODER.name: "kandinsky-community/kandinsky-2-2-decoder",
            INPAINT.name: "kandinsky-community/kandinsky-2-2-decoder-inpaint",
            CONTROLNET.name: "kandinsky-community/kandinsky-2-2-controlnet-depth",
        }
    },
    rpcs={
        "Prior": PRIOR,
        "Interpolate": PRIOR,
        "Decode": DECODER,
        "Img2Img": DECODER,
        "Inpaint": INPAINT,
        "ControlNet": CONTROLNET,
    },
    defaults=SamplingDefaults(
        prior_step_count=25, prior_guidance_scale=4.0, step_count=100, guidance_scale=4.0, strength=0.3
    ),
    check_together=check_together,
)
