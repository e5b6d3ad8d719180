"""A server that does nothing but report its load in a trailer to who asks: ORCA's xds.data.orca.v3.OrcaLoadReport."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2
from kandinsky_api.v1 import events_pb2, prior_pb2


def report(utilization: float, rps: float) -> bytes:
    """`application_utilization` is field 9 and `rps_fractional` field 6, both doubles."""
    return b"\x49" + struct.pack("<d", utilization) + b"\x31" + struct.pack("<d", rps)


class LoadedServer:
    """Use as a context manager. Counts the ``calls`` that it gets, and says that it is busy to ``utilization``.

    With ``lets_go`` it answers them as gRPC's servers do those that come as they end.
    """

    def __init__(self, utilization: float, lets_go: bool = False) -> None:
        self.calls = 0
        self._lets_go = lets_go
        self._report = report(utilization, rps=10)
        self._server = grpc.server(ThreadPoolExecutor(4))
        check = grpc.unary_unary_rpc_method_handler(
            self._check,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        prior = grpc.unary_stream_rpc_method_handler(
            self._prior,
            request_deserializer=prior_pb2.PriorRequest.FromString,
            response_serializer=prior_pb2.PriorResponse.SerializeToString,
        )
        services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {
            "grpc.health.v1.Health": {"Check": check},
            "kandinsky_api.v1.PriorService": {"Prior": prior},
        }
        for service, methods in services.items():
            handler = grpc.method_handlers_generic_handler(service, methods)
            self._server.add_generic_rpc_handlers((handler,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def _check(
        self, request: health_pb2.HealthCheckRequest, context: object
    ) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    def _prior(
        self, request: prior_pb2.PriorRequest, context: grpc.ServicerContext
    ) -> Iterator[prior_pb2.PriorResponse]:
        self.calls += 1
        if self._lets_go:
            context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")
        if dict(context.invocation_metadata()).get("endpoint-load-metrics-format") == "BIN":
            context.set_trailing_metadata((("endpoint-load-metrics-bin", self._report),))
        yield prior_pb2.PriorResponse(event=events_pb2.Event(completed=events_pb2.Completed()))
