"""The services of the port, by their full names, and how they get there."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from kandinsky_api.v1 import (
    image_pb2,
    image_pb2_grpc,
    prior_pb2,
    prior_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)

from kandinsky_server.rpc.health import Health
from kandinsky_server.rpc.load_reports import LoadReports
from kandinsky_server.rpc.reflection import add_reflection
from kandinsky_server.rpc.services import Handlers, ImageService, PriorService, ServerService

PRIOR_SERVICE = prior_pb2.DESCRIPTOR.services_by_name["PriorService"].full_name
IMAGE_SERVICE = image_pb2.DESCRIPTOR.services_by_name["ImageService"].full_name
SERVER_SERVICE = server_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name

SERVICES = (PRIOR_SERVICE, IMAGE_SERVICE, SERVER_SERVICE)
"""Those of the contract."""


def add_services(server: grpc.aio.Server, handlers: Handlers) -> None:
    """Adds the contract's services."""
    prior_pb2_grpc.add_PriorServiceServicer_to_server(PriorService(handlers), server)
    image_pb2_grpc.add_ImageServiceServicer_to_server(ImageService(handlers), server)
    server_pb2_grpc.add_ServerServiceServicer_to_server(ServerService(handlers), server)


def add_standard_services(
    server: grpc.aio.Server, health_service: Health, loads: LoadReports, reflect: bool
) -> None:
    """Adds health and load reports, and with ``reflect`` reflection of the contract and health."""
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    loads.add_to(server)
    if reflect:
        add_reflection((*SERVICES, health.SERVICE_NAME), server)
