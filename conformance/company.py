"""Calls of others, which fill the real server's queue while a case runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from kandinsky_client import Embedding, EmbeddingPair, Kandinsky

from conformance.cases import Company

STEPS = 1000
"""More than are taken while any case runs."""


@contextmanager
def keep_company(target: str, company: Company) -> Iterator[None]:
    """Holds places of the queue until the end of the block."""
    with Kandinsky(target, token=company.token) as client:
        prior, *_ = client.info(timeout=20).stages
        noise = Embedding.from_array(np.ones(prior.embedding_width, np.float32))
        with client.stream.decode(
            EmbeddingPair(noise, noise),
            image_count=company.images,
            step_count=STEPS,
            width_px=64,
            height_px=64,
        ) as events:
            next(events)  # `queued`: the places are held
            yield
