"""`deploy/ray/serve.yaml` is a config that Serve takes and that fits the server."""

import inspect

import pytest
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_server.ray.replica import Replica

from tests.ray.cluster import config
from tests.support.extras import needs

SERVICES = [
    (module, service)
    for module in (prior_pb2, image_pb2, server_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]

rays_own_warnings = pytest.mark.filterwarnings("ignore")


def test_every_service_is_registered_with_the_proxy() -> None:
    expected = [
        f"{module.__name__}_grpc.add_{service.name}Servicer_to_server" for module, service in SERVICES
    ]
    assert sorted(config()["grpc_options"]["grpc_servicer_functions"]) == sorted(expected)


@pytest.mark.parametrize("rpc", [method.name for _, service in SERVICES for method in service.methods])
def test_a_replica_has_every_rpc(rpc: str) -> None:
    assert "grpc_context" in inspect.signature(getattr(Replica, rpc)).parameters


@rays_own_warnings
@needs("ray")
def test_serve_takes_the_config() -> None:
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(config())
    assert schema.applications[0].import_path == "kandinsky_server.ray.deployment:application"


@rays_own_warnings
@needs("ray")
def test_serves_queues_follow_the_engines() -> None:
    from kandinsky_server.ray.deployment import NAME, PLACELESS_CALLS, application

    read = config(queue_size=7, drain_seconds=8)["applications"][0]
    made = application(read["args"])._bound_deployment
    assert (made.max_ongoing_requests, made.max_queued_requests) == (7 + PLACELESS_CALLS, 7)
    (overriding,) = read["deployments"]
    assert overriding["name"] == NAME
    assert (
        not {"max_ongoing_requests", "max_queued_requests", "graceful_shutdown_timeout_s"} & overriding.keys()
    )


@rays_own_warnings
@needs("ray")
def test_an_unknown_setting_ends_the_deployment() -> None:
    from kandinsky_server.ray.deployment import application

    with pytest.raises(ValueError, match="que_size"):
        application({"que_size": 1})
