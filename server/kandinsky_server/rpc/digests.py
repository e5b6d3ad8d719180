"""The SHA-256 of what a request brings: its pictures and embeddings, by field."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

from google.protobuf.message import Message
from kandinsky_api.v1 import types_pb2 as pb

Input = pb.InputImage | pb.Embedding


async def input_digests(request: Message) -> dict[str, str]:
    """64 hexadecimal digits for each, of its ``data`` as it came; by paths such as ``embeddings[2].positive``.

    Made in a thread: pictures are large.
    """
    found = dict(_inputs(request, ""))
    return await asyncio.to_thread(_digests, found) if found else {}


def _digests(inputs: dict[str, Input]) -> dict[str, str]:
    return {path: hashlib.sha256(each.data).hexdigest() for path, each in inputs.items()}


def _inputs(message: Message, prefix: str) -> Iterator[tuple[str, Input]]:
    for field, value in message.ListFields():
        # What `options.resume` carries was made for this request, and not given to it.
        if field.message_type is None or field.name == "options":
            continue
        path = f"{prefix}{field.name}"
        parts = {f"{path}[{k}]": part for k, part in enumerate(value)} if field.is_repeated else {path: value}
        for name, part in parts.items():
            if isinstance(part, Input):
                yield name, part
            else:
                yield from _inputs(part, f"{name}.")
