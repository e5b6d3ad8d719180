"""Everything that can be known to be wrong before weights are loaded."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from kandinsky_backends.base import BackendUnavailable
from kandinsky_backends.cache import obstacle
from kandinsky_backends.device import pick_device
from kandinsky_backends.half_precision import advice, instructions
from kandinsky_backends.options import AUTO
from kandinsky_backends.precision import set_precision
from kandinsky_backends.registry import backend_names, get_backend
from kandinsky_backends.threads import usable_cores

from kandinsky_server.checkpoints.checkpoints import Checkpoints, NoLender
from kandinsky_server.checkpoints.hub import is_on_hub
from kandinsky_server.checkpoints.outline import Outline
from kandinsky_server.checkpoints.weight_files import some
from kandinsky_server.diffusion.depth import sketch_depth
from kandinsky_server.errors import CheckpointError
from kandinsky_server.families.sizes import parse_size
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.security.tokens import read_tokens
from kandinsky_server.settings import Settings, addresses
from kandinsky_server.startup.capacity import Demand, readable, shortage
from kandinsky_server.startup.device_memory import Memory, configure_allocator, memory_of
from kandinsky_server.startup.number_type import NumberType
from kandinsky_server.startup.resolve import backend_options, sources_of

OWN_FILES = 128
"""Open files that are no calls: ports, weights, caches, the log, connections to /metrics."""


@dataclass
class Preflight:
    """What this machine makes of the settings: ``findings`` as (what, found), ``problems`` as sentences, none first.

    ``memory_of`` tells what is free.
    """

    settings: Settings
    findings: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    memory_of: Callable[[torch.device], Memory] = memory_of
    _stages: list[PriorStage | DecoderStage] = field(default_factory=list)
    _depth: Outline | None = None

    def run(self) -> None:
        """Looks at everything, however much of it is wrong."""
        self._ports()
        self._open_files()
        self._threads()
        device = self._device()
        self._backend(device)
        self._backend_cache()
        self._checkpoints(device)
        if device and self._stages:
            self._memory(device)

    def _ports(self) -> None:
        settings = self.settings
        words = ["without TLS", "TLS", "TLS with client certificates"]
        how = words[bool(settings.tls_certificate) + bool(settings.tls_client_ca)]
        self.findings.append(("port", f"{addresses.address(settings.host, settings.port)}, {how}"))
        if why := addresses.obstacle(settings.host, settings.port):
            self.problems.append(f"port: {why}")
        metrics_port = settings.metrics_port
        if metrics_port is not None and (why := addresses.obstacle(settings.metrics_host, metrics_port)):
            self.problems.append(f"metrics_port: {why}")
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

    def _threads(self) -> None:
        asked, cores = self.settings.threads, usable_cores()
        self.findings.append(("threads", f"{asked or cores}, of {cores} cores that this process may use"))
        if asked and asked > cores:
            self.problems.append(
                f"threads: {asked} are more than the {cores} cores that this process may use, by its affinity and its "
                "control group's quota; give fewer, or leave it out"
            )

    def _device(self) -> torch.device | None:
        name = self.settings.device
        # Before CUDA starts, which this makes it do.
        set_precision(self.settings.tf32, self.settings.deterministic)
        try:
            device = pick_device(name)
            configure_allocator(device)
            torch.empty(0, device=device)
        except (
            RuntimeError,
            AssertionError,
        ) as error:  # the latter from a torch that was built without the device
            self.problems.append(f"device: {name!r} cannot be used: {str(error).splitlines()[0]}")
            return None
        number_type = NumberType.of(self.settings, device)
        self.findings.append(("device", f"{device}, {number_type.told}"))
        if device.type == "cpu":
            self.findings.append(("bf16", advice(number_type.dtype, instructions())))
        if self.settings.tf32 and device.type != "cuda":
            self.problems.append(f"tf32: is arithmetic of CUDA devices, and the device is {str(device)!r}")
        return device

    def _backend(self, device: torch.device | None) -> None:
        name = self.settings.backend
        if device is None:
            if name not in (AUTO, *backend_names()):
                self.problems.append(f"backend: there is no {name!r}, but {', '.join(backend_names())}")
            return
        try:
            number_type = NumberType.of(self.settings, device)
            options = backend_options(self.settings, self.settings.threads or usable_cores(), number_type)
            self.findings.append(("backend", get_backend(name, options, device).name))
        except BackendUnavailable as error:
            self.problems.append(f"backend: {error.reason} {error.hint}")

    def _backend_cache(self) -> None:
        directory = self.settings.backend_cache_dir
        if self.settings.backend == "eager":
            return
        if directory is None:
            self.findings.append(("cache", "compiled networks are not kept (--backend-cache-dir)"))
            return
        found = obstacle(directory)
        self.findings.append(
            ("cache", f"{directory} cannot be written: {found}" if found else str(directory))
        )

    def _checkpoints(self, device: torch.device | None) -> None:
        try:
            sources = sources_of(self.settings)
        except CheckpointError as error:
            self.problems.append(f"model: {error}")
            return
        cpu = torch.device("cpu")
        checkpoints = Checkpoints(
            cpu, NumberType.of(self.settings, device or cpu).dtype, family=sources.family
        )
        unseen: list[str] = []
        for stage, source in sources.given().items():
            if is_on_hub(source):
                unseen.append(stage)
                self.findings.append((stage, f"{source}, from the hub or its cache; not looked at"))
            else:
                self._stage(checkpoints, stage, source, unseen)
        if sources.depth:
            self._depth_model(sources.depth)

    def _stage(self, checkpoints: Checkpoints, stage: str, source: str, unseen: Sequence[str]) -> None:
        try:
            sketch = checkpoints.sketch(stage, source)
            if isinstance(sketch.stage, DecoderStage):
                sketch.stage.sizes(tuple(map(parse_size, self.settings.sizes or ())))
        except NoLender as error:
            lenders = [
                name for name in unseen if issubclass(checkpoints.family.stages[name].kind, DecoderStage)
            ]
            if lenders:
                self.findings.append((stage, f"{source}, with the MoVQ of {lenders[0]}; not looked at"))
            else:
                self.problems.append(str(error).removeprefix("stage "))
        except CheckpointError as error:
            self.problems.append(str(error).removeprefix("stage "))
        else:
            self._stages.append(sketch.stage)
            self.findings.append((stage, f"{source}, {sketch.layout.size / 1e6:.1f} MB of weights"))
            for file, names in sketch.surplus.items():
                self.findings.append((stage, f"{file} holds tensors that are not used: {some(names)}"))

    def _depth_model(self, source: str) -> None:
        if is_on_hub(source):
            self.findings.append(("depth", f"{source}, from the hub or its cache; not looked at"))
            return
        try:
            self._depth = sketch_depth(source)
        except CheckpointError as error:
            self.problems.append(f"depth_model: {error}")
            return
        self.findings.append(("depth", source))
        if surplus := self._depth.surplus:
            self.findings.append(("depth", f"holds tensors that are not used: {some(surplus)}"))

    def _memory(self, device: torch.device) -> None:
        """Of what has been looked at, which is less than the whole where stages come from the hub."""
        demand = Demand.of(self._stages, self._depth, self.settings.offload == "model")
        memory = self.memory_of(device)
        needed = f"{readable(demand.on_device)} at the least"
        free = "" if memory.device is None else f", and {readable(memory.device)} are free"
        self.findings.append(("memory", needed + free))
        if why := shortage(demand, memory):
            self.problems.append(why)
