"""Every pipeline on the device, in fp32, through gRPC, against unmodified diffusers: alone and in company."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kandinsky_server.testing.calls import company
from kandinsky_server.testing.oracle import Oracle
from kandinsky_server.testing.pipelines import (
    EMBEDDING_PIPELINES,
    IMAGE_PIPELINES,
    Variant,
    pair_of,
    sendable,
)
from kandinsky_server.testing.running import RunningServer

from benchmarks.figure import Figure, at_most
from benchmarks.gpu.plan import Plan, Stand

TOLERANCE = 1e-3


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """The toy model in this process."""
    reference = Oracle(Path(str(files("kandinsky_toy"))), torch.device(plan.device))
    pipelines = plan.scaled(
        (*EMBEDDING_PIPELINES, *IMAGE_PIPELINES), (EMBEDDING_PIPELINES[0], IMAGE_PIPELINES[0])
    )
    variant = Variant(count=2, width=128, height=128)
    cases = {pipeline.__name__: pipeline(reference, variant) for pipeline in pipelines}
    neighbour = sendable(pair_of(reference, Variant()))[0]
    options: dict[str, Any] = {"device": plan.device, "backend": plan.backend, "prior_cache_size": 0}
    with RunningServer(**options) as server, server.client() as client:
        for how in ("alone", "in company"):
            found = {}
            with company(client, neighbour) if how == "in company" else nullcontext():
                for name, case in cases.items():
                    found[name] = float(np.abs(case.served(client) - case.expected).max())
            note = ", ".join(f"{name} {difference:.1e}" for name, difference in found.items())
            title = f"fp32 parity through gRPC, {len(cases)} pipelines, {how}"
            yield Figure(title, at_most(TOLERANCE), [max(found.values())], "", plan.command("parity"), note)
