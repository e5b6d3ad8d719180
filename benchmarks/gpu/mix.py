"""Requests of several RPCs and sizes, some given up while they run."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import grpc
from kandinsky_client import Kandinsky, KandinskyError

from benchmarks.gpu.plan import Plan
from benchmarks.load import Material
from benchmarks.process import ServerProcess

CANCELLED = 0.1
"""Of all requests."""


class Mix:
    """Asks one request after another, and counts how they ended. ``lost`` holds what should have ended otherwise."""

    def __init__(self, plan: Plan, server: ServerProcess) -> None:
        self.ends: Counter[str] = Counter()
        self.lost: list[str] = []
        self._plan = plan
        self._counting = threading.Lock()
        with server.client() as client:
            self._material = Material.of(client)

    def ask(self, client: Kandinsky, number: int) -> None:
        """One request; equal numbers are equal requests."""
        draw = random.Random(number)
        rpc = draw.choice(("decode", "decode", "img2img", "generate", "prior"))
        end = (
            self._cancelled(client, draw) if draw.random() < CANCELLED else self._answered(client, rpc, draw)
        )
        with self._counting:
            self.ends[end] += 1
            if end not in ("OK", "given up"):
                self.lost.append(f"{rpc} {number}: {end}")

    def _answered(self, client: Kandinsky, rpc: str, draw: random.Random) -> str:
        side = draw.choice(self._plan.sizes)
        sampling: dict[str, Any] = {"seed": draw.randrange(2**31), "step_count": draw.randint(2, 12)}
        size: dict[str, Any] = {
            "width_px": side,
            "height_px": side,
            "guidance_scale": draw.choice((1.0, 4.0)),
        }
        try:
            if rpc == "prior":
                client.prior("a red circle", **sampling)
            elif rpc == "generate":
                client.generate("a red circle", prior_step_count=3, **sampling, **size)
            elif rpc == "img2img":
                client.img2img(self._material.pair, self._material.image, strength=1.0, **sampling, **size)
            else:
                client.decode(self._material.pair, **sampling, **size)
        except (KandinskyError, grpc.RpcError) as error:
            return f"{type(error).__name__}: {error}"
        return "OK"

    def _cancelled(self, client: Kandinsky, draw: random.Random) -> str:
        with client.stream.decode(self._material.pair, seed=draw.randrange(2**31), step_count=100) as events:
            for _ in zip(events, range(4), strict=False):
                pass
        return "given up"
