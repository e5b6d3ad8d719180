"""The example for KServe; no KServe runs here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from kandinsky_server.settings import Settings

FILE = Path(__file__).parents[2] / "deploy" / "kserve" / "inferenceservice.yaml"
OF_KSERVE = {"minReplicas", "maxReplicas", "timeout", "annotations"}
"""What a predictor has besides a pod."""


@pytest.fixture
def predictor() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(FILE.read_text())["spec"]["predictor"]
    return told


@pytest.mark.skipif(find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed")
@pytest.mark.parametrize("version", ["1.32", "1.34", "1.37"])
def test_kubernetes_takes_its_pod(predictor: dict[str, Any], version: str) -> None:
    import kubernetes_validate

    assert predictor.keys() >= OF_KSERVE
    spec = {key: value for key, value in predictor.items() if key not in OF_KSERVE}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "demo"}, "spec": spec}
    kubernetes_validate.validate(made, version, strict=True)


def test_its_only_port_is_grpc(predictor: dict[str, Any]) -> None:
    (container,) = predictor["containers"]
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("h2c", 50051)
    scraped = predictor["annotations"]["prometheus.io/port"]
    assert int(scraped) == Settings.model_fields["metrics_port"].default


def test_it_sets_only_settings_that_there_are(predictor: dict[str, Any]) -> None:
    (container,) = predictor["containers"]
    given = {
        entry["name"].removeprefix("KANDINSKY_").lower(): entry["value"]
        for entry in container["env"]
        if entry["name"].startswith("KANDINSKY_")
    }
    assert given.keys() <= Settings.model_fields.keys()
    settings = Settings(**given)
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert predictor["terminationGracePeriodSeconds"] >= sleep + settings.drain_seconds + 15
    assert predictor["timeout"] >= settings.max_request_seconds
