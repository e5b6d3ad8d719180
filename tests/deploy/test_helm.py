"""The chart: what it renders is what Kubernetes takes, and the server starts with it."""

from __future__ import annotations

import json
import re
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from kandinsky_server.settings import Settings

from tests.deploy.chart import CHART, CUSTOM, environment, needs_helm, one, pod, render, server, texts

ROOT = Path(__file__).parents[2]
pytestmark = needs_helm
needs_validate = pytest.mark.skipif(
    find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed"
)
REVISION = "0123456789abcdef0123456789abcdef01234567"
TLS = {"existingSecret": "cert", "serverName": "kandinsky.example"}
MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "a GPU": {
        "image": {"flavour": "cuda-compile", "digest": "sha256:" + "0" * 64},
        "gpu": {"resource": "nvidia.com/gpu"},
        "config": {
            "backend": "compiled",
            "buckets": [1, 2, 4],
            "max_unread_bytes": 536870912,
            "sizes": ["512x512"],
        },
        "runtimeClassName": "nvidia",
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "nodeSelector": {"nvidia.com/gpu.product": "H100"},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "cache": {"existingClaim": "compiled"},
    },
    "downloads": {
        "models": {
            "download": {
                "prior": {"repository": "kandinsky-community/kandinsky-2-2-prior", "revision": REVISION},
                "depth": {"repository": "Intel/dpt-large", "revision": REVISION},
            },
            "tokenSecret": "hub",
        }
    },
    "a claim of models": {
        "models": {"existingClaim": "weights", "readOnly": True},
        "config": {"model": "/models"},
    },
    "online": {"models": {"online": True, "tokenSecret": "hub"}, "config": {"model": "kandinsky-2.2"}},
    "TLS": {"tls": TLS, "tokens": {"existingSecret": "tokens"}, "test": {"tokenSecret": "token"}},
    "mTLS": {"tls": {**TLS, "requireClientCertificate": True, "clientSecret": "probe"}},
    "hpa": {"autoscaling": {"enabled": True, "targetQueuedSeconds": 7.5}},
    "keda": {"autoscaling": {"enabled": True, "kind": "keda"}},
    "monitoring": {
        "metrics": {
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True},
            "dashboard": {"enabled": True},
        }
    },
    "no metrics, no policy": {
        "metrics": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "serviceAccount": {"name": "own"},
    },
    "routes": {
        "grpcRoute": {
            "enabled": True,
            "parentRefs": [{"name": "gateway", "namespace": "gateways"}],
            "hostnames": ["kandinsky.example"],
        },
        "inferencePool": {"enabled": True, "endpointPicker": {"name": "picker"}},
    },
    "everything else": {
        "fullnameOverride": "pictures",
        "imagePullSecrets": [{"name": "registry"}],
        "extraEnv": [{"name": "OTEL_TRACES_SAMPLER", "value": "always_on"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "pictures"},
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "high",
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        "resources": {"claims": [{"name": "gpu"}]},
        "networkPolicy": {"egress": [{"ports": [{"port": 4317}]}]},
    },
}
each = pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())


@each
def test_helm_lints_it(values: dict[str, Any]) -> None:
    from helm_python import lint

    # The linter knows no kinds of operators, and the chart asks for them.
    plain = {
        key: value for key, value in values.items() if key not in ("metrics", "grpcRoute", "inferencePool")
    }
    if plain.get("autoscaling", {}).get("kind") == "keda":
        del plain["autoscaling"]
    report = lint(CHART, plain, strict=True, namespace="pictures", kube_version="v1.34.0")
    told = [message for message in report["messages"] if "symbolic link" not in message["error"]]
    assert not report["errors"]
    assert not told


@needs_validate
@each
@pytest.mark.parametrize("version", ["1.32", "1.34", "1.37"])
def test_kubernetes_takes_it(values: dict[str, Any], version: str) -> None:
    import kubernetes_validate

    own = [part for part in render(values) if f"{part['apiVersion']}/{part['kind']}" not in CUSTOM]
    assert own
    for part in own:
        kubernetes_validate.validate(part, version, strict=True)


@each
def test_names_labels_and_namespaces(values: dict[str, Any]) -> None:
    for part in render(values):
        labels = part["metadata"]["labels"]
        assert part["metadata"]["namespace"] == "pictures"
        assert labels["app.kubernetes.io/instance"] == "demo"
        assert labels["app.kubernetes.io/name"] == "kandinsky"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


