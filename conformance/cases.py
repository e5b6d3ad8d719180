"""The cases, as `cases/*.yaml` have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from conformance.fake_server.script import Script, kind_of
from conformance.paths import CASES
from conformance.yaml_values import load

FOR_THE_PROGRAM = frozenset(
    (
        "token",
        "tls",
        "metadata",
        "timeout_seconds",
        "retries",
        "call",
        "request",
        "image",
        "service",
        "embeddings_file",
        "save_file",
        "cancel_on",
        "cancel_after_seconds",
        "linger_seconds",
        "type",
        "message",
    )
)
"""Keys that the program gets too; README.md says what they mean."""


@dataclass(frozen=True)
class Company:
    """Other calls that hold places of the real server's queue while a case runs.

    Args:
        images: How many places.
        token: By whose token; None is none.
    """

    images: int
    token: str | None = None


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        case: Its name.
        about: What it shows, in a sentence.
        file: The name of its file, without suffix.
        server: "fake", or a kind of real server (`real_servers.py`).
        given: What the program gets.
        script: What the fake server does, a list of steps for each call.
        expect: What the report must hold (`matching.py`). A report with an error fails a case that expects none.
        saw: What the fake server must have seen.
        transports: Those it makes sense over.
        after: A case whose files it needs: it is carried out before, by Python and by the client.
        by: The client that carries it out in place of the one it is counted for.
        company: Calls of others beside it.
        stands_still_seconds: The real server must have taken no step in the last so many seconds of the call.
        most_steps: The most denoising steps that the real server may take for it.
        saved_as: A file that `save_file` must equal byte for byte.
        limit_seconds: How long the program may take.
    """

    case: str
    about: str
    file: str
    server: str = "real"
    given: Mapping[str, Any] = field(default_factory=dict)
    script: Script = ()
    expect: Mapping[str, Any] = field(default_factory=dict)
    saw: Mapping[str, Any] = field(default_factory=dict)
    transports: tuple[str, ...] = ("grpc", "grpc-web")
    after: str | None = None
    by: str | None = None
    company: Company | None = None
    stands_still_seconds: float | None = None
    most_steps: int | None = None
    saved_as: str | None = None
    limit_seconds: float = 60.0

    @property
    def compares(self) -> bool:
        """Whether it is held against what Python got."""
        return "same_as" in repr((self.expect, self.saved_as)) or "python/" in repr(
            (self.given, self.saved_as)
        )


def load_cases(folder: Path = CASES) -> list[Case]:
    """Reads all files of a folder.

    Raises:
        ValueError: A key, a step or a name that cannot be.
    """
    cases = [_case(file.stem, entry) for file in sorted(folder.glob("*.yaml")) for entry in load(file)]
    names = [case.case for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cases that are there twice: {', '.join(sorted(twice))}")
    for case in cases:
        if case.after is not None and case.after not in names:
            raise ValueError(f"{case.case}: there is no case {case.after!r} to come after")
    return cases


def for_any_server(cases: list[Case]) -> list[Case]:
    """Returns those that need no more of a server than its address."""
    return [
        case
        for case in cases
        if case.server == "real" and case.most_steps is None and case.stands_still_seconds is None
    ]


def chosen(cases: list[Case], patterns: list[str]) -> list[Case]:
    """Returns the cases whose name, or file, matches one of the patterns; all where there are none."""
    if not patterns:
        return cases
    return [
        case
        for case in cases
        if any(fnmatchcase(name, pattern) for pattern in patterns for name in (case.case, case.file))
    ]


def _case(file: str, entry: dict[str, Any]) -> Case:
    known = {each.name for each in fields(Case)} - {"file", "given"}
    given = {key: entry.pop(key) for key in FOR_THE_PROGRAM & entry.keys()}
    if unknown := entry.keys() - known:
        raise ValueError(f"{file}.yaml, {entry.get('case')}: unknown keys {', '.join(sorted(unknown))}")
    for step in (step for call in entry.get("script", ()) for step in call):
        kind_of(step)
    if "company" in entry:
        entry["company"] = Company(**entry["company"])
    if "transports" in entry:
        entry["transports"] = tuple(entry["transports"])
    return Case(file=file, given=given, **entry)
