"""Memory that was freed goes back to the system when there is nothing to do, but not all the time."""

import platform

import psutil
import pytest
from kandinsky_server.memory import Trimmer

BLOCK = 50_000
"""Bytes: glibc gives larger ones back at once, and Python keeps much smaller ones itself."""


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
@pytest.mark.parametrize(("seconds", "given_back"), [(0, True), (3600, False)])
def test_what_lies_before_a_used_block_is_given_back(seconds: float, given_back: bool) -> None:
    trim = Trimmer(seconds)
    blocks = [b"x" * BLOCK for _ in range(4000)]
    last = blocks[-1]
    blocks.clear()
    before = resident()
    trim()
    assert (before - resident() > 2000 * BLOCK) == given_back
    assert len(last) == BLOCK