@each
def test_pods_keep_to_the_restricted_standard(values: dict[str, Any]) -> None:
    resources = render(values)
    for spec in (pod(resources), one(resources, "Pod")["spec"]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        mounted = {volume["name"] for volume in spec["volumes"]}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not re.search(r":latest$|:$", container["image"])
            assert {mount["name"] for mount in container["volumeMounts"]} <= mounted


@each
def test_the_server_knows_each_setting(values: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    """The chart's variables and file are what `kandinsky serve` reads; the files that they name lie elsewhere here."""
    resources = render(values)
    file = tmp_path / "config.toml"
    file.write_text(one(resources, "ConfigMap", _name(values))["data"]["config.toml"])
    known = set(Settings.model_fields)
    for name, value in environment(resources).items():
        if not name.startswith("KANDINSKY_"):
            continue
        setting = name.removeprefix("KANDINSKY_").lower()
        assert setting in known or setting == "config", name
        if not value.startswith("/"):
            monkeypatch.setenv(name, value)
    from kandinsky_server.settings import load_settings

    settings = load_settings([f"--config={file}", "--insecure"])
    assert (settings.host, settings.port) == ("0.0.0.0", 50051)
    for key, value in values.get("config", {}).items():
        kept = getattr(settings, key)
        assert (list(kept) if isinstance(value, list) else kept) == value


def _name(values: dict[str, Any]) -> str:
    return str(values.get("fullnameOverride", "demo-kandinsky"))


def test_probes() -> None:
    container = server(render())
    process = {"port": 50051, "service": "kandinsky_api.v1.ServerService"}
    assert container["startupProbe"]["grpc"] == process
    assert container["livenessProbe"]["grpc"] == process
    assert container["readinessProbe"]["grpc"] == {"port": 50051}
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 5}}


def test_probes_under_tls_call_a_name_of_the_certificate() -> None:
    resources = render(MATRIX["mTLS"])
    command = server(resources)["readinessProbe"]["exec"]["command"]
    assert command[:2] == ["kandinsky", "health"]
    assert "--target=kandinsky.example:50051" in command
    assert "--client-key=/etc/kandinsky/client/tls.key" in command
    assert pod(resources)["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["kandinsky.example"]}]
    assert "KANDINSKY_INSECURE" not in environment(resources)
    assert environment(resources)["KANDINSKY_TLS_CLIENT_CA"] == "/etc/kandinsky/tls/ca.crt"
    (port,) = one(resources, "Service", "demo-kandinsky")["spec"]["ports"]
    assert port["appProtocol"] == "https"


def test_services_say_http2() -> None:
    resources = render()
    for name in ("demo-kandinsky", "demo-kandinsky-headless"):
        (port,) = one(resources, "Service", name)["spec"]["ports"]
        assert port["appProtocol"] == "kubernetes.io/h2c"
    assert one(resources, "Service", "demo-kandinsky-headless")["spec"]["clusterIP"] == "None"


def test_what_scales_has_no_replicas() -> None:
    assert one(render(), "Deployment")["spec"]["replicas"] == 1
    scaled = render(MATRIX["hpa"])
    assert "replicas" not in one(scaled, "Deployment")["spec"]
    scaler = one(scaled, "HorizontalPodAutoscaler")["spec"]
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"] == {"name": "kandinsky_queued_work_seconds"}
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "7.5"}
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    (trigger,) = one(render(MATRIX["keda"]), "ScaledObject")["spec"]["triggers"]
    assert (
        'kandinsky_queued_work_seconds{namespace="pictures",pod=~"demo-kandinsky-.*"}'
        in trigger["metadata"]["query"]
    )


