"""What earlier tries of a request came to: where its trajectories go on, and what is not made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kandinsky_server.diffusion.saved_latents import SavedLatents
from kandinsky_server.diffusion.schedule import steps_by_latents
from kandinsky_server.errors import FingerprintMismatch, InvalidField, Violation
from kandinsky_server.families.stages import Stage
from kandinsky_server.flows.requests import Embeddings, StreamOptions

CHECKPOINTS = "options.resume.checkpoints"
AFRESH = "send the request without options.resume"


@dataclass(frozen=True)
class Checkpoint:
    """Latents of one trajectory, of a stage with this fingerprint; ``place`` is where the request lists it."""

    fingerprint: str
    latents: SavedLatents
    place: int


@dataclass(frozen=True)
class Resume:
    """Checkpoints by stage and index; embeddings, and indices of images, that were delivered."""

    checkpoints: Mapping[tuple[str, int], Checkpoint] = field(default_factory=dict)
    embeddings: Mapping[int, Embeddings] = field(default_factory=dict)
    images: frozenset[int] = frozenset()

    def begun(
        self, stage: Stage, index: int, shape: tuple[int, ...], step_count: int, most: int
    ) -> SavedLatents | None:
        """Where trajectory ``index`` of a stage goes on, after at most ``most`` steps; None: from its start.

        Raises:
            FingerprintMismatch: the checkpoint is another stage's.
            InvalidField: it is not of such a trajectory, or of a server with another dtype.
        """
        checkpoint = self.checkpoints.get((stage.name, index))
        if checkpoint is None:
            return None
        name, latents = f"{CHECKPOINTS}[{checkpoint.place}]", checkpoint.latents
        if checkpoint.fingerprint != stage.fingerprint:
            raise FingerprintMismatch(
                f"{name} is of another {stage.name} than this server's; {AFRESH}, or to a server with that one",
                field=name,
                embedding_fingerprint=checkpoint.fingerprint,
                server_fingerprint=stage.fingerprint,
            )
        if latents.dtype != stage.dtype:
            told = (str(dtype).removeprefix("torch.") for dtype in (latents.dtype, stage.dtype))
            found = "is {} and this server computes in {}".format(*told)
            raise InvalidField([Violation(f"{name}.dtype", f"{found}; {AFRESH}")])
        if (latents.shape, latents.step_count) != (shape, step_count):
            expected = f"must be {list(shape)} after some of {step_count} steps"
            raise InvalidField([Violation(f"{name}.shape", f"{expected}; {AFRESH}")])
        if latents.step > most:
            raise InvalidField([Violation(f"{name}.step", f"must be 1 to {most}")])
        return latents


def check_stage(stage: Stage, options: StreamOptions, resume: Resume) -> None:
    """Whether the stage's trajectories can go on from checkpoints, if any are asked for or given.

    Raises:
        InvalidField: its noise scheduler needs more than latents.
    """
    noise_scheduler = stage.noise_scheduler()
    if steps_by_latents(noise_scheduler.template):
        return
    scheduler = noise_scheduler.name
    why = f"the {stage.name} stage steps with {scheduler}, which cannot go on from latents alone"
    if options.checkpoint_interval:
        raise InvalidField([Violation("options.checkpoint_interval_steps", f"must be 0: {why}")])
    if any(name == stage.name for name, _ in resume.checkpoints):
        raise InvalidField([Violation(CHECKPOINTS, f"must be empty: {why}")])
