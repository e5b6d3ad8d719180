"""The training loop all stages share: a budget in minutes, averaged weights, a checkpoint to go on from."""

from __future__ import annotations

import copy
import json
import math
import time
import zlib
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import distributed, nn
from tqdm import tqdm

from training import muon

SAVE_EVERY_SECONDS = 100.0
LONGEST_STEP_SECONDS = 20.0  # a longer one was a pause (SIGSTOP, a sleeping laptop) and is not counted


class Stage(Protocol):
    """One thing to train: its modules, and a loss for step n that depends on n and the weights alone."""

    name: str
    modules: nn.ModuleDict
    learning_rate: float  # AdamW's peak, for biases, norms, embeddings and thin matrices
    matrix_rate: float  # Muon's peak, for all other weights
    ema_decay: float

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of one step, and figures for the log; `done` is the share of the budget already spent."""


def share_of_peak(step: int, done: float) -> float:
    """Of the learning rates: a warm-up of 30 steps, then half a cosine over the time budget down to 2%."""
    return min(1.0, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def optimizers(stage: Stage, weights: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the rest."""
    matrices = muon.matrices(stage.modules)
    others = {id(w) for w in matrices}
    rest = [w for w in weights if id(w) not in others]
    return [
        muon.Muon(matrices, lr=stage.matrix_rate),
        torch.optim.AdamW(rest, lr=stage.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


@torch.no_grad()
def average(ema: nn.Module, live: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of all weights, with a shorter memory in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, new in zip(ema.state_dict().values(), live.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def rank() -> int:
    """Which of the processes that train this stage together this one is; 0 writes the checkpoint."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@torch.no_grad()
def pool(weights: list[nn.Parameter], spent: float) -> float:
    """Average the gradients over all processes, and the time spent, so that all stop together."""
    if not distributed.is_initialized():
        return spent
    gradients = [p.grad for p in weights if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([spent])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
    return flat[-1].item()


def save(path: Path, state: dict[str, Any]) -> None:
    """Write so that a kill at any moment leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    torch.save(state, half)
    half.replace(path)


def load(cache: Path, name: str) -> dict[str, Any]:
    """A stage's checkpoint; FileNotFoundError if it was never trained."""
    state: dict[str, Any] = torch.load(cache / f"{name}.pt", map_location="cpu", weights_only=True)
    return state


def train(stage: Stage, cache: Path, minutes: float) -> nn.ModuleDict:
    """Train (or go on training) a stage for `minutes` of running time in all; returns the average."""
    live, ema = stage.modules, copy.deepcopy(stage.modules).eval().requires_grad_(False)
    weights = [p for p in live.parameters() if p.requires_grad]
    both = optimizers(stage, weights)
    peaks = [optimizer.defaults["lr"] for optimizer in both]
    step, spent, path = 0, 0.0, cache / f"{stage.name}.pt"
    if path.exists():
        state = load(cache, stage.name)
        live.load_state_dict(state["live"])
        ema.load_state_dict(state["ema"])
        if "optimizers" in state:
            for optimizer, kept in zip(both, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
        step, spent = state["step"], state["spent"]
    saved_at, mean, last = spent, None, time.monotonic()
    with tqdm(
        total=round(minutes * 60), initial=round(spent), unit="s", desc=stage.name, mininterval=5
    ) as bar:
        while spent < minutes * 60:
            done = spent / (minutes * 60)
            for optimizer, peak in zip(both, peaks, strict=True):
                optimizer.param_groups[0]["lr"] = peak * share_of_peak(step, done)
                optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(zlib.crc32(f"{stage.name}/{step}/{rank()}".encode()))
            loss, figures = stage.loss(step, done)
            loss.backward()
            now = time.monotonic()
            spent, last = pool(weights, spent + min(now - last, LONGEST_STEP_SECONDS)), now
            nn.utils.clip_grad_norm_(weights, 1.0)
            for optimizer in both:
                optimizer.step()
            average(ema, live, stage.ema_decay, step)
            step += 1
            mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
            if step % 50 == 0 and rank() == 0:
                with open(path.with_suffix(".jsonl"), "a") as log:
                    log.write(
                        json.dumps({"step": step, "seconds": round(spent, 1), "loss": mean} | figures) + "\n"
                    )
            if rank() == 0 and (spent - saved_at > SAVE_EVERY_SECONDS or spent >= minutes * 60):
                state = {
                    "live": live.state_dict(),
                    "ema": ema.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in both],
                }
                save(path, state | {"step": step, "spent": spent})
                saved_at = spent
            bar.set_postfix(step=step, loss=f"{mean:.4f}", refresh=False)
            bar.update(round(spent) - bar.n)
    return ema
