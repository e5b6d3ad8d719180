"""The Helm chart, rendered by Helm's own code in this process."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "kandinsky"
CUSTOM = (
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "gateway.networking.k8s.io/v1/GRPCRoute",
    "inference.networking.k8s.io/v1/InferencePool",
    "keda.sh/v1alpha1/ScaledObject",
)
"""Kinds that a cluster has with their operators alone."""

needs_helm = pytest.mark.skipif(
    find_spec("helm_python") is None, reason="Helm is not installed: pip install helm-python-sdk==0.2.2"
)


def render(values: dict[str, Any] | None = None, kinds: tuple[str, ...] = CUSTOM) -> list[dict[str, Any]]:
    """The resources of a release `demo` in the namespace `pictures`, of a cluster with these ``kinds``.

    Raises:
        HelmError: the values are refused; its message says why.
    """
    manifests = [text for name, text in texts(values, kinds).items() if name.endswith(".yaml")]
    return [part for text in manifests for part in yaml.safe_load_all(text) if part]


def texts(values: dict[str, Any] | None = None, kinds: tuple[str, ...] = CUSTOM) -> dict[str, str]:
    """What each template gives; the notes too."""
    from helm_python import Chart, _native

    options = {
        "name": "demo",
        "namespace": "pictures",
        "is_install": True,
        "api_versions": kinds,
        "kube_version": "v1.34.0",
    }
    with Chart.load(CHART) as chart:
        # Its `render` has no word for a cluster's kinds, and the function below it has.
        rendered = _native.call_string(
            "helm_render", chart._raw(), json.dumps(values or {}), json.dumps(options)
        )
    by_template: dict[str, str] = json.loads(rendered)
    return by_template


def one(resources: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The only resource of a kind, or the one of this name."""
    (found,) = (
        part for part in resources if part["kind"] == kind and name in (None, part["metadata"]["name"])
    )
    return found


def pod(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The server's pod."""
    spec: dict[str, Any] = one(resources, "Deployment")["spec"]["template"]["spec"]
    return spec


def server(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Its container."""
    (container,) = pod(resources)["containers"]
    found: dict[str, Any] = container
    return found


def environment(resources: list[dict[str, Any]]) -> dict[str, str]:
    """The server's variables that are not a secret's."""
    return {entry["name"]: entry["value"] for entry in server(resources)["env"] if "value" in entry}
