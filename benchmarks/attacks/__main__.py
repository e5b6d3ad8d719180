"""`python -m benchmarks.attacks [phrases...]`: attacks a server, prints one table, exits with 1 unless it held."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.attacks import bystanders, engine, messages, pictures, readers, receiving, tls
from benchmarks.attacks.attack import Attack, Verdict

ATTACKS: Sequence[Attack] = (
    *tls.ATTACKS,
    *messages.ATTACKS,
    *receiving.ATTACKS,
    *pictures.ATTACKS,
    *readers.ATTACKS,
    *engine.ATTACKS,
    *bystanders.ATTACKS,
)


def main() -> None:
    """Runs the attacks whose names hold any phrase of the command line, one after the other; all, without one."""
    phrases = sys.argv[1:] or [""]
    chosen = [attack for attack in ATTACKS if any(phrase in attack.name for phrase in phrases)]
    if not chosen:
        sys.exit(f"no attack's name holds {' or '.join(map(repr, phrases))}; there are: {_names()}")
    console, verdicts = Console(), list[Verdict]()
    for attack in chosen:
        console.print(f"attacking: {attack.name} ...", style="dim")
        verdicts.append(_verdict(attack))
        console.print(f"  {verdicts[-1].measured}", style="dim")
    console.print(_table(chosen, verdicts))
    sys.exit(not all(verdict.held for verdict in verdicts))


def _verdict(attack: Attack) -> Verdict:
    """The attack's own; one that breaks off has not shown that the server held, and does not keep others from running."""
    try:
        return attack.run()
    except Exception as error:
        return Verdict(False, f"broke off: {type(error).__name__}: {str(error)[:200]}")


def _names() -> str:
    return "; ".join(attack.name for attack in ATTACKS)


def _table(attacks: Sequence[Attack], verdicts: Sequence[Verdict]) -> Table:
    table = Table("attack", "size", "before", "now", "")
    for attack, verdict in zip(attacks, verdicts, strict=True):
        table.add_row(
            attack.name, attack.size, attack.before, verdict.measured, "held" if verdict.held else "FAILED"
        )
    return table


if __name__ == "__main__":
    main()
