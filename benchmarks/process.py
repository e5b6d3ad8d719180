"""A server in a process of its own, on a port that the system picks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kandinsky_client import Kandinsky
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

POLL_SECONDS = 0.02
ANSWER_SECONDS = 5.0
STOP_SECONDS = 30.0


class ServerFailed(Exception):
    """A server ended before it served; the message has the end of its log."""


class ServerProcess:
    """A context manager: entered when gRPC health says SERVING, which took ``start_seconds``.

    The command must print ``listening on HOST:PORT``, then ``serving on ...[, metrics on port N]``. ``credentials`` are
    those of a TLS client; ``unread_log`` makes standard error a pipe that nobody reads. A server that does not serve
    within ``patience`` seconds is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        credentials: grpc.ChannelCredentials | None = None,
        unread_log: bool = False,
        patience: float = threading.TIMEOUT_MAX,
    ) -> None:
        self.command = command
        self._environment = {**os.environ, **environment}
        self._credentials = credentials
        self._unread_log = unread_log
        self._patience = patience
        self._late = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process

    def __enter__(self) -> Self:
        started = time.monotonic()
        self._process = subprocess.Popen(
            self.command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._unread_log else self._log,
            text=True,
        )
        impatience = threading.Timer(self._patience, self._give_up)
        impatience.daemon = True
        impatience.start()
        try:
            self.target = self._read(r"listening on (\S+)")[1]
            self._wait_until_serving()
            self.start_seconds = time.monotonic() - started
            self._metrics_port = self._read(r"serving on \S+?(?:, metrics on port (\d+))?$")[1]
        except BaseException:
            self.__exit__()
            raise
        finally:
            impatience.cancel()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._log.close()

    def stop(self) -> int:
        """Ends it with SIGTERM, or by force when that does not; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None when it still runs after so long."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def client(self, **options: Any) -> Kandinsky:
        """A client on a channel of its own."""
        return Kandinsky(self.target, **options)

    def channel(self) -> grpc.Channel:
        """A channel of its own."""
        if self._credentials is None:
            return grpc.insecure_channel(self.target)
        return grpc.secure_channel(self.target, self._credentials)

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def metrics_address(self) -> tuple[str, int]:
        """Host and port of /metrics."""
        return self.target.rpartition(":")[0], int(self._metrics_port)

    def log(self) -> str:
        """What it has written to standard error so far."""
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text(errors="replace")

    def kept(self) -> tuple[int, int]:
        """Its threads and open files."""
        process = psutil.Process(self._process.pid)
        return process.num_threads(), process.num_fds()

    def resident_bytes(self) -> int:
        """Memory of the server's process."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def metrics(self) -> dict[str, float]:
        """The server's metrics now, each summed over its labels."""
        sums: dict[str, float] = defaultdict(float)
        for sample in self._samples():
            sums[sample.name] += sample.value
        return sums

    def metric(self, name: str, **labels: str) -> float:
        """One metric now, summed over the labels that are not given."""
        found = (sample for sample in self._samples() if sample.name == name)
        return sum(sample.value for sample in found if labels.items() <= sample.labels.items())

    def requests(self) -> Counter[tuple[str, str]]:
        """How many requests the server has answered, by RPC and code."""
        samples = (sample for sample in self._samples() if sample.name == "kandinsky_requests_total")
        return Counter(
            {(sample.labels["rpc"], sample.labels["code"]): int(sample.value) for sample in samples}
        )

    def _samples(self) -> Iterator[Sample]:
        url = f"http://{self.target.rpartition(':')[0]}:{self._metrics_port}/metrics"
        with urllib.request.urlopen(url) as response:
            families = text_string_to_metric_families(response.read().decode())
        for family in families:
            yield from family.samples

    def _read(self, pattern: str) -> re.Match[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := re.search(pattern, line.rstrip()):
                return match
        raise ServerFailed(self._last_words())

    def _wait_until_serving(self) -> None:
        serving = health_pb2.HealthCheckResponse.SERVING
        with self.channel() as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            while True:
                try:
                    if check(health_pb2.HealthCheckRequest(), timeout=ANSWER_SECONDS).status == serving:
                        return
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise ServerFailed(self._last_words()) from error
                time.sleep(POLL_SECONDS)

    def _give_up(self) -> None:
        self._late = f"it did not serve within {self._patience:g} s; "
        self._process.kill()

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        words = "\n".join(lines[-5:]) or f"{self.command[0]} ended with exit code {self._process.returncode}"
        return self._late + words
