"""The scripted server: a port, a script, and what came."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Self

from conformance.fake_server.call import Call
from conformance.fake_server.connection import Connection
from conformance.fake_server.script import Script, Step

BEYOND = ({"status": {"code": "UNIMPLEMENTED", "message": "the script has no more calls"}},)


class FakeServer:
    """Use as a context manager: it listens on a free port of loopback, in a thread of its own.

    Attributes:
        calls: What came since the last `play`.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._script: Script = ()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake server", daemon=True)

    def play(self, script: Script) -> None:
        """Forgets what came, and answers the calls that come from now on as `script` says."""
        self._script, self.calls = script, []

    @property
    def target(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        listening = self._loop.create_server(lambda: Connection(self._begin), "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _begin(self, call: Call) -> Sequence[Step]:
        self.calls.append(call)
        place = len(self.calls) - 1
        return self._script[place] if place < len(self._script) else BEYOND
