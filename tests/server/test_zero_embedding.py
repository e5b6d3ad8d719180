"""Without a negative prompt the negative embedding is a black image's: it is made once, before the first request."""

from pathlib import Path

import numpy as np
from kandinsky_client import Kandinsky
from kandinsky_server.diffusion.prior import PriorSampling
from kandinsky_server.flows.embedding import EmbeddingWork, Prompt
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.running import RunningServer


def test_it_is_the_pipelines_and_no_request_encodes_it(
    server: RunningServer, client: Kandinsky, tiny_model: Path
) -> None:
    before = len(server.recorder.steps)
    made = client.prior("a small house", image_count=2, step_count=2, seed=4321)
    client.interpolate(["a small house", "a big dog"], [0.5, 0.5], step_count=2, seed=4321)
    networks = {report.lane.network for report in server.recorder.steps[before:]}
    assert networks == {"text_encoder", "prior"}
    expected = oracle(tiny_model).prior("a small house", [4321, 4322], num_inference_steps=2)
    for result, negative in zip(made, expected.negative, strict=True):
        assert result.embedding.negative is not None
        np.testing.assert_allclose(result.embedding.negative.array.ravel(), negative, rtol=0, atol=1e-5)


def test_forecasts_do_not_count_it(server: RunningServer) -> None:
    sampling = PriorSampling(0, 2, 4.0)
    for negative in (None, "a dog"):
        works = EmbeddingWork(server.app.handlers.runtime, Prompt("a new one", negative), sampling).works
        assert {work.key.network for work in works} == {"text_encoder", "prior"}
