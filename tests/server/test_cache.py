"""Equal prior work is done once, and answers compose from part to part."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from kandinsky_client import EmbeddingReady, EmbeddingSet, Kandinsky, Queued
from kandinsky_server.testing.calls import named, new_id, wait_for_step
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import pixels, vectors
from kandinsky_server.testing.running import RunningServer

PROMPT = "a photo of a robot"
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Iterator[RunningServer]:
    """A server that keeps no embeddings, so that only work in flight can be shared."""
    with RunningServer(tiny_model, prior_cache_size=0) as running:
        yield running


def prior_steps(server: RunningServer, *names: str) -> int:
    """Steps of the prior that these requests took, all together."""
    reports = [report for report in list(server.recorder.steps) if report.stage == "prior"]
    return sum(ticket.request_id in names for report in reports for ticket, _ in report.members)


def wait_for_queued(events: Iterator[object]) -> None:
    assert isinstance(next(events), Queued)


def test_an_equal_request_is_answered_from_the_cache(server: RunningServer, client: Kandinsky) -> None:
    first, second = new_id(), new_id()
    options: dict[str, Any] = {"seed": 11, "step_count": 3, "image_count": 2}
    one = client.prior(PROMPT, **options, **named(first))
    other = client.prior(PROMPT, **options, **named(second))
    assert [result.cached for result in one] == [False, False]
    assert [result.cached for result in other] == [True, True]
    assert (prior_steps(server, first), prior_steps(server, second)) == (6, 0)
    np.testing.assert_array_equal(vectors(one), vectors(other))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 22},
        {"step_count": 4},
        {"guidance_scale": 3.0},
        {"negative_prompt": ""},
        {"prompts": PROMPT + "."},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_input_is_new_work(client: Kandinsky, change: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"prompts": PROMPT, "seed": 21, "step_count": 3, "guidance_scale": 4.0}
    client.prior(**asked)
    assert not client.prior(**{**asked, **change})[0].cached


def test_generate_and_interpolate_use_what_prior_made(client: Kandinsky) -> None:
    options: dict[str, Any] = {"seed": 31, "step_count": 3}
    client.prior(PROMPT, **options)
    made = client.generate(PROMPT, seed=31, prior_step_count=3, step_count=1)
    assert made.embeddings[0].cached
    assert client.interpolate([PROMPT], [1.0], **options).completed.step_count == 0


def test_equal_requests_at_once_run_the_network_once(plain: RunningServer) -> None:
    names = [new_id() for _ in range(4)]
    options: dict[str, Any] = {"seed": 41, "step_count": 300}
    answers: list[EmbeddingSet] = []
    with plain.client() as client, client.stream.prior(PROMPT, **options, **named(names[0])) as leader:
        wait_for_step(leader, 1)
        followers = [
            Thread(target=lambda name=name: answers.append(client.prior(PROMPT, **options, **named(name))))
            for name in names[1:]
        ]
        for follower in followers:
            follower.start()
        for follower in followers:
            follower.join()
    assert prior_steps(plain, *names) == 300
    assert [answer[0].cached for answer in answers] == [True] * 3


def test_steps_that_requests_share_are_forecast_once(plain: RunningServer) -> None:
    """The leader stands still between two steps meanwhile."""
    network, held, go_on = plain.app.model.networks["prior"], Event(), Event()
    inner = network.call

    def still(*inputs: object) -> object:
        held.set()
        go_on.wait(60)
        return inner(*inputs)

    options: dict[str, Any] = {"seed": 46, "step_count": 40}
    with plain.client() as client, client.stream.prior(PROMPT, **options) as leader:
        wait_for_step(leader, 10)
        network.call = still
        try:
            held.wait(60)
            other = client.estimate.prior(PROMPT, seed=47, step_count=40)
            same = client.estimate.prior(PROMPT, **options)
            follower = client.stream.prior(PROMPT, **options)
            wait_for_queued(follower)
            tickets = plain.app.admission.tickets
            prior = [work for ticket in tickets for work in ticket.planned if work.key.network == "prior"]
            assert [work.rows for work in prior] == [0]
            assert len(plain.app.engine.active) == 1
        finally:
            network.call = inner
            go_on.set()
        assert list(follower)
    assert (same.trajectory_count, same.step_count) == (0, 0)
    assert (other.trajectory_count, other.step_count) == (1, 40)
    assert min(same.run_seconds, other.run_seconds) > 0


@pytest.mark.slow
def test_a_cancelled_leader_does_not_fail_its_followers(plain: RunningServer, tiny_model: Path) -> None:
    names = [new_id(), new_id()]
    options: dict[str, Any] = {"seed": 51, "step_count": 150}
    with plain.client() as client:
        leader = client.stream.prior(PROMPT, **options, **named(names[0]))
        wait_for_step(leader, 1)
        follower = client.stream.prior(PROMPT, **options, **named(names[1]))
        wait_for_queued(follower)
        wait_for_step(leader, 10)
        leader.close()
        [result] = [event.result for event in follower if isinstance(event, EmbeddingReady)]
    assert prior_steps(plain, names[1]) == 150
    expected = oracle(tiny_model).prior(PROMPT, [51], num_inference_steps=150)
    np.testing.assert_allclose(result.embedding.positive.array, expected.positive[0], rtol=0, atol=TOLERANCE)


def test_each_result_can_be_had_again_alone(client: Kandinsky) -> None:
    pairs = client.prior([PROMPT, "a dog"], seed=61, image_count=2, step_count=3)
    assert [result.seed for result in pairs] == [61, 62, 63, 64]
    alone = client.prior("a dog", seed=64, step_count=3, guidance_scale=4.0)
    np.testing.assert_allclose(vectors(pairs)[3:], vectors(alone), rtol=0, atol=TOLERANCE)
    images = client.decode(pairs[0], seed=71, image_count=3, step_count=4, format="raw_rgb_f32")
    last = client.decode(pairs[0], seed=73, step_count=4, format="raw_rgb_f32")
    np.testing.assert_allclose(pixels(images)[2:], pixels(last), rtol=0, atol=TOLERANCE)


def test_generate_is_prior_then_decode(plain: RunningServer) -> None:
    options: dict[str, Any] = {"seed": 81, "negative_prompt": "small"}
    sampling: dict[str, Any] = {"seed": 81, "step_count": 4, "guidance_scale": 3.0, "format": "raw_rgb_f32"}
    with plain.client() as client:
        made = client.generate(PROMPT, **sampling, prior_step_count=5, negative_prompt="small")
        pairs = client.prior(PROMPT, step_count=5, **options)
        images = client.decode(pairs, **sampling)
    np.testing.assert_array_equal(vectors(EmbeddingSet(made.embeddings, made.completed)), vectors(pairs))
    np.testing.assert_array_equal(pixels(made), pixels(images))


def test_interpolate_is_the_weighted_sum_of_priors(client: Kandinsky) -> None:
    texts = ["a red cat", "a blue dog"]
    options: dict[str, Any] = {"seed": 91, "step_count": 4}
    path = [[1.0, 0.0], [0.3, 0.9], [-0.5, 0.25]]
    parts = [client.prior(text, **options)[0].embedding.positive.array for text in texts]
    frames = client.interpolate(texts, path, **options)
    assert [frame.source_index for frame in frames] == [0, 1, 2]
    for frame, weights in zip(frames, path, strict=True):
        first, second = (part * np.float32(weight) for part, weight in zip(parts, weights, strict=True))
        np.testing.assert_array_equal(frame.embedding.positive.array, first + second)


def test_a_drawn_seed_is_told_and_gives_the_result_again(client: Kandinsky) -> None:
    drawn = client.prior(PROMPT, step_count=2)
    assert drawn[0].seed == drawn.seed
    np.testing.assert_array_equal(
        vectors(client.prior(PROMPT, step_count=2, seed=drawn.seed)), vectors(drawn)
    )
