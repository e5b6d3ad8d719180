"""The answer does not depend on who else is in the batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kandinsky_server.testing.calls import company, members
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import (
    EMBEDDING_PIPELINES,
    IMAGE_PIPELINES,
    Pipeline,
    Variant,
    pair_of,
    sendable,
)
from kandinsky_server.testing.running import RunningServer

TOLERANCE = 1e-3
EMBEDDINGS = [Variant(3, 4.0, "a blue dog"), Variant(1, 1.0)]
IMAGES = [Variant(1, 4.0, "a blue dog", 128, 64), Variant(3, 1.0)]
CASES = [
    *((pipeline, variant) for pipeline in EMBEDDING_PIPELINES for variant in EMBEDDINGS),
    *((pipeline, variant) for pipeline in IMAGE_PIPELINES for variant in IMAGES),
]


@pytest.fixture(scope="module")
def forgetful(tiny_model: Path) -> Iterator[RunningServer]:
    """A server without a prior cache: what it answers, it computed in company."""
    with RunningServer(tiny_model, prior_cache_size=0) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "variant"), CASES, ids=[f"{pipeline.__name__}-{variant}" for pipeline, variant in CASES]
)
def test_answer_equals_the_pipelines_in_company(
    forgetful: RunningServer, tiny_model: Path, pipeline: Pipeline, variant: Variant
) -> None:
    reference = oracle(tiny_model)
    pair = sendable(pair_of(reference, Variant()))[0]
    case = pipeline(reference, variant)
    with forgetful.client() as client, company(client, pair):
        before = len(forgetful.recorder.steps)
        strangers = {name for report in forgetful.recorder.steps[-100:] for name in members(report)}
        served = case.served(client)
        reports = forgetful.recorder.steps[before:]
    shared = [
        report
        for report in reports
        if members(report).keys() & strangers and members(report).keys() - strangers
    ]
    assert len(shared) >= 2
    assert np.abs(served - case.expected).max() <= TOLERANCE
