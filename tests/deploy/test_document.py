"""docs/deploy.md: its values are the chart's, and the files that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import needs_helm, render

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text()


@needs_helm
def test_the_example_of_values_renders() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert render(yaml.safe_load(example.replace("COMMIT", "a1" * 20)))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:deploy|tests)/[\w./-]+\w", TEXT))))
def test_files_that_it_names_are_there(path: str) -> None:
    assert (ROOT / path).exists()
