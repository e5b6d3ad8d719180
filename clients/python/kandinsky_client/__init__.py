"""Calls a Kandinsky 2.2 gRPC server.

::

    with Kandinsky("localhost:50051") as client:
        cat = client.prior("a red cat, 4k photo")
        cat.save("cat.safetensors")
        for result in client.decode(cat, image_count=4):
            result.image.save(f"cat-{result.seed}.png")

        for event in client.stream.decode(cat, preview_interval_steps=10):  # the same call, as it happens
            ...
        client.estimate.decode(cat, image_count=4)  # the same call: what would it cost?

`AsyncKandinsky` has the same calls for asyncio. Needs no torch, and nothing of the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kandinsky_client.public import *  # noqa: F403


# Loaded on first use, so that `kandinsky --help` need not wait for grpc and numpy.
def __getattr__(name: str) -> Any:
    public = import_module("kandinsky_client.public")
    if name == "__all__":
        return public.__all__
    if name not in public.__all__:
        raise AttributeError(f"module 'kandinsky_client' has no attribute {name!r}")
    return getattr(public, name)


def __dir__() -> list[str]:
    return list(import_module("kandinsky_client.public").__all__)