def test_alerts_and_dashboard_are_the_only_ones_there_are() -> None:
    resources = render(MATRIX["monitoring"])
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    assert one(resources, "PrometheusRule")["spec"] == alerts
    dashboard = one(resources, "ConfigMap", "demo-kandinsky-dashboard")
    told = json.loads(dashboard["data"]["kandinsky.json"])
    assert told == json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    monitor = one(resources, "PodMonitor")["spec"]
    # The alerts ask for this job.
    labels = one(resources, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "kandinsky"
    assert monitor["selector"]["matchLabels"].items() <= labels.items()


def test_only_who_is_named_gets_in() -> None:
    rules = one(render(), "NetworkPolicy")["spec"]
    calls, scrapes = rules["ingress"]
    assert calls["ports"] == [{"port": "grpc"}]
    assert scrapes["ports"] == [{"port": "metrics"}]
    assert rules["egress"] == [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]
    named = {port["name"] for port in server(render())["ports"]}
    assert named == {"grpc", "metrics"}
    test_pod = one(render(), "Pod")["metadata"]["labels"]
    assert calls["from"][0]["podSelector"]["matchLabels"].items() <= test_pod.items()


def test_downloads_are_pinned_and_the_server_is_offline() -> None:
    resources = render(MATRIX["downloads"])
    (fetching,) = pod(resources)["initContainers"]
    assert fetching["command"] == ["kandinsky", "download", "/models"]
    prior = f"--stage=prior=kandinsky-community/kandinsky-2-2-prior@{REVISION}"
    assert fetching["args"] == [f"--stage=depth=Intel/dpt-large@{REVISION}", prior]
    told = environment(resources)
    assert told["HF_HUB_OFFLINE"] == "1"
    assert told["KANDINSKY_PRIOR"] == "/models/prior"
    assert told["KANDINSKY_DEPTH_MODEL"] == "/models/depth"


def test_the_gpu_is_a_limit_of_the_server() -> None:
    assert server(render(MATRIX["a GPU"]))["resources"]["limits"] == {
        "cpu": "4",
        "memory": "12Gi",
        "nvidia.com/gpu": 1,
    }


def test_a_change_of_settings_replaces_the_pods() -> None:
    def checksum(**config: Any) -> str:
        metadata = one(render({"config": config}), "Deployment")["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["checksum/config"])

    assert checksum(queue_size=8) != checksum(queue_size=9)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too little grace": ({"terminationGracePeriodSeconds": 49}, "must be at least 50"),
    "a setting of the chart's": ({"config": {"port": 1}}, "config.port is set by the chart itself"),
    "a stage said twice": (
        {**MATRIX["downloads"], "config": {"prior": "/models/p"}},
        "prior is in config and in models.download",
    ),
    "the hub, offline": ({"config": {"model": "kandinsky-2.2"}}, "models.online"),
    "no name to probe": ({"tls": {"existingSecret": "cert"}}, "tls.serverName"),
    "no certificate to probe": ({"tls": {**TLS, "requireClientCertificate": True}}, "tls.clientSecret"),
    "a window below a request": (
        {"autoscaling": {"enabled": True, "scaleDownWindowSeconds": 60}},
        "scaleDownWindowSeconds must be at least",
    ),
    "max below min": ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "maxReplicas is below"),
    "no gateway": ({"grpcRoute": {"enabled": True}}, "grpcRoute.parentRefs"),
    "no picker": ({"inferencePool": {"enabled": True}}, "inferencePool.endpointPicker.name"),
    "latest": ({"image": {"tag": "latest"}}, "tag"),
    "a branch": ({"models": {"download": {"prior": {"repository": "a/b", "revision": "main"}}}}, "revision"),
    "root": ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
    "a misspelt value": ({"replicaCount": 2}, "replicaCount"),
}


@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_work_is_refused_with_a_sentence(values: dict[str, Any], words: str) -> None:
    from helm_python import HelmError

    with pytest.raises(HelmError) as told:
        render(values)
    assert words in str(told.value)


def test_just_enough_grace_is_enough() -> None:
    assert pod(render({"terminationGracePeriodSeconds": 50}))["terminationGracePeriodSeconds"] == 50


def test_the_packaged_chart_has_alerts_and_dashboard(tmp_path: Path) -> None:
    """They are links to where they are kept."""
    from helm_python import Chart

    with Chart.load(CHART) as chart, Chart.load(chart.save(tmp_path)) as packaged:
        held = {file["name"]: file for file in packaged.files}
    assert {"files/alerts.yml", "files/dashboard.json"} <= set(held)


def test_a_kind_that_the_cluster_lacks_is_named() -> None:
    from helm_python import HelmError

    for case in ("keda", "monitoring", "routes"):
        with pytest.raises(HelmError, match="which this cluster does not have"):
            render(MATRIX[case], kinds=())


def test_the_notes_say_what_is_open() -> None:
    notes = next(text for name, text in texts().items() if name.endswith("NOTES.txt"))
    assert "demo-kandinsky.pictures.svc:50051" in notes
    assert "Calls need no token" in notes
    assert "toy model" in notes


def test_the_schema_is_that_of_the_values() -> None:
    made = runpy.run_path(str(CHART.parent / "schema.py"))["schema"]()
    kept = json.loads((CHART / "values.schema.json").read_text())
    assert made == kept, "run `python deploy/helm/schema.py` and commit values.schema.json"


def test_every_value_is_described() -> None:
    def bare(schema: dict[str, Any], path: str) -> list[str]:
        inner = schema.get("properties", {})
        found = [path] if not inner and not schema.get("description") else []
        return found + [name for key, value in inner.items() for name in bare(value, f"{path}.{key}")]

    assert bare(json.loads((CHART / "values.schema.json").read_text()), "") == []
