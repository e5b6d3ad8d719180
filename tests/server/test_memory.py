"""Memory that was freed goes back to the system when there is nothing to do."""

import asyncio
import contextlib
import platform
from pathlib import Path

import psutil
import pytest
from kandinsky_server.memory import Trimmer
from kandinsky_server.testing.running import RunningServer

BLOCK = 50_000
"""Bytes: glibc gives larger ones back at once, and Python keeps much smaller ones itself."""


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
async def test_what_lies_before_a_used_block_is_given_back_when_idle() -> None:
    blocks = [b"x" * BLOCK for _ in range(4000)]
    last = blocks[-1]
    blocks.clear()
    before = resident()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(Trimmer(0.1).run(lambda: True), 1)
    assert before - resident() > 2000 * BLOCK
    assert len(last) == BLOCK


async def test_nothing_is_given_back_while_there_is_work() -> None:
    trimmer, asked, trims = Trimmer(0.1), list[bool](), list[int]()

    # Counted and not measured: another server of this process may fall idle meanwhile.
    def trim(kept: int) -> int:
        trims.append(kept)
        return 0

    trimmer._trim = trim

    def idle() -> bool:
        asked.append(True)
        return False

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(trimmer.run(idle), 1)
    assert asked
    assert not trims


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="as Linux tells it")
def test_the_processes_that_decode_pictures_hold_no_torch(server: RunningServer) -> None:
    for worker in server.app.decoders.workers:
        assert worker.process
        mapped = Path(f"/proc/{worker.process.pid}/maps").read_text()
        assert "PIL" in mapped
        assert "libtorch" not in mapped
