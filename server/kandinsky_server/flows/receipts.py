"""What every receipt says."""

from __future__ import annotations

from typing import Any

from kandinsky_server.diffusion.decoder import DecoderSampling
from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.flows.events import Receipt, Timings
from kandinsky_server.flows.session import Session


def receipt_of(
    session: Session,
    rpc: str,
    stage: PriorStage | DecoderStage,
    sampling: PriorSampling | DecoderSampling,
    timings: Timings,
    **what: Any,
) -> Receipt:
    """The receipt of one result; ``what`` are the fields that only such results have."""
    runtime = session.runtime
    return Receipt(
        rpc=rpc,
        seed=sampling.seed,
        step_count=sampling.step_count,
        guidance_scale=sampling.guidance_scale,
        strength=sampling.strength,
        stage=stage.name,
        fingerprint=stage.fingerprint,
        scheduler=stage.noise_scheduler().name,
        backend=runtime.model.networks[stage.name].backend,
        dtype=runtime.dtype_name,
        timings=timings,
        **what,
    )
