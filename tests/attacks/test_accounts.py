"""Calls that are given up as they begin: the server's books have them all."""

from pathlib import Path

import pytest
from kandinsky_api.v1 import server_pb2
from kandinsky_server.testing.running import RunningServer

from tests.support.patience import eventually
from tests.support.raw import good_requests, only
from tests.support.wire import Wire

STORM = 400
"""Less than `--max-streams`: gRPC itself refuses what is more."""


@pytest.mark.parametrize("method", ["PriorService/Prior", "ServerService/Estimate"])
def test_every_call_of_a_storm_is_counted(tiny_model: Path, tmp_path: Path, method: str) -> None:
    rpc = method.rpartition("/")[2]
    request = good_requests()["Prior"] if rpc == "Prior" else server_pb2.EstimateRequest()
    with RunningServer(only(tmp_path / "model", tiny_model, "prior")) as server:

        def counted() -> float:
            samples = [sample for each in server.app.metrics.requests.collect() for sample in each.samples]
            mine = [s for s in samples if s.name.endswith("_total") and s.labels["rpc"] == rpc]
            return float(sum(s.value for s in mine))

        with Wire(server.target) as connection:
            for stream in range(1, 2 * STORM, 2):
                connection.ask(stream, f"/kandinsky_api.v1.{method}", request)
                connection.cancel(stream)
            eventually(lambda: counted() == STORM)
        assert not server.app.intake.requests.readings
