"""Finds backends by name among the installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import torch

from kandinsky_backends.base import Backend, BackendUnavailable
from kandinsky_backends.options import AUTO, BackendOptions

GROUP = "kandinsky.backends"
INSTALL_COMMANDS = {
    "openvino": "pip install 'kandinsky-server[openvino]'",
    "xformers": "pip install 'kandinsky-server[xformers]'",
}


@dataclass(frozen=True)
class BackendStatus:
    """Whether a backend can be used on a device; ``reason`` and ``hint`` are empty when it can."""

    name: str
    available: bool
    reason: str = ""
    hint: str = ""


def backend_names() -> list[str]:
    """Names of all registered backends, sorted; ``auto`` is not one of them."""
    return sorted(_registered())


def get_backend(name: str, options: BackendOptions, device: torch.device) -> Backend:
    """Loads the backend ``name`` (or the one that ``auto`` means on ``device``) and probes it.

    Raises:
        BackendUnavailable: the name is not registered, the backend's own import, constructor or probe fails
            (the message is that error), or its probe says that it cannot serve ``device``.
    """
    if name == AUTO:
        name = resolve_auto(options, device)
    entry_point = _registered().get(name)
    if entry_point is None:
        found = ", ".join([AUTO, *backend_names()])
        installs = "; ".join(f"{extra}: {command}" for extra, command in INSTALL_COMMANDS.items())
        raise BackendUnavailable(f"There is no backend '{name}'. Found: {found}.", f"To add one: {installs}.")
    try:
        backend: Backend = entry_point.load()(options)
        backend.probe(device)
    except BackendUnavailable:
        raise
    except Exception as error:  # a stranger's package may fail in any way: its own error is the answer
        package = entry_point.dist.name if entry_point.dist else "an unknown package"
        raise BackendUnavailable(
            f"The backend '{name}' ({entry_point.value} of {package}) is registered but fails to load: "
            f"{type(error).__name__}: {error}",
            f"Mend or remove the package {package}.",
        ) from error
    return backend


def resolve_auto(options: BackendOptions, device: torch.device) -> str:
    """What ``auto`` means: the fastest backend that is usable on ``device``, eager when there is none."""
    if options.deterministic:
        return "eager"
    preferred = "graphs" if device.type == "cuda" else "openvino"
    return preferred if backend_status(preferred, options, device).available else "eager"


def backend_status(name: str, options: BackendOptions, device: torch.device) -> BackendStatus:
    """Whether ``name`` can be used on ``device``, and why not."""
    try:
        get_backend(name, options, device)
    except BackendUnavailable as error:
        return BackendStatus(name, available=False, reason=error.reason, hint=error.hint)
    return BackendStatus(name, available=True)


def available_backends(options: BackendOptions, device: torch.device) -> list[BackendStatus]:
    """The status of every registered backend on ``device``, sorted by name."""
    return [backend_status(name, options, device) for name in backend_names()]


def _registered() -> dict[str, EntryPoint]:
    """Entry points by name; of two with one name the first on ``sys.path`` counts, as for imports."""
    by_name: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=GROUP):
        by_name.setdefault(entry_point.name, entry_point)
    return by_name
