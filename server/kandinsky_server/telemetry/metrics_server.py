"""The page that Prometheus scrapes, with limits for whoever else reaches its port."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import threading
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, make_wsgi_app

HEAD_BYTES = 8 * 1024
"""Most of a request's first line and headers together; a scraper's have some hundred."""

BACKLOG = 16
"""Connections that asyncio accepts before it closes any: so many, a few times over, are open beyond the limit."""


class MetricsServer:
    """Serves ``registry`` over HTTP, one request a connection, in a thread and an event loop of its own.

    A connection has ``seconds`` for its request and the answer. There are at most ``connections`` of them: one more
    cuts off the oldest, which a scraper never is for long.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self, registry: CollectorRegistry, host: str, port: int, connections: int, seconds: float
    ) -> None:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.create_server(address[:2], family=family)
        self.port: int = self._socket.getsockname()[1]
        self._page = make_wsgi_app(registry)
        self._connections = connections
        self._seconds = seconds
        self._open: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Closes the port and every connection."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        serving = asyncio.start_server(self._answer, sock=self._socket, limit=HEAD_BYTES, backlog=BACKLOG)
        async with await serving:
            await self._closing.wait()
            for task in self._open:
                task.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self._connections:
            self._open.pop(0).cancel()
        self._open.append(task)
        try:
            async with asyncio.timeout(self._seconds):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # gone, slow, or sending something else: nobody to answer
        finally:
            writer.transport.abort()
            if task in self._open:
                self._open.remove(task)

    def _response(self, head: bytes) -> bytes:
        try:
            status, headers, body = self._ask(head)
        except (ValueError, http.client.HTTPException):
            status, headers, body = "400 Bad Request", [], b""
        headers += [("Content-Length", str(len(body))), ("Connection", "close")]
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def _ask(self, head: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        """The page's own answer: status, headers and body."""
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode("ascii").split(" ")
        path, _, query = target.partition("?")
        asked = http.client.parse_headers(io.BytesIO(rest))
        environment = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_ACCEPT": asked.get("Accept"),
            "HTTP_ACCEPT_ENCODING": asked.get("Accept-Encoding"),
        }
        answer: list[tuple[str, list[tuple[str, str]]]] = []
        body: Iterable[bytes] = self._page(environment, lambda *parts: answer.append(parts))
        ((status, headers),) = answer
        return status, [*headers], b"".join(body)
