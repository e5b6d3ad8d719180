"""What the backends gain over naive and over eager, and what they cost at start."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.figure import Bar, Figure, at_least, at_most
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.setting import Setting
from benchmarks.versus import compare


def measure(setting: Setting) -> Iterator[Figure]:
    """Each backend's starts, then what it gains; a backend that cannot serve here says why."""
    with tempfile.TemporaryDirectory() as cache:
        kept = ("--backend-cache-dir", cache)
        yield from _starts(setting, "eager", *kept)
        yield from _starts(setting, "openvino", *kept)
        yield _gain(setting, "openvino", "naive", setting.naive, at_least(5), *kept)
        yield _gain(setting, "openvino", "naive", setting.naive, at_least(5), *kept, dtype="bf16")
        yield _gain(setting, "openvino", "eager", lambda: _eager(setting), at_least(1.3), *kept)
        yield from _starts(setting, "compiled", *kept)
        yield _gain(setting, "compiled", "eager", lambda: _eager(setting), at_least(1.2), *kept)


def _eager(setting: Setting) -> ServerProcess:
    return setting.ours(backend="eager")


def _gain(
    setting: Setting,
    backend: str,
    other: str,
    start: Callable[[], ServerProcess],
    bar: Bar,
    *flags: str,
    dtype: str = "",
) -> Figure:
    """Images a second over those of another server; ``dtype`` is ours, and the setting's is the other's."""
    name, command = f"{backend}{dtype and f' in {dtype}'} over {other}", setting.command("backends")
    try:
        mine = replace(setting, dtype=dtype or setting.dtype)
        with mine.ours(*flags, backend=backend) as ours, start() as theirs:
            result = compare(setting, ours, theirs)
    except ServerFailed as error:
        return Figure(name, bar, [], "x", command, str(error))
    return Figure(name, bar, result.ratios, "x", command, result.note)


def _starts(setting: Setting, backend: str, *flags: str) -> Iterator[Figure]:
    """From an empty cache to everything prepared, and what the second start saves with what the first one kept."""
    command = setting.command("backends")
    try:
        first, first_load = _start(setting, backend, *flags)
        second, second_load = _start(setting, backend, *flags)
    except ServerFailed as error:
        yield Figure(f"cold start, prepared, {backend}", None, [], " s", command, str(error))
        return
    note = f"{second:.1f} s with a warm cache; loading and preparing {first_load:.1f} s, then {second_load:.1f} s"
    yield Figure(f"cold start, prepared, {backend}", None, [first], " s", command, note)
    if backend == "compiled":
        yield Figure(
            "second warm-up over first, compiled", at_most(0.25), [second_load / first_load], "x", command
        )


def _start(setting: Setting, backend: str, *flags: str) -> tuple[float, float]:
    """Seconds to SERVING with --strict-backend, and of those the seconds that stages took to load and prepare."""
    with setting.ours(*flags, backend=backend) as server:
        return server.start_seconds, server.metrics()["kandinsky_model_load_seconds"]
