"""A replica of the deployment: one engine, and a method an RPC, as Serve's gRPC proxy calls them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message

from kandinsky_server.cli import tune_libraries
from kandinsky_server.errors import ServingError
from kandinsky_server.ray.settings import settings_of

PRIOR, IMAGE, SERVER = (f"/kandinsky_api.v1.{name}Service/" for name in ("Prior", "Image", "Server"))


def _streaming(method: str) -> Callable[..., AsyncGenerator[Message]]:
    async def call(self: Replica, request: Message, grpc_context: Any) -> AsyncGenerator[Message]:
        async with aclosing(self.calls.stream(method, request, grpc_context)) as responses:
            async for response in responses:
                yield response

    return call


def _unary(method: str) -> Callable[..., Awaitable[Message]]:
    async def call(self: Replica, request: Message, grpc_context: Any) -> Any:
        return await self.calls.one(method, request, grpc_context)

    return call


class Replica:
    """What `kandinsky serve` is, without its port. It is made when its model is loaded."""

    async def __init__(self, arguments: Mapping[str, Any]) -> None:  # type: ignore[misc] # Serve awaits it
        """Loads the model.

        Raises:
            ValueError: the settings, or this machine, make it impossible; with all that is wrong.
            CheckpointError: a checkpoint cannot be loaded.
            BackendUnavailable: the backend cannot be used, or in strict mode cannot run a network.
        """
        tune_libraries()
        # After that, and not where a replica is only described: these import torch.
        from kandinsky_server.app import App
        from kandinsky_server.lifecycle import Lifecycle
        from kandinsky_server.ray.calls import Calls
        from kandinsky_server.rpc.registration import add_services
        from kandinsky_server.startup.preflight import Preflight
        from kandinsky_server.telemetry import logs

        settings = settings_of(arguments)
        logs.configure(settings)
        preflight = Preflight(settings)
        preflight.run()
        if preflight.problems:
            raise ValueError("; ".join(preflight.problems))
        self.app = App(settings)
        self.calls = Calls(self.app.interceptor())
        add_services(self.calls, self.app.handlers)  # type: ignore[arg-type] # it takes handlers like a grpc server
        lifecycle = Lifecycle(self.app)
        lifecycle.serve_metrics()
        await lifecycle.load()

    def check_health(self) -> None:
        """Serve puts another in this replica's place when this raises.

        Raises:
            RuntimeError: the engine has failed, or its device hangs or is lost.
        """
        try:
            self.app.engine.check()
        except ServingError as error:
            # Ours cannot be pickled, and it would say no more.
            raise RuntimeError(str(error)) from None

    Prior = _streaming(PRIOR + "Prior")
    Interpolate = _streaming(PRIOR + "Interpolate")
    Decode = _streaming(IMAGE + "Decode")
    Img2Img = _streaming(IMAGE + "Img2Img")
    Inpaint = _streaming(IMAGE + "Inpaint")
    ControlNet = _streaming(IMAGE + "ControlNet")
    Generate = _streaming(IMAGE + "Generate")
    GetServerInfo = _unary(SERVER + "GetServerInfo")
    Estimate = _unary(SERVER + "Estimate")
