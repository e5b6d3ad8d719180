"""Runs the clients' examples, and holds their files against Python's."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.clients import ENVIRONMENT, Client
from conformance.fake_server import FakeServer, Script
from conformance.paths import INPUTS

LIMIT_SECONDS = 120.0
FULL: Script = [
    [
        {
            "status": {
                "code": "RESOURCE_EXHAUSTED",
                "reason": "QUEUE_FULL",
                "message": "the queue is full",
                "metadata": {"queue_size": "256", "queue_length": "256", "trajectory_count": "1"},
                "retry_seconds": 2.5,
            }
        }
    ]
]


@dataclass(frozen=True)
class Expected:
    """What one example does, in every language.

    Args:
        files: What it writes. All but embeddings, which hold times, equal Python's.
        prints: What its output must hold, as a regular expression.
        arguments: What it is called with.
        full: Whether it calls a server whose queue is full, in place of the real one.
        may_write: Files that it may leave out: a preview that is not read in time gives way to the next.
    """

    files: tuple[str, ...] = ()
    prints: str = ""
    arguments: tuple[str, ...] = ()
    full: bool = False
    may_write: tuple[str, ...] = ()


EXAMPLES: Mapping[str, Expected] = {
    "decode_many": Expected(("embedding.safetensors", *(f"decoded-{seed}.png" for seed in (1, 2, 3, 4)))),
    "previews": Expected(
        ("generated.png",), r"10", may_write=("preview-3.jpg", "preview-6.jpg", "preview-9.jpg")
    ),
    "inpaint": Expected(
        ("inpainted.png",), arguments=(str(INPUTS / "picture.png"), str(INPUTS / "mask.png"))
    ),
    "interpolate": Expected(tuple(f"path-{number}.png" for number in (1, 2, 3, 4, 5))),
    "cancel": Expected(prints=r"(?m)^cancelled after step [1-9]\d*$"),
    "queue_full": Expected(prints=r"(?ms)^the queue is full: try again in 2\.5 s$.*\b256\b", full=True),
}


@dataclass(frozen=True)
class Made:
    """What came of one example.

    Args:
        problems: What was not as expected.
        digests: SHA-256 of each file that must be the same in every language.
    """

    problems: tuple[str, ...]
    digests: Mapping[str, str]

    def differences(self, wanted: Made) -> Iterator[str]:
        """Yields a sentence for each file that both wrote and that is another."""
        for file, digest in self.digests.items():
            if wanted.digests.get(file, digest) != digest:
                yield f"{file} is not Python's: its SHA-256 is {digest}"


class Examples:
    """Runs examples against a real server, and one whose queue is full.

    Args:
        target: The real server's address.
        fake: The other.
        folder: For the folders that the examples are run in.
    """

    def __init__(self, target: str, fake: FakeServer, folder: Path) -> None:
        self._target = target
        self._fake = fake
        self._folder = folder

    def run(self, client: Client, name: str) -> Made:
        """Runs an example in an empty folder."""
        if name not in client.examples:
            return Made((f"conformance.toml has no example {name}",), {})
        expected = EXAMPLES[name]
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self._fake.play(FULL)
        target = self._fake.target if expected.full else self._target
        try:
            done = subprocess.run(
                (*client.examples[name].command, *expected.arguments),
                cwd=folder,
                env={**ENVIRONMENT, "KANDINSKY_TARGET": target},
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Made((str(error),), {})
        problems = [f"it ended with {done.returncode}: {done.stderr[-2000:]}"] if done.returncode else []
        if not re.search(expected.prints, done.stdout):
            problems.append(f"it printed {done.stdout[-1000:]!r}, which {expected.prints!r} does not match")
        written = {file.name for file in folder.iterdir()}
        pictures = sorted(file for file in written if not file.endswith(".safetensors"))
        digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in pictures}
        return Made((*problems, *_files(expected, written)), digests)


def _files(expected: Expected, written: set[str]) -> Iterator[str]:
    for missing in sorted(set(expected.files) - written):
        yield f"it did not write {missing}"
    for surplus in sorted(written - {*expected.files, *expected.may_write}):
        yield f"it wrote {surplus} too"
    if expected.may_write and not written & {*expected.may_write}:
        yield f"it wrote none of {', '.join(expected.may_write)}"
