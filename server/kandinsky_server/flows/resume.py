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
FINGERPRINTS = "options.resume.stage_fingerprints"
AFRESH = "send the request without options.resume"


@dataclass(frozen=True)
class Checkpoint:
    """Latents of one trajectory, of a stage with this fingerprint; ``place`` is where the request lists it."""

    fingerprint: str
    latents: SavedLatents
    place: int


@dataclass(frozen=True)
class Resume:
    """Checkpoints by stage and index; embeddings, and indices of images, that were delivered.

    ``fingerprints`` are those of the stages, by name, that made what was delivered.
    """

    checkpoints: Mapping[tuple[str, int], Checkpoint] = field(default_factory=dict)
    embeddings: Mapping[int, Embeddings] = field(default_factory=dict)
    images: frozenset[int] = frozenset()
    fingerprints: Mapping[str, str] = field(default_factory=dict)

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
        _check_fingerprint(name, checkpoint.fingerprint, stage)
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
    """Whether this stage made what was delivered, and can go on from checkpoints, if any are asked for or given.

    Raises:
        FingerprintMismatch: another stage of its name made what was delivered.
        InvalidField: its noise scheduler needs more than latents.
    """
    if made_by := resume.fingerprints.get(stage.name):
        _check_fingerprint(f"{FINGERPRINTS}[{stage.name!r}]", made_by, stage)
    noise_scheduler = stage.noise_scheduler()
    if steps_by_latents(noise_scheduler.template):
        return
    scheduler = noise_scheduler.name
    why = f"the {stage.name} stage steps with {scheduler}, which cannot go on from latents alone"
    if options.checkpoint_interval:
        raise InvalidField([Violation("options.checkpoint_interval_steps", f"must be 0: {why}")])
    if any(name == stage.name for name, _ in resume.checkpoints):
        raise InvalidField([Violation(CHECKPOINTS, f"must be empty: {why}")])


def _check_fingerprint(field: str, fingerprint: str, stage: Stage) -> None:
    if fingerprint != stage.fingerprint:
        raise FingerprintMismatch(
            f"{field} is of another {stage.name} than this server's; {AFRESH}, or to a server with that one",
            field=field,
            embedding_fingerprint=fingerprint,
            server_fingerprint=stage.fingerprint,
        )
