"""What systemd is told of a unit of `Type=notify`: that it is ready, that it lives, that it is stopping.

The protocol is sd_notify(3): lines in a datagram to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

SECONDS_TO_TAKE = 2.0
"""How long a message may wait while the socket's queue is full; a beat does not wait, another follows."""


class ServiceManager:
    """Where no service manager asks to be told, every call does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """``environment`` holds NOTIFY_SOCKET, and with a watchdog WATCHDOG_USEC and WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in the abstract namespace.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watched = bool(environment.get("WATCHDOG_USEC")) and environment.get("WATCHDOG_PID") in (
            None,
            str(os.getpid()),
        )

    def ready(self, status: str) -> None:
        """The unit has started; ``status`` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self, status: str) -> None:
        """The unit is about to end by itself, or as it was told to."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def beat(self, seconds: float) -> None:
        """The process lives, and says so again within ``seconds``: the watchdog's time from now on."""
        if self._watched:
            self._tell("WATCHDOG=1", f"WATCHDOG_USEC={round(seconds * 1e6)}", wait=0)

    def _tell(self, *lines: str, wait: float = SECONDS_TO_TAKE) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(wait)
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                # It is gone or does not read: a server does as well without it.
                return
