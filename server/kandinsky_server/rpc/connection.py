"""A client's connection, which gRPC keeps to itself: found among this process' sockets, to be closed."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

SOCKETS = Path("/proc/self/fd")
"""Linux's; elsewhere no connection is found."""


def close(peer: str) -> bool:
    """Closes the connection to ``peer``, such as "ipv4:127.0.0.1:50000", as gRPC names it; False: there is none.

    gRPC for Python cannot end a single call whose client takes nothing: its last words wait behind what is not taken.
    """
    wanted = _address(peer)
    return wanted is not None and any(_shut(int(name), wanted) for name in os.listdir(SOCKETS))


def _shut(descriptor: int, wanted: tuple[str, int]) -> bool:
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        # A second descriptor: gRPC keeps its own, and the number may belong to another file by now.
        with socket.socket(fileno=os.dup(descriptor)) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and _plain(found.getpeername()) == wanted:
                found.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _address(peer: str) -> tuple[str, int] | None:
    kind, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not SOCKETS.is_dir():
        return None
    return _plain((host.strip("[]"), int(port)))


def _plain(name: Any) -> tuple[str, int]:
    """Host and port; a socket for both kinds of address names an IPv4 peer in IPv6."""
    address = ip_address(name[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), name[1]
