"""Carries out cases: starts what each needs, drives the program, and holds its report against what is expected."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from conformance.cases import Case
from conformance.clients import Client
from conformance.company import keep_company
from conformance.envoy import Envoys
from conformance.fake_server import FakeServer
from conformance.matching import differences
from conformance.metrics import StepWatch
from conformance.program import Program, ProgramError
from conformance.real_servers import RealServers
from conformance.requests import program_input
from conformance.sightings import sightings

NOTICE_SECONDS = 5.0
"""How long a server may take to notice that a client has left."""


@dataclass(frozen=True)
class Outcome:
    """How one case ended for one client over one transport.

    Args:
        problems: What was not as expected; empty is a pass.
        known: Why it is known to fail; empty is not known.
    """

    problems: tuple[str, ...]
    known: str = ""

    @property
    def passed(self) -> bool:
        """Whether all was as expected: a pass, or a failure that is known."""
        return bool(self.problems) == bool(self.known)

    @property
    def mark(self) -> str:
        """What the table shows."""
        if self.known:
            return "known" if self.problems else "FIXED"
        return "FAIL" if self.problems else "ok"


class Suite:
    """Use as a context manager.

    Args:
        cases: All cases, by which those that others come after are found.
        python: The client that the others are compared with.
        folder: For the files of this run; must be empty.
        target: A server that runs already, in place of the real one.
    """

    def __init__(
        self, cases: Sequence[Case], python: Client, folder: Path, target: str | None = None
    ) -> None:
        self._cases = {case.case: case for case in cases}
        self._python = python
        self._folder = folder
        self._given_target = target
        self._stack = ExitStack()
        self._programs: dict[str, Program] = {}
        self._reports: dict[tuple[str, str, str], dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self.servers = self._stack.enter_context(RealServers(self._folder))
        self.fake = self._stack.enter_context(FakeServer())
        self.envoys = self._stack.enter_context(Envoys(self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, client: Client, case: Case, transport: str) -> Outcome:
        """Carries out one case."""
        known = client.known_failures.get(case.case, "")
        known = client.known_failures.get(f"{case.case} over {transport}", known)
        try:
            return Outcome(tuple(self._problems(client, case, transport)), known)
        except ProgramError as error:
            return Outcome((str(error),), known)

    def finish(self, client: Client) -> None:
        """Ends a client's program; raises ProgramError when it does not end well."""
        if program := self._programs.pop(client.name, None):
            program.finish()

    def _problems(self, client: Client, case: Case, transport: str) -> Iterator[str]:
        if case.after is not None:
            before = self._cases[case.after]
            self._report(self._python, before, "grpc")
            self._report(client, before, transport)
        python = (
            self._report(self._python, case, "grpc") if case.compares and client != self._python else None
        )
        self._reports.pop((client.name, transport, case.case), None)
        with ExitStack() as around:
            watch = None
            if case.most_steps is not None or case.stands_still_seconds is not None:
                watch = around.enter_context(StepWatch(self.servers.get(case.server).lifecycle.metrics_port))
            report = self._report(client, case, transport)
            if watch:
                yield from _steps(case, watch)
        yield from differences({"error": None, **case.expect}, report, report if python is None else python)
        yield from (
            f"the script cannot be followed: {call.failure}" for call in self.fake.calls if call.failure
        )
        if case.saw:
            yield from self._seen(client, case)
        if case.saved_as is not None:
            yield from self._saved(client, case, transport)

    def _report(self, client: Client, case: Case, transport: str) -> dict[str, Any]:
        key = (client.name, transport, case.case)
        if key not in self._reports:
            self._reports[key] = self._carry_out(client, case, transport)
        return self._reports[key]

    def _carry_out(self, client: Client, case: Case, transport: str) -> dict[str, Any]:
        target = self._target(case)
        runner = self._python if case.by == "python" else client
        with ExitStack() as around:
            if case.company:
                around.enter_context(keep_company(target, case.company))
            self.fake.play(case.script)
            if transport == "grpc-web" and runner == client:
                target = self.envoys.before(target)
            given = program_input(
                case,
                files=self._folder / "files",
                own=f"{client.name} {transport}",
                certificates=self.servers.certificates,
            )
            where = {
                "case": case.case,
                "target": target,
                "transport": transport if runner == client else "grpc",
            }
            return self._program(runner).carry_out({**where, **given}, case.limit_seconds)

    def _target(self, case: Case) -> str:
        if case.server == "nobody":
            return "127.0.0.1:1"
        if case.server == "fake":
            return self.fake.target
        return self._given_target or self.servers.get(case.server).target

    def _program(self, client: Client) -> Program:
        if client.name not in self._programs:
            self._programs[client.name] = self._stack.enter_context(Program(client))
        return self._programs[client.name]

    def _seen(self, client: Client, case: Case) -> Iterator[str]:
        deadline = time.monotonic() + NOTICE_SECONDS
        while True:
            seen = sightings(self.fake.calls)
            expected = _named(case.saw, client.language)
            problems = [f"of what the server saw, {problem}" for problem in differences(expected, seen)]
            if not problems or time.monotonic() > deadline:
                return (yield from problems)
            time.sleep(0.05)

    def _saved(self, client: Client, case: Case, transport: str) -> Iterator[str]:
        files = self._folder / "files"
        written = files / f"{client.name} {transport}" / case.given["save_file"]
        wanted = files / f"{self._python.name} grpc" / str(case.saved_as).removeprefix("python/")
        if not written.is_file():
            yield f"{written.name} was not saved"
        elif written.read_bytes() != wanted.read_bytes():
            yield f"{written.name} is not byte for byte as Python's: {_first_difference(written, wanted)}"


def _steps(case: Case, watch: StepWatch) -> Iterator[str]:
    if case.stands_still_seconds is not None:
        if watch.still_seconds < case.stands_still_seconds:
            yield (
                f"the server took a step {watch.still_seconds:.2f} s before the report, "
                f"not {case.stands_still_seconds:g} s or earlier"
            )
        if length := watch.queue_length():
            yield f"the server's queue still has {length:g} trajectories"
    if case.most_steps is not None and watch.steps > case.most_steps:
        yield f"the server took {watch.steps:g} steps, and {case.most_steps} would do"


def _named(value: Any, language: str) -> Any:
    """Puts the client's language where a case says {language}."""
    if isinstance(value, str):
        return value.replace("{language}", language)
    if isinstance(value, dict):
        return {key: _named(each, language) for key, each in value.items()}
    return [_named(each, language) for each in value] if isinstance(value, list) else value


def _first_difference(ours: Path, theirs: Path) -> str:
    ours_bytes, theirs_bytes = ours.read_bytes(), theirs.read_bytes()
    pairs = enumerate(zip(ours_bytes, theirs_bytes, strict=False))
    place = next((k for k, (a, b) in pairs if a != b), min(len(ours_bytes), len(theirs_bytes)))
    around = slice(max(0, place - 20), place + 60)
    return f"at byte {place} {ours_bytes[around]!r}, not {theirs_bytes[around]!r}"
