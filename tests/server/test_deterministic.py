"""`--deterministic`: the same request gives the same bits, whoever else is served."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kandinsky_client import Kandinsky
from kandinsky_server.testing.running import RunningServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    with RunningServer(tiny_model, deterministic=True, prior_cache_size=0) as running:
        yield running


def pixels(client: Kandinsky, seed: int, steps: int, **options: Any) -> bytes:
    results = client.generate(
        "a red circle", seed=seed, prior_step_count=3, step_count=steps, format="raw_rgb_f32", **options
    )
    return np.asarray(results[0].array).tobytes()


def test_bits_do_not_depend_on_the_neighbours(server: RunningServer) -> None:
    with server.client() as client:
        alone = pixels(client, seed=5, steps=8)
        crowd = [
            threading.Thread(
                target=pixels, args=(client, seed, 6 + seed), kwargs={"guidance_scale": seed / 2}
            )
            for seed in range(1, 7)
        ]
        for thread in crowd:
            thread.start()
        crowded = [pixels(client, seed=5, steps=8) for _ in range(2)]
        for thread in crowd:
            thread.join()
    assert crowded == [alone, alone]
    assert all(len(report.members) == 1 for report in server.recorder.steps)


def test_other_seeds_have_other_bits(server: RunningServer) -> None:
    with server.client() as client:
        assert pixels(client, seed=5, steps=4) != pixels(client, seed=6, steps=4)
