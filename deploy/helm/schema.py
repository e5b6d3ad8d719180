"""Writes the chart's values.schema.json from values.yaml: `python deploy/helm/schema.py`.

A key's type is its default's, its description the comment above it; a comment `# @schema {...}` adds to both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "kandinsky"
OUTPUT = CHART / "values.schema.json"
KEY = re.compile(r"^( *)([A-Za-z]\w*):")
MARK = "@schema "
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def comments(text: str) -> dict[tuple[str, ...], list[str]]:
    """The lines of the comment right above each key, by the key's path."""
    found: dict[tuple[str, ...], list[str]] = {}
    path: list[str] = []
    block: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            block.append(line.strip().removeprefix("#").strip())
            continue
        if key := KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            found[tuple(path)] = block
        block = []
    return found


def schema_of(value: Any, path: tuple[str, ...], said: dict[tuple[str, ...], list[str]]) -> dict[str, Any]:
    """What a value like this default may be; keys that the chart does not know are refused where it names keys itself."""
    lines = said.get(path, [])
    schema: dict[str, Any] = {"type": TYPES[type(value)]}
    if words := " ".join(line for line in lines if not line.startswith(MARK)):
        schema["description"] = words
    named = (
        {key: inner for key, inner in value.items() if (*path, key) in said}
        if isinstance(value, dict)
        else {}
    )
    if named:
        schema["properties"] = {key: schema_of(inner, (*path, key), said) for key, inner in named.items()}
        schema["additionalProperties"] = False
    for line in lines:
        if line.startswith(MARK):
            schema |= json.loads(line.removeprefix(MARK))
    return schema


def schema() -> dict[str, Any]:
    """The whole."""
    text = (CHART / "values.yaml").read_text()
    whole = schema_of(yaml.safe_load(text), (), comments(text))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart",
        **whole,
    }


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(schema(), indent=2) + "\n")
