"""How a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kandinsky_backends.base import Backend
from kandinsky_backends.options import PREPARED_ROWS, BackendOptions
from kandinsky_backends.registry import get_backend

from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.families.sizes import Size, parse_size
from kandinsky_server.settings import Settings
from kandinsky_server.startup.number_type import NumberType


@dataclass(frozen=True)
class LoadOptions:
    """``max_batch_rows`` None measures where more rows stop paying; ``residency`` is for offloading, else None.

    ``prepared_rows`` are the most rows that networks are prepared for, and compared with eager on; ``sizes`` of which
    pictures, each stage's native one where there are none.
    """

    device: torch.device
    dtype: torch.dtype
    backend: Backend
    strict: bool = False
    max_batch_rows: int | None = None
    max_batch_pixels: int | None = None
    prepared_rows: int = PREPARED_ROWS
    sizes: tuple[Size, ...] = ()
    residency: Residency | None = None


def load_options(
    settings: Settings,
    device: torch.device,
    number_type: NumberType,
    backend_options: BackendOptions,
    residency: Residency | None,
) -> LoadOptions:
    """Those that the settings mean.

    Raises:
        BackendUnavailable: the backend cannot be used on ``device``.
    """
    return LoadOptions(
        device=device,
        dtype=number_type.dtype,
        backend=get_backend(settings.backend, backend_options, device),
        strict=settings.strict_backend,
        max_batch_rows=settings.max_batch_rows,
        max_batch_pixels=settings.max_batch_pixels,
        prepared_rows=settings.buckets[-1] if settings.buckets else PREPARED_ROWS,
        sizes=tuple(map(parse_size, settings.sizes or ())),
        residency=residency,
    )
