"""`python -m conformance`: holds the clients to the cases."""

from __future__ import annotations

import argparse
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.cases import chosen, for_any_server, load_cases
from conformance.clients import Client, find_clients
from conformance.documents import write_clients, write_examples
from conformance.examples import EXAMPLES
from conformance.run import Run
from conformance.table import summary, table


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 when anything was not as expected, 2 when nothing was asked for."""
    options = _parser().parse_args(arguments)
    clients, cases = find_clients(options.clients), load_cases()
    if options.target:
        cases = for_any_server(cases)
    wanted = [client for client in clients if _is_wanted(client, options.client)]
    asked = chosen(cases, options.case)
    if not wanted or not asked:
        print("no such client" if not wanted else "no such case", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        run = Run(cases, clients[0], Path(folder), options.target)
        run.everything(wanted, asked, options.transport, examples=options.examples, jobs=options.jobs)
    print(table([case.case for case in asked], run.results))
    print(summary(run.results))
    if options.examples:
        print(table(list(EXAMPLES), run.examples))
    if options.write_docs:
        write_clients(clients, cases, run.results)
        write_examples(clients)
    for complaint in (*run.missing, *run.broken):
        print(complaint, file=sys.stderr)
    return int(run.failed or bool(run.missing and options.require_all))


def _is_wanted(client: Client, patterns: list[str]) -> bool:
    names = (client.name, client.language)
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument(
        "--client", action="append", default=[], metavar="NAME", help="only these, by pattern"
    )
    parser.add_argument(
        "--case", action="append", default=[], metavar="PATTERN", help="only these cases, or files of cases"
    )
    parser.add_argument("--transport", choices=("grpc", "grpc-web"), help="only this one")
    parser.add_argument(
        "--target",
        metavar="HOST:PORT",
        help="hold this server to the cases that any can be held to: it must serve the toy model, --deterministic, with "
        "--prior-cache-size 0",
    )
    parser.add_argument("--examples", action="store_true", help="run the examples too")
    parser.add_argument("--require-all", action="store_true", help="a client that cannot run is a failure")
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/examples.md and the tables of docs/clients.md"
    )
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="clients at once (4)")
    parser.add_argument("--clients", type=Path, metavar="FOLDER", help="another folder than clients/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
