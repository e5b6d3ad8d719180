"""No one waits for someone else's steps: requests join and leave the running batch at every step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kandinsky_client import EmbeddingPair, EventStream, Kandinsky
from kandinsky_server.engine.report import StepReport
from kandinsky_server.testing.calls import ENDLESS, members, named, new_id, wait_for_step
from kandinsky_server.testing.oracle import oracle
from kandinsky_server.testing.pipelines import Variant, mask, pair_of, picture, sendable
from kandinsky_server.testing.running import RunningServer


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> EmbeddingPair:
    return sendable(pair_of(oracle(tiny_model), Variant()))[0]


@pytest.fixture
def endless(client: Kandinsky, pair: EmbeddingPair) -> Iterator[str]:
    """The id of a Decode that runs, guided, for longer than the test."""
    name = new_id()
    with client.stream.decode(pair, seed=1, step_count=ENDLESS, guidance_scale=4.0, **named(name)) as events:
        wait_for_step(events, 3)
        yield name


def shared_by(server: RunningServer, *names: str) -> list[StepReport]:
    """The network calls in which all of these requests rode."""
    return [report for report in list(server.recorder.steps) if members(report).keys() >= set(names)]


def steps_of(server: RunningServer, name: str, stage: str) -> list[StepReport]:
    """The network calls of one request in a stage."""
    return [report for report in shared_by(server, name) if report.stage == stage]


def test_decode_and_img2img_ride_in_the_same_call(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, endless: str
) -> None:
    name = new_id()
    client.img2img(pair, picture(1), strength=0.7, seed=2, step_count=10, guidance_scale=1.0, **named(name))
    shared = shared_by(server, endless, name)
    assert len(shared) == 7
    assert {(report.stage, report.rows) for report in shared} == {("decoder", 3)}


def test_a_later_request_joins_the_batch_that_runs(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, endless: str
) -> None:
    name = new_id()
    client.decode(pair, seed=2, step_count=5, guidance_scale=7.0, **named(name))
    steps = steps_of(server, name, "decoder")
    assert all(endless in members(report) for report in steps)
    at = [{ticket.request_id: step for ticket, step in report.members} for report in steps]
    assert [place[name] for place in at] == [1, 2, 3, 4, 5]
    assert at[0][endless] > 3
    assert [place[endless] - at[0][endless] for place in at] == [0, 1, 2, 3, 4]


def test_a_short_request_does_not_wait_for_a_long_one(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, endless: str
) -> None:
    client.decode(pair, seed=2, step_count=3)
    last = shared_by(server, endless)[-1]
    assert max(step for _, step in last.members) < ENDLESS


def test_generate_shares_with_prior_and_with_decode(
    server: RunningServer, client: Kandinsky, endless: str
) -> None:
    prior, name = new_id(), new_id()
    options: dict[str, Any] = {"seed": 5, "step_count": ENDLESS, "negative_prompt": "dog"}
    with client.stream.prior("a small square", **options, **named(prior)) as events:
        wait_for_step(events, 1)
        client.generate("a big circle", seed=6, prior_step_count=4, step_count=4, **named(name))
    assert len([report for report in shared_by(server, prior, name) if report.stage == "prior"]) == 4
    assert len([report for report in shared_by(server, endless, name) if report.stage == "decoder"]) == 4


def test_all_images_of_a_request_ride_together(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, endless: str
) -> None:
    name = new_id()
    client.decode(pair, seed=2, image_count=4, step_count=3, guidance_scale=1.0, **named(name))
    steps = steps_of(server, name, "decoder")
    assert sum(report.rows - 2 for report in steps) == 4 * 3
    assert max(report.rows for report in steps) == 2 + 4


@pytest.mark.parametrize("stage", ["inpaint", "controlnet"])
def test_other_stages_share_too(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, stage: str
) -> None:
    def open_one(name: str, steps: int, guidance: float) -> EventStream:
        options: dict[str, Any] = {"seed": 3, "step_count": steps, "guidance_scale": guidance, **named(name)}
        if stage == "inpaint":
            return client.stream.inpaint(pair, picture(1), mask(), **options)
        return client.stream.controlnet(pair, hint=picture(2), **options)

    first, second = new_id(), new_id()
    with open_one(first, ENDLESS, 4.0) as running:
        wait_for_step(running, 1)
        list(open_one(second, 4, 1.0))
    assert len([report for report in shared_by(server, first, second) if report.stage == stage]) == 4


def test_another_size_is_another_call(
    server: RunningServer, client: Kandinsky, pair: EmbeddingPair, endless: str
) -> None:
    name = new_id()
    client.decode(pair, seed=2, step_count=3, width_px=128, height_px=64, **named(name))
    assert len(steps_of(server, name, "decoder")) == 3
    assert not shared_by(server, endless, name)
