"""One short method an RPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message
from kandinsky_api.v1 import (
    image_pb2,
    image_pb2_grpc,
    prior_pb2,
    prior_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from kandinsky_api.v1 import types_pb2 as pb

from kandinsky_server.engine.ticket import Ticket
from kandinsky_server.errors import InvalidField, Starting, Violation
from kandinsky_server.flows.requests import Request, first_seed
from kandinsky_server.flows.resume import Resume
from kandinsky_server.flows.serve import recipe_of, serve
from kandinsky_server.flows.session import Runtime
from kandinsky_server.images.turns import Turns
from kandinsky_server.rpc.convert import Converter
from kandinsky_server.rpc.digests import input_digests
from kandinsky_server.rpc.info import InfoSource
from kandinsky_server.rpc.options import read_output, read_priority
from kandinsky_server.rpc.respond import Responder, Response, duration
from kandinsky_server.rpc.resume import request_digest
from kandinsky_server.rpc.violations import Violations
from kandinsky_server.telemetry import call as calls

STARTING_RETRY_SECONDS = 1.0


class Handlers:
    """What the services share. ``runtime`` and ``converter`` are None until the model is loaded.

    ``check`` raises what everybody is to be told instead of an answer, if there is anything. ``estimates`` are the
    turns of Estimates' pictures to be decoded.
    """

    def __init__(self, info: InfoSource, check: Callable[[], None]) -> None:
        self.info = info
        self.check = check
        self.runtime: Runtime | None = None
        self.converter: Converter | None = None
        self.estimates = Turns(1)

    def ready(self) -> tuple[Runtime, Converter]:
        """The loaded runtime.

        Raises:
            Starting: while it loads.
            DeviceHung, DeviceLost, InternalFailure: this server is about to end.
        """
        self.check()
        if self.runtime is None or self.converter is None:
            raise Starting(
                f"the server is still starting ({self.info.model.status or 'loading'})",
                STARTING_RETRY_SECONDS,
                status=self.info.model.status,
            )
        return self.runtime, self.converter

    async def stream(self, message: Any, kind: type[Response]) -> AsyncIterator[Response]:
        """Serves one streaming RPC: find a place, check, run, answer each event."""
        runtime, converter = self.ready()
        call = calls.current.get()
        ticket = call.ticket
        ticket.priority = read_priority(message.options)
        with runtime.admission.enter(ticket), converter.pictures.budget.account(ticket):
            request = await convert(converter.within(runtime.admission.most(ticket)), message)
            digests = await input_digests(message)
            ticket.resumable = message.options.checkpoint_interval_steps > 0
            resumes = message.options.HasField("resume")
            digest = ""
            if ticket.resumable or resumes:
                digest = await request_digest(message, first_seed(request))
            resume = converter.resume(message.options.resume, digest) if resumes else Resume()
            recipe = recipe_of(runtime, request, resume)
            output = read_output(Violations(), getattr(message, "output", pb.OutputOptions()))
            del message
            call.received.close()
            responder = Responder(kind, output, recipe.stream_options, digest)
            async with aclosing(serve(runtime, recipe, ticket, responder.encoder, digests)) as events:
                async for event in events:
                    for response in responder.messages(event):
                        yield response


async def convert(converter: Converter, message: Message) -> Request:
    """The domain request of any request message."""
    methods: dict[type[Message], Callable[[Any], Awaitable[Request]]] = {
        prior_pb2.PriorRequest: converter.prior,
        prior_pb2.InterpolateRequest: converter.interpolate,
        image_pb2.DecodeRequest: converter.decode,
        image_pb2.Img2ImgRequest: converter.img2img,
        image_pb2.InpaintRequest: converter.inpaint,
        image_pb2.ControlNetRequest: converter.controlnet,
        image_pb2.GenerateRequest: converter.generate,
    }
    return await methods[type(message)](message)


class PriorService(prior_pb2_grpc.PriorServiceServicer):
    """Text and images to embeddings."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def Prior(self, request: prior_pb2.PriorRequest, context: Any) -> AsyncIterator[prior_pb2.PriorResponse]:
        """See prior.proto."""
        return self.handlers.stream(request, prior_pb2.PriorResponse)

    def Interpolate(
        self, request: prior_pb2.InterpolateRequest, context: Any
    ) -> AsyncIterator[prior_pb2.InterpolateResponse]:
        """See prior.proto."""
        return self.handlers.stream(request, prior_pb2.InterpolateResponse)


class ImageService(image_pb2_grpc.ImageServiceServicer):
    """Embeddings, or prompts, to pixels."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def Decode(
        self, request: image_pb2.DecodeRequest, context: Any
    ) -> AsyncIterator[image_pb2.DecodeResponse]:
        """See image.proto."""
        return self.handlers.stream(request, image_pb2.DecodeResponse)

    def Img2Img(
        self, request: image_pb2.Img2ImgRequest, context: Any
    ) -> AsyncIterator[image_pb2.Img2ImgResponse]:
        """See image.proto."""
        return self.handlers.stream(request, image_pb2.Img2ImgResponse)

    def Inpaint(
        self, request: image_pb2.InpaintRequest, context: Any
    ) -> AsyncIterator[image_pb2.InpaintResponse]:
        """See image.proto."""
        return self.handlers.stream(request, image_pb2.InpaintResponse)

    def ControlNet(
        self, request: image_pb2.ControlNetRequest, context: Any
    ) -> AsyncIterator[image_pb2.ControlNetResponse]:
        """See image.proto."""
        return self.handlers.stream(request, image_pb2.ControlNetResponse)

    def Generate(
        self, request: image_pb2.GenerateRequest, context: Any
    ) -> AsyncIterator[image_pb2.GenerateResponse]:
        """See image.proto."""
        return self.handlers.stream(request, image_pb2.GenerateResponse)


class ServerService(server_pb2_grpc.ServerServiceServicer):
    """What this server is, and what a request would cost.

    Estimates take no place in the queue. Their pictures are decoded one at a time instead, client by client, lest many of
    them keep requests, or those of other clients, from being read.
    """

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    async def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: Any
    ) -> server_pb2.GetServerInfoResponse:
        """See server.proto. Answers while the model is loading, too."""
        return await asyncio.to_thread(self.handlers.info.response)

    async def Estimate(
        self, request: server_pb2.EstimateRequest, context: Any
    ) -> server_pb2.EstimateResponse:
        """See server.proto."""
        runtime, converter = self.handlers.ready()
        chosen = request.WhichOneof("request")
        if chosen is None:
            raise InvalidField([Violation("request", "one request must be set")])
        asked = getattr(request, chosen)
        # Without a deadline: that of this call says when its answer is due, not when the request's would be.
        ticket = Ticket(priority=read_priority(asked.options))
        call = calls.current.get()
        with converter.pictures.budget.account(call.ticket):
            pictures = replace(converter.pictures, turns=self.handlers.estimates)
            asked_for = await convert(replace(converter, pictures=pictures), asked)
        works = recipe_of(runtime, asked_for).works
        prediction = runtime.admission.predict(works, ticket)
        denoising = [work for work in works if work.denoising]
        return server_pb2.EstimateResponse(
            queue_wait=duration(prediction.start),
            run_time=duration(prediction.finish - prediction.start),
            step_count=sum(work.steps for work in denoising),
            trajectory_count=len(denoising),
            queue_length=runtime.admission.length,
            measured=prediction.measured,
        )
