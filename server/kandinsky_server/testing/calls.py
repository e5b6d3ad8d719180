"""Requests that fill the batches while others are tested."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from kandinsky_client import EmbeddingPair, EventStream, Kandinsky, Progress

from kandinsky_server.engine.report import StepReport
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.testing.pipelines import mask, picture

ENDLESS = 1000
"""Steps that take longer than any test that runs beside them."""

_serial = count()


def new_id() -> str:
    """A request id that no other request has."""
    return f"test-{next(_serial)}"


def named(request_id: str) -> dict[str, Any]:
    """The client's option that gives a request its id, by which reports can be told apart."""
    return {"metadata": [("x-request-id", request_id)]}


def members(report: StepReport) -> dict[str, Ticket]:
    """The requests that shared a network call, by id."""
    return {ticket.request_id: ticket for ticket, _ in report.members}


def wait_for_step(events: EventStream, step: int) -> Progress:
    """Reads events until some trajectory has done so many steps."""
    for event in events:
        if isinstance(event, Progress) and event.step >= step:
            return event
    raise AssertionError(f"the stream ended before step {step}")


@contextmanager
def company(client: Kandinsky, pair: EmbeddingPair) -> Iterator[None]:
    """Eight unrelated requests of every stage and of two sizes, all of them running."""
    wide: dict[str, Any] = {"width_px": 128, "height_px": 64}
    stream = client.stream
    with ExitStack() as stack:
        opened = [
            stream.prior("a green dog", negative_prompt="sky", image_count=2, seed=1, step_count=ENDLESS),
            stream.prior("robot", image=picture(5), strength=1.0, seed=2, step_count=999, guidance_scale=1.0),
            stream.decode(pair, seed=3, step_count=998, guidance_scale=1.0),
            stream.img2img(pair, picture(6), strength=0.9, seed=4, step_count=997, guidance_scale=7.0, **wide),
            stream.inpaint(pair, picture(7), mask(), seed=5, step_count=996, guidance_scale=2.0),
            stream.inpaint(pair, picture(8), mask(), seed=6, step_count=995, guidance_scale=0.0, **wide),
            stream.controlnet(pair, hint=picture(9), seed=7, step_count=994, guidance_scale=1.0),
            stream.controlnet(pair, hint=picture(1), image=picture(2), seed=8, step_count=993, strength=0.8, **wide),
        ]  # fmt: skip
        for events in opened:
            stack.enter_context(events)
        for events in opened:
            wait_for_step(events, 1)
        yield
