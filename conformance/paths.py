"""Where things are in the repository."""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
CASES = HERE / "cases"
GOLDEN = HERE / "golden"
INPUTS = HERE / "inputs"
CLIENTS = ROOT / "clients"
DOCS = ROOT / "docs"
