"""What the backends gain over naive and over eager, and what they cost at start."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

from benchmarks.figure import Bar, Figure, at_least, at_most
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.setting import Setting
from benchmarks.versus import compare

BACKENDS = ("eager", "openvino", "compiled")


def measure(setting: Setting) -> Iterator[Figure]:
    """Each part skips, and says why, when a backend cannot serve here."""
    for backend in BACKENDS:
        yield from _starts(setting, backend)
    yield _gain(setting, "openvino", "naive", setting.naive, at_least(2.5))
    for backend, bar in (("openvino", at_least(1.3)), ("compiled", at_least(1.2))):
        yield _gain(setting, backend, "eager", lambda: setting.ours(backend="eager"), bar)


def _gain(setting: Setting, backend: str, other: str, start: Callable[[], ServerProcess], bar: Bar) -> Figure:
    """Images a second over those of another server."""
    name, command = f"{backend} over {other}", setting.command("backends")
    try:
        with setting.ours(backend=backend) as ours, start() as theirs:
            result = compare(setting, ours, theirs)
    except ServerFailed as error:
        return Figure(name, bar, [], "x", command, str(error))
    return Figure(name, bar, result.ratios, "x", command, result.note)


def _starts(setting: Setting, backend: str) -> Iterator[Figure]:
    """From an empty cache to SERVING, and what the second start saves with what the first one kept."""
    command = setting.command("backends")
    with tempfile.TemporaryDirectory() as cache:
        try:
            first, first_load = _start(setting, backend, cache)
            second, second_load = _start(setting, backend, cache)
        except ServerFailed as error:
            yield Figure(f"cold start, {backend}", None, [], " s", command, str(error))
            return
    note = f"{second:.1f} s with a warm cache; loading and preparing {first_load:.1f} s, then {second_load:.1f} s"
    yield Figure(f"cold start, {backend}", None, [first], " s", command, note)
    if backend == "compiled":
        yield Figure(
            "second warm-up over first, compiled", at_most(0.25), [second_load / first_load], "x", command
        )


def _start(setting: Setting, backend: str, cache: str) -> tuple[float, float]:
    """Seconds to SERVING, and of those the seconds that stages took to load and prepare."""
    with setting.ours("--backend-cache-dir", cache, backend=backend) as server:
        return server.start_seconds, server.metrics()["kandinsky_model_load_seconds"]
