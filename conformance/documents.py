"""Writes `docs/examples.md`, and the tables of `docs/clients.md`, whose other words are written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.cases import Case
from conformance.clients import Client
from conformance.examples import EXAMPLES
from conformance.paths import DOCS, ROOT
from conformance.table import Results

FENCES = {
    ".py": "python",
    ".ts": "typescript",
    ".go": "go",
    ".java": "java",
    ".cpp": "cpp",
    ".cc": "cpp",
    ".rs": "rust",
}


def write_clients(clients: Sequence[Client], cases: Sequence[Case], results: Results) -> None:
    """Puts the tables of clients and of cases into `docs/clients.md`, between their marks."""
    file = DOCS / "clients.md"
    text = file.read_text(encoding="utf-8")
    text = _between(text, "clients", _clients_table(clients, results))
    text = _between(text, "cases", _cases_table(cases, results))
    file.write_text(text, encoding="utf-8")


def write_examples(clients: Sequence[Client]) -> None:
    """Writes every example in every language, from the files that are run."""
    parts = [
        "# Examples in every language",
        "Written by `python -m conformance --write-docs` from the files that it runs; `--examples` runs them, and holds "
        "the pictures that each writes against Python's. Each reads the server's address from `KANDINSKY_TARGET`. "
        "What they do is told in [conformance/README.md](../conformance/README.md).",
    ]
    for name in EXAMPLES:
        parts.append(f"## {name}")
        for client in clients:
            if example := client.examples.get(name):
                path = example.file.relative_to(ROOT)
                parts.append(f"### {client.language}: [{path}](../{path})")
                code = example.file.read_text(encoding="utf-8").rstrip()
                parts.append(f"```{FENCES.get(example.file.suffix, '')}\n{code}\n```")
    (DOCS / "examples.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _clients_table(clients: Sequence[Client], results: Results) -> str:
    rows = ["| client | package | runs on | size | cases as expected |", "|---|---|---|---|---|"]
    for client in clients:
        counts = [
            f"{transport}: {sum(outcome.passed for outcome in column.values())} of {len(column)}"
            for (name, transport), column in results.items()
            if name == client.name
        ]
        about = [client.about.get(key, "") for key in ("package", "runs_on", "size")]
        name = f"[{client.name}](../{client.folder.relative_to(ROOT)}/README.md)"
        rows.append(f"| {' | '.join([name, *about, '; '.join(counts) or 'not run here'])} |")
    return "\n".join(rows)


def _cases_table(cases: Sequence[Case], results: Results) -> str:
    heads = [name if transport == "grpc" else f"{name}, {transport}" for name, transport in results]
    rows = [f"| case | what it shows | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for case in cases:
        marks = [column[case.case].mark if case.case in column else "-" for column in results.values()]
        rows.append(f"| `{case.case}` | {case.about} | {' | '.join(marks)} |")
    return "\n".join(rows)


def _between(text: str, name: str, content: str) -> str:
    begin, end = (
        f"<!-- {name}: written by python -m conformance --write-docs -->\n",
        f"\n<!-- end of {name} -->",
    )
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"docs/clients.md has no place for the table of {name}")
    return before + begin + content + end + after
