"""Memory that was freed goes back to the system when there is nothing to do."""

import platform

import psutil
import pytest
from kandinsky_server.memory import Trimmer

BLOCK = 50_000
"""Bytes: glibc gives larger ones back at once, and Python keeps much smaller ones itself."""


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_what_lies_between_used_blocks_is_given_back() -> None:
    trim = Trimmer(seconds=0)
    blocks = [b"x" * BLOCK for _ in range(4000)]
    last = blocks[-1]
    blocks.clear()
    before = resident()
    trim()
    assert before - resident() > 2000 * BLOCK
    assert len(last) == BLOCK


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_it_does_not_do_so_all_the_time() -> None:
    trim = Trimmer(seconds=3600)
    blocks = [b"x" * BLOCK for _ in range(4000)]
    last = blocks[-1]
    blocks.clear()
    before = resident()
    trim()
    assert before - resident() < 2000 * BLOCK
    assert len(last) == BLOCK
