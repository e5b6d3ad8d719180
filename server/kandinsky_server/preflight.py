"""Everything that can be known to be wrong before weights are loaded."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from pathlib import Path

import torch
from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.cache import obstacle
from kandinsky_backends.registry import AUTO, backend_names, get_backend
from kandinsky_backends.threads import usable_cores

from kandinsky_server.app import backend_options, pick_device, sources_of
from kandinsky_server.diffusion.checkpoint import scheduler
from kandinsky_server.diffusion.layout import check_layout, read_object
from kandinsky_server.diffusion.source import CheckpointError, is_on_hub, local_directory
from kandinsky_server.security.tokens import read_tokens
from kandinsky_server.settings import Settings

OWN_FILES = 128
"""Open files that are no calls: ports, weights, caches, the log, connections to /metrics."""


@dataclass
class Preflight:
    """What this machine makes of the settings: ``findings`` as (what, found), ``problems`` as sentences, none first."""

    settings: Settings
    findings: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Looks at everything, however much of it is wrong."""
        self._port()
        self._open_files()
        device = self._device()
        self._backend(device)
        self._backend_cache()
        self._checkpoints()

    def _port(self) -> None:
        settings = self.settings
        words = ["without TLS", "TLS", "TLS with client certificates"]
        how = words[bool(settings.tls_certificate) + bool(settings.tls_client_ca)]
        self.findings.append(("port", f"{settings.host}:{settings.port}, {how}"))
        clients = (
            [client.name for _, client in read_tokens(settings.tokens_file)] if settings.tokens_file else []
        )
        self.findings.append(("clients", ", ".join(clients) or "anyone, no tokens"))

    def _open_files(self) -> None:
        """Raises this process's own limit as far as the connections need it."""
        needed = self.settings.max_connections + OWN_FILES
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY or limit >= needed:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
        except (ValueError, OSError):
            self.problems.append(
                f"max_connections: needs {needed} open files and this process may have {most}; lower it, or raise "
                "the limit (ulimit -n)"
            )

    def _device(self) -> torch.device | None:
        name = self.settings.device
        try:
            device = pick_device(name)
            torch.empty(0, device=device)
        except (
            RuntimeError,
            AssertionError,
        ) as error:  # the latter from a torch that was built without the device
            self.problems.append(f"device: {name!r} cannot be used: {str(error).splitlines()[0]}")
            return None
        self.findings.append(("device", f"{device}, {self.settings.dtype}"))
        return device

    def _backend(self, device: torch.device | None) -> None:
        name = self.settings.backend
        if device is None:
            if name not in (AUTO, *backend_names()):
                self.problems.append(f"backend: there is no {name!r}, but {', '.join(backend_names())}")
            return
        try:
            options = backend_options(self.settings, self.settings.threads or usable_cores())
            self.findings.append(("backend", get_backend(name, options, device).name))
        except BackendUnavailable as error:
            self.problems.append(f"backend: {error.reason} {error.hint}")

    def _backend_cache(self) -> None:
        directory = self.settings.backend_cache_dir
        if directory is None or self.settings.backend == "eager":
            return
        found = obstacle(directory)
        self.findings.append(
            ("cache", f"{directory} cannot be written: {found}" if found else str(directory))
        )

    def _checkpoints(self) -> None:
        try:
            sources = sources_of(self.settings)
        except CheckpointError as error:
            self.problems.append(f"model: {error}")
            return
        for stage, source in sources.given().items():
            self._stage(stage, source)
        if sources.depth:
            self._depth(sources.depth)

    def _depth(self, source: str) -> None:
        config = Path(source).expanduser() / "config.json"
        try:
            if config.is_file() or not is_on_hub(source):
                read_object(config)
        except CheckpointError as error:
            self.problems.append(f"depth_model: {error}")
        self.findings.append(("depth", source))

    def _stage(self, stage: str, source: str) -> None:
        if is_on_hub(source):
            self.findings.append((stage, f"{source}, from the hub or its cache; not looked at"))
            return
        try:
            directory = local_directory(source)
            size = check_layout(stage, directory)
            scheduler(directory)
        except CheckpointError as error:
            self.problems.append(f"{stage}: {error}")
        else:
            self.findings.append((stage, f"{source}, {size / 1e6:.1f} MB of weights"))
