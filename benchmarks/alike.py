"""All requests alike, and enough of them: images a second of the server over what its networks alone would give."""

from __future__ import annotations

from collections.abc import Iterator

from kandinsky_backends.base import BackendUnavailable

from benchmarks.alone import Alone
from benchmarks.decoding import Decoding
from benchmarks.figure import Figure, at_least
from benchmarks.process import ServerFailed
from benchmarks.setting import Setting

BACKENDS = ("eager", "openvino")
STEPS = 25


def measure(setting: Setting) -> Iterator[Figure]:
    """Turn by turn, one of the two idle: the networks in this process, then the server."""
    for backend in setting.backends or BACKENDS:
        name, command = f"all alike, share of the networks alone, {backend}", setting.command("alike")
        try:
            shares, note = _shares(setting, backend)
        except (BackendUnavailable, ServerFailed) as error:
            yield Figure(name, at_least(0.92), [], "", command, str(error))
            continue
        yield Figure(name, at_least(0.92), shares, "", command, note)


def _shares(setting: Setting, backend: str) -> tuple[list[float], str]:
    alone = Alone(setting, backend)
    # Two rows an image: as many as fill the best batch, and as many again, who wait to take a place that gets free.
    clients = alone.best_unet_rows
    networks, served = [], []
    with setting.ours(backend=backend) as server:
        decoding = Decoding.on(server, STEPS)
        decoding.rate(server, clients, clients)
        images = setting.scaled(3 * clients, clients)
        for _ in range(setting.scaled(5, 2)):
            networks.append(alone.images_per_second(STEPS, images))
            served.append(decoding.rate(server, images, clients))
    shares = [ours / most for ours, most in zip(served, networks, strict=True)]
    return (
        shares,
        f"images/s: {max(served):.2f} of {max(networks):.2f} at best, {STEPS} steps, {clients} clients",
    )
