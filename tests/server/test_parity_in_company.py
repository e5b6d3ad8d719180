"""The answer does not depend on who else is in the batch."""

from pathlib import Path

import numpy as np
import pytest
from kandinsky_client import Kandinsky

from tests.harness import RunningServer
from tests.oracle import oracle
from tests.server.company import company, riders
from tests.server.pipelines import EMBEDDING_PIPELINES, IMAGE_PIPELINES, Pipeline, Variant, pair_of, sendable

TOLERANCE = 1e-3
EMBEDDINGS = [Variant(3, 4.0, "a blue dog"), Variant(1, 1.0)]
IMAGES = [Variant(1, 4.0, "a blue dog", 128, 64), Variant(3, 1.0)]
CASES = [
    *((pipeline, variant) for pipeline in EMBEDDING_PIPELINES for variant in EMBEDDINGS),
    *((pipeline, variant) for pipeline in IMAGE_PIPELINES for variant in IMAGES),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "variant"), CASES, ids=[f"{pipeline.__name__}-{variant}" for pipeline, variant in CASES]
)
def test_answer_equals_the_pipelines_in_company(
    server: RunningServer, client: Kandinsky, tiny_model: Path, pipeline: Pipeline, variant: Variant
) -> None:
    reference = oracle(tiny_model)
    pair = sendable(pair_of(reference, Variant()))[0]
    case = pipeline(reference, variant)
    with company(client, pair):
        before = len(server.recorder.steps)
        strangers = {name for report in server.recorder.steps[-100:] for name in riders(report)}
        served = case.served(client)
        reports = server.recorder.steps[before:]
    shared = [
        report
        for report in reports
        if riders(report).keys() & strangers and riders(report).keys() - strangers
    ]
    assert len(shared) >= 2
    assert np.abs(served - case.expected).max() <= TOLERANCE
