"""The table of cases and clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.suite import Outcome

Column = tuple[str, str]
"""A client's name and a transport."""

Results = Mapping[Column, Mapping[str, Outcome]]


def table(names: Sequence[str], results: Results) -> str:
    """Returns the table as text: a row a case, a column a client and transport.

    Args:
        names: The cases, in order.
        results: What came of each; a case that is not there did not apply.
    """
    heads = [name if transport == "grpc" else f"{name} {transport}" for name, transport in results]
    widths = [max(len(head), 5) for head in heads]
    first = max(map(len, names), default=0)
    lines = [
        "  ".join([" " * first, *(head.rjust(width) for head, width in zip(heads, widths, strict=True))])
    ]
    for name in names:
        marks = [column[name].mark if name in column else "-" for column in results.values()]
        cells = [mark.rjust(width) for mark, width in zip(marks, widths, strict=True)]
        lines.append("  ".join([name.ljust(first), *cells]))
    return "\n".join(lines)


def summary(results: Results) -> str:
    """Returns a line for each client and transport."""
    lines = []
    for (name, transport), column in results.items():
        outcomes = list(column.values())
        failed = sum(not outcome.passed for outcome in outcomes)
        known = sum(bool(outcome.known) for outcome in outcomes)
        line = f"{name} over {transport}: {len(outcomes) - failed} of {len(outcomes)} as expected"
        lines.append(line + (f", of them {known} known failures" if known else ""))
    return "\n".join(lines)
