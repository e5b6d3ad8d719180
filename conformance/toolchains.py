"""`python -m conformance.toolchains GOAL...`: runs make in the folder of every client whose toolchain is here."""

from __future__ import annotations

import argparse
import subprocess
import sys

from conformance.clients import ENVIRONMENT, Client, find_clients


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 when a client fails, or with --require-all when one lacks its toolchain."""
    parser = argparse.ArgumentParser(prog="python -m conformance.toolchains", description=__doc__)
    parser.add_argument("goals", nargs="+", metavar="GOAL", help="of the clients' Makefiles, such as test")
    parser.add_argument("--require-all", action="store_true", help="a client that cannot run is a failure")
    options = parser.parse_args(arguments)
    failed, missing = [], []
    for client in _with_makefiles():
        if lacking := client.lacking:
            missing.append(client.language)
            print(f"MISSING: the {client.language} client needs {', '.join(lacking)}", file=sys.stderr)
        elif _make(client, options.goals):
            failed.append(client.language)
    for language in failed:
        print(f"FAILED: the {language} client: make {' '.join(options.goals)}", file=sys.stderr)
    return int(bool(failed) or (options.require_all and bool(missing)))


def _with_makefiles() -> list[Client]:
    """Every client that is built by its own Makefile: all but Python's, which the repository's own is for."""
    return [client for client in find_clients() if (client.folder / "Makefile").exists()]


def _make(client: Client, goals: list[str]) -> int:
    print(f"== {client.language}: make {' '.join(goals)}", flush=True)
    # What make hands on to makes that it starts is of the repository's own Makefile.
    environment = {
        name: value for name, value in ENVIRONMENT.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(["make", "--silent", *goals], cwd=client.folder, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
