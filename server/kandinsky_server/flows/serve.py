"""Every RPC's course: admit, tell where it stands, work, complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial

from kandinsky_server.engine.forecast import Forecast
from kandinsky_server.engine.load import Load
from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.flows.events import Completed, EmbeddingReady, Event, ImageReady, Queued
from kandinsky_server.flows.generate import generate_loads, serve_generate
from kandinsky_server.flows.image import image_loads, serve_image
from kandinsky_server.flows.interpolate import interpolate_loads, serve_interpolate
from kandinsky_server.flows.places import ask_less
from kandinsky_server.flows.prior import prior_loads, prompts_of, serve_prior
from kandinsky_server.flows.requests import (
    GenerateRequest,
    ImageRequest,
    InterpolateRequest,
    PriorRequest,
    Request,
    Watch,
)
from kandinsky_server.flows.session import Encoder, Runtime, Session


def loads_of(runtime: Runtime, request: Request) -> list[Load]:
    """What a request does first, each with what follows it."""
    match request:
        case PriorRequest():
            return prior_loads(runtime, prompts_of(request))
        case InterpolateRequest():
            return interpolate_loads(runtime, request)
        case ImageRequest():
            return image_loads(runtime, request, len(request.embeddings) * request.image_count)
        case GenerateRequest():
            return generate_loads(runtime, request)


def estimate(runtime: Runtime, request: Request, ticket: Ticket) -> tuple[Forecast, list[Load]]:
    """When the request would start and finish if it came now, and its work."""
    loads = loads_of(runtime, request)
    return runtime.admission.predict(loads, ticket), loads


async def serve(
    runtime: Runtime, request: Request, ticket: Ticket, encoder: Encoder
) -> AsyncGenerator[Event]:
    """Runs a request that has entered and yields its events; closing the iterator cancels it.

    ``encoder`` makes pictures of its images.

    Raises:
        ServingError: what ended it other than success.
    """
    prediction = runtime.admission.admit(ticket, loads_of(runtime, request), partial(ask_less, request))
    session = Session(runtime, ticket, watch_of(request), encoder)
    embeddings = images = 0
    try:
        yield Queued(prediction.position, prediction.start, prediction.finish)
        async for event in session.mailbox.stream(_work(session, request)):
            embeddings += isinstance(event, EmbeddingReady)
            images += isinstance(event, ImageReady)
            yield event
        yield Completed(
            embeddings, images, session.steps, _seed(request), session.timings(), tuple(session.warnings)
        )
    finally:
        ticket.cancel()
        session.unread.close()


def _work(session: Session, request: Request) -> Callable[[], Awaitable[None]]:
    match request:
        case PriorRequest():
            return lambda: serve_prior(session, request)
        case InterpolateRequest():
            return lambda: serve_interpolate(session, request)
        case ImageRequest():
            return lambda: serve_image(session, request)
        case GenerateRequest():
            return lambda: serve_generate(session, request)


def watch_of(request: Request) -> Watch:
    """What the client wants to see on the way."""
    return request.prior.watch if isinstance(request, GenerateRequest) else request.watch


def _seed(request: Request) -> int:
    sampling = request.prior.sampling if isinstance(request, GenerateRequest) else request.sampling
    return sampling.seed
