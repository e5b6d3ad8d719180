"""The dashboard and the alerts name what the server really exposes, and Prometheus' own tools accept both."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kandinsky_api.v1 import prior_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import connected

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
NAME = re.compile(r"\bkandinsky_[a-z_]+")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not installed")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    """A server that has served one request and refused another."""
    with RunningServer(prior=str(tiny_model / "prior")) as running, connected(running.target) as raw:
        raw.call("Prior", prior_pb2.PriorRequest(prompts=["a cat"], sampling=pb.PriorSampling(step_count=2)))
        raw.call("Prior", prior_pb2.PriorRequest())
        yield running


@pytest.fixture(scope="module")
def scraped(server: RunningServer) -> str:
    with urllib.request.urlopen(f"http://{metrics_address(server)}/metrics", timeout=30) as response:
        return str(response.read().decode())


@pytest.fixture(scope="module")
def families(scraped: str) -> dict[str, Any]:
    """The type of each family by the name it is scraped under; without the times at which counters began."""
    types = re.findall(r"^# TYPE (kandinsky_\w+) (\w+)$", scraped, re.MULTILINE)
    return {name: kind for name, kind in types if not name.endswith("_created")}


def metrics_address(server: RunningServer) -> str:
    return f"127.0.0.1:{server.lifecycle.metrics_port}"


def concrete(expression: str) -> str:
    """An expression as Grafana would send it."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


def promtool(*arguments: str, **options: Any) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_what_its_script_writes() -> None:
    written = runpy.run_path(str(DEPLOY / "grafana" / "dashboard.py"))["dashboard"]()
    assert written == DASHBOARD, "run `python deploy/grafana/dashboard.py` and commit dashboard.json"


def test_dashboard_and_alerts_name_only_metrics_that_are_exposed(families: dict[str, str]) -> None:
    exposed = {name + suffix for name, kind in families.items() for suffix in SUFFIXES[kind]}
    assert EXPRESSIONS
    for expression in EXPRESSIONS:
        assert set(NAME.findall(expression)) - exposed == set(), expression
    rules = re.findall(r"expr: (.*?)\n +(?:for|labels):", ALERTS.read_text(), re.DOTALL)
    assert len(rules) == ALERTS.read_text().count("- alert:")
    assert {name for rule in rules for name in NAME.findall(rule)} - exposed == set()


def test_the_dashboard_shows_every_metric(families: dict[str, str]) -> None:
    shown = {name for expression in EXPRESSIONS for name in NAME.findall(expression)}
    unseen = {name for name in families if not any(seen.startswith(name) for seen in shown)}
    assert unseen == set(), f"no panel of deploy/grafana/dashboard.py shows {sorted(unseen)}"


def test_the_document_lists_exactly_the_metrics_there_are(families: dict[str, str]) -> None:
    listed = re.findall(r"^\| `(kandinsky_\w+)` \| (\w+)", DOCUMENT.read_text(), re.MULTILINE)
    missing = {name: kind for name, kind in families.items() if (name, kind) not in listed}
    gone = [row for row in listed if row not in families.items()]
    assert not missing, f"docs/operations.md has no row for {missing}"
    assert not gone, f"docs/operations.md lists what is not exposed: {gone}"
    assert len(listed) == len(families), "docs/operations.md lists a metric twice"


def test_panels_do_not_overlap() -> None:
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))


@needs_promtool
def test_promtool_accepts_the_scrape(scraped: str) -> None:
    promtool("check", "metrics", input=scraped)


@needs_promtool
def test_promtool_accepts_the_alerts_and_their_tests_pass() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERTS.with_name("alerts_test.yml")))


@needs_promtool
def test_promtool_accepts_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{i}", "expr": concrete(expr)} for i, expr in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    promtool("check", "rules", str(file))


class Prometheus:
    """A Prometheus that scrapes one server every second and evaluates the alerts."""

    def __init__(self, directory: Path, target: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        job = {"job_name": "kandinsky", "static_configs": [{"targets": [target]}]}
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({"global": every, "scrape_configs": [job], "rule_files": [str(ALERTS)]}))
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.address}",
        ]
        with (directory / "log").open("w") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def ask(self, path: str, **query: str) -> Any:
        """What its API answers; None while it starts."""
        assert self.process.poll() is None, "Prometheus ended"
        try:
            url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
            with urllib.request.urlopen(url, timeout=30) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return None
        except urllib.error.URLError:
            return None
        assert answer["status"] == "success"
        return answer["data"]

    def wait(self, query: str) -> list[Any]:
        """The result of a query, once there is one."""
        while not ((data := self.ask("query", query=query)) and data["result"]):
            time.sleep(0.2)
        return list(data["result"])

    def alerts(self) -> list[Any]:
        """Each alert and how its last evaluation went."""
        (group,) = self.ask("rules")["groups"]
        return list(group["rules"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@needs_prometheus
@pytest.mark.slow
def test_a_real_prometheus_scrapes_and_evaluates(server: RunningServer, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, metrics_address(server))
    try:
        (served,) = prometheus.wait('kandinsky_requests_total{rpc="Prior",code="OK"}')
        assert served["value"][1] == "1"
        (up,) = prometheus.wait("up")
        assert (up["metric"]["job"], up["value"][1]) == ("kandinsky", "1")
        for expression in EXPRESSIONS:
            assert prometheus.ask("query", query=concrete(expression)) is not None, expression
        while any(rule["health"] == "unknown" for rule in prometheus.alerts()):
            time.sleep(0.2)
        rules = prometheus.alerts()
        assert len(rules) == ALERTS.read_text().count("- alert:")
        assert {rule["health"] for rule in rules} == {"ok"}
        assert {rule["state"] for rule in rules} == {"inactive"}
    finally:
        prometheus.stop()
