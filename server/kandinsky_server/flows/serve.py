"""Every RPC's course: admit, tell where it stands, work, complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.flows.events import Completed, EmbeddingReady, Event, ImageReady, Queued
from kandinsky_server.flows.generate import GenerateRecipe
from kandinsky_server.flows.image import ImageRecipe
from kandinsky_server.flows.interpolate import InterpolateRecipe
from kandinsky_server.flows.prior import PriorRecipe
from kandinsky_server.flows.recipe import Recipe
from kandinsky_server.flows.requests import (
    GenerateRequest,
    ImageRequest,
    InterpolateRequest,
    PriorRequest,
    Request,
)
from kandinsky_server.flows.resume import Resume
from kandinsky_server.flows.session import Encoder, Runtime, Session

NOTHING = Resume()


def recipe_of(runtime: Runtime, request: Request, resume: Resume = NOTHING) -> Recipe:
    """How a request is served, and all the work that ``resume`` leaves of it.

    Raises:
        FingerprintMismatch, InvalidField: ``resume`` is not of this request, or this server cannot go on from it.
    """
    match request:
        case PriorRequest():
            return PriorRecipe(runtime, request, resume)
        case InterpolateRequest():
            return InterpolateRecipe(runtime, request, resume)
        case ImageRequest():
            return ImageRecipe(runtime, request, resume)
        case GenerateRequest():
            return GenerateRecipe(runtime, request, resume)


async def serve(
    runtime: Runtime, recipe: Recipe, ticket: Ticket, encoder: Encoder, input_digests: Mapping[str, str]
) -> AsyncGenerator[Event]:
    """Runs a request that has entered and yields its events; closing the iterator cancels it.

    ``encoder`` makes pictures of its images; ``input_digests`` are for its receipts.

    Raises:
        ServingError: what ended it other than success.
    """
    prediction = runtime.admission.admit(ticket, recipe.works, recipe.ask_less)
    session = Session(runtime, ticket, recipe.stream_options, encoder, input_digests)
    embeddings = images = 0
    try:
        yield Queued(
            prediction.position,
            prediction.start,
            prediction.finish,
            ticket.request_id,
            recipe.seed,
            sum(work.denoising for work in recipe.works),
        )
        async for event in session.mailbox.stream(lambda: recipe.serve(session)):
            embeddings += isinstance(event, EmbeddingReady)
            images += isinstance(event, ImageReady)
            yield event
        yield Completed(
            embeddings, images, session.steps, recipe.seed, session.timings(), tuple(session.warnings)
        )
    finally:
        ticket.cancel()
        session.unread.close()
