"""YAML with values that a text file cannot hold: each becomes base64, which is how JSON holds bytes.

| tag | bytes |
|---|---|
| `!input picture.png` | a file of `inputs/` |
| `!golden Event.queued` | a message of `golden/` |
| `!floats [1, .nan]` | little-endian float32 numbers; `{value: 0.5, count: 96}` repeats one |
| `!filled {byte: 7, count: 1000}` | one byte again and again |
| `!hex "0a 02"` | bytes as they are |
| `!text "..."` | a text in UTF-8 |
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from conformance.paths import GOLDEN, INPUTS


class Loader(yaml.SafeLoader):
    """Plain YAML, and the tags above."""


def load(file: Path) -> Any:
    """Reads a file; raises yaml.YAMLError, which names the line."""
    with file.open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader)


def _floats(value: Any) -> bytes:
    numbers = [value["value"]] * value["count"] if isinstance(value, dict) else value
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _add(tag: str, to_bytes: Callable[[Any], bytes]) -> None:
    def construct(loader: Loader, node: yaml.Node) -> str:
        match node:
            case yaml.ScalarNode():
                value: Any = loader.construct_scalar(node)
            case yaml.SequenceNode():
                value = loader.construct_sequence(node, deep=True)
            case yaml.MappingNode():
                value = loader.construct_mapping(node, deep=True)
            case _:
                raise yaml.constructor.ConstructorError(None, None, f"{tag} cannot be here", node.start_mark)
        return base64.b64encode(to_bytes(value)).decode()

    Loader.add_constructor(tag, construct)


_add("!input", lambda name: (INPUTS / name).read_bytes())
_add("!golden", lambda name: (GOLDEN / f"{name}.binpb").read_bytes())
_add("!floats", _floats)
_add("!filled", lambda value: bytes([value["byte"]]) * value["count"])
_add("!hex", bytes.fromhex)
_add("!text", str.encode)
