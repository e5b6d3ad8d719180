"""deploy/compose: what Compose's schema, Prometheus' tools and our own settings say of it; no container runs here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from kandinsky_server.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
FILES = ("compose.yaml", "gpu.yaml")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


@pytest.mark.skipif(
    find_spec("check_jsonschema") is None,
    reason="check-jsonschema is not installed: pip install check-jsonschema==0.39.0",
)
@pytest.mark.parametrize("file", FILES)
def test_compose_takes_it(file: str) -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(FOLDER / file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_containers_may_do_little(service: str) -> None:
    told = SERVICES[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert not told["image"].endswith(":latest")
    assert all(port.startswith("127.0.0.1:") for port in told.get("ports", ()))


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_is_there(service: str) -> None:
    for volume in SERVICES[service]["volumes"]:
        source, _, target = volume.partition(":")
        if source.startswith("."):
            assert (FOLDER / source).is_file(), source
            assert target.endswith(":ro")


@pytest.mark.parametrize("file", FILES)
def test_servers_get_settings_that_there_are(file: str) -> None:
    server = yaml.safe_load((FOLDER / file).read_text())["services"]["kandinsky"]
    names = [
        name.removeprefix("KANDINSKY_") for name in server["environment"] if name.startswith("KANDINSKY_")
    ]
    given = {name.lower(): server["environment"][f"KANDINSKY_{name}"] for name in names}
    assert given.keys() <= Settings.model_fields.keys()
    if file == "compose.yaml":
        assert Settings(**given).default_share == 1


def test_envoy_and_prometheus_look_for_the_servers_where_they_are() -> None:
    envoy = yaml.safe_load((FOLDER.parent / "envoy" / "clusters.yaml").read_text())
    (cluster,) = envoy["resources"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "kandinsky", "port_value": 50051}
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["job_name"] == "kandinsky"
    (found,) = job["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["kandinsky"], Settings.model_fields["metrics_port"].default)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    alerts = FOLDER.parent / "prometheus" / "alerts.yml"
    text = (FOLDER / "prometheus.yml").read_text().replace("/etc/prometheus/alerts.yml", str(alerts))
    file = tmp_path / "prometheus.yml"
    file.write_text(text)
    done = subprocess.run(
        ["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_gets_the_dashboard_and_where_its_numbers_are() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources.yaml").read_text())["datasources"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert (host in SERVICES, port) == (True, "9090")
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert any(target.startswith(provider["options"]["path"]) for target in mounted)
