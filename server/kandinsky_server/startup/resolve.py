"""From settings to what they mean on this machine."""

from __future__ import annotations

from kandinsky_backends.options import Attention, BackendOptions

from kandinsky_server.checkpoints.source import STAGES, Sources, resolve
from kandinsky_server.settings import Settings
from kandinsky_server.startup.number_type import NumberType


def backend_options(settings: Settings, threads: int, number_type: NumberType) -> BackendOptions:
    """What backends are told of the settings."""
    return BackendOptions(
        threads=threads,
        attention=Attention(settings.attention),
        deterministic=settings.deterministic,
        cache_dir=settings.backend_cache_dir,
        buckets=settings.buckets,
        dtype=number_type.dtype,
    )


def sources_of(settings: Settings) -> Sources:
    """Where the stages come from; raises CheckpointError when that cannot be told."""
    return resolve(settings.model, overrides(settings))


def overrides(settings: Settings) -> Sources:
    """The stages that are given one by one."""
    given = {name: getattr(settings, name) for name in STAGES}
    return Sources({name: source for name, source in given.items() if source}, settings.depth_model)
