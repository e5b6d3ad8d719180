"""Addresses that a port is opened on, as users write them, as gRPC takes them, and as clients dial them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

UNIX = "unix:"
ABSTRACT = "unix-abstract:"

MAX_UNIX_BYTES = 107
"""Of a Unix socket's path, on Linux."""


def is_unix(host: str) -> bool:
    """Whether it is a Unix socket: ``unix:PATH``, or ``unix-abstract:NAME``, which has no file."""
    return host.startswith((UNIX, ABSTRACT))


def checked_host(host: str) -> str:
    """``host`` without the brackets of an IPv6 address.

    Raises:
        ValueError: when it is empty, has a port or a scheme, or is a Unix socket that cannot be.
    """
    if is_unix(host):
        path = unix_path(host)
        if not path.strip("/\0"):
            raise ValueError("names no socket: give unix:/run/kandinsky/server.sock, say")
        if len(os.fsencode(path)) > MAX_UNIX_BYTES:
            raise ValueError(f"a socket's path has at most {MAX_UNIX_BYTES} bytes; give a shorter one")
        return host
    if "://" in host:
        raise ValueError("is a URL; give the host alone, and the port as --port")
    bare = host.removeprefix("[").removesuffix("]") if host.endswith("]") else host
    with suppress(ValueError):
        ip_address(bare)
        return bare
    if not bare or any(character.isspace() for character in bare):
        raise ValueError("must be an address or the name of this machine, such as 127.0.0.1 or ::1")
    if ":" in bare:
        raise ValueError("is no IPv6 address; if it has a port, give that as --port")
    return bare


def is_local(host: str) -> bool:
    """Whether only this machine can reach it. A name other than localhost might mean any address."""
    if is_unix(host):
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def address(host: str, port: int) -> str:
    """What gRPC opens and what a client dials."""
    if is_unix(host):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def overlap(host: str, other: str) -> bool:
    """Whether a port can be opened on one of them only."""
    return host == other or any(end in ("0.0.0.0", "::") for end in (host, other))


def obstacle(host: str, port: int) -> str:
    """Why ``port`` cannot be opened on ``host`` now, as a sentence that says what to do; empty when it can.

    Opens and closes it. Port 0 is any free one.
    """
    if is_unix(host):
        return _unix_obstacle(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        return f"{host!r} is no address of this machine: {getattr(error, 'strerror', None) or error}"
    errors = [failure for family, *_, end in found if (failure := _open(family, end))]
    taken = [failure for failure in errors if failure.errno == errno.EADDRINUSE]
    # gRPC is content with one of a name's addresses: localhost may have ::1 on a machine without IPv6. And it
    # takes :: for 0.0.0.0 there.
    if taken or (len(errors) == len(found) and host != "::"):
        return _why((taken or errors)[0], host, port)
    return ""


def _open(family: int, end: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as opened:
            # As gRPC and Prometheus do: a port whose last connections are just closing is free.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(end)
            opened.listen()
    except OSError as error:
        return error
    return None


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address(host, port)} is taken by another process; end that, or give another port (0: any free one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is no address of this machine; 0.0.0.0 or :: are all it has"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may not open port {port}; give one from 1024 on"
    return f"{address(host, port)} cannot be opened: {error.strerror or error}"


def unix_path(host: str) -> str:
    """The path of ``unix:PATH`` or ``unix:///PATH``; an abstract name begins with a zero byte."""
    if host.startswith(ABSTRACT):
        return "\0" + host.removeprefix(ABSTRACT)
    path = host.removeprefix(UNIX)
    return path.removeprefix("//") if path.startswith("///") else path


def _unix_obstacle(host: str) -> str:
    path = unix_path(host)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
            return f"{host} is served by another process; end that, or give another path"
        except OSError:
            pass  # nobody is there
    if path.startswith("\0"):
        return ""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"{host} cannot be made: there is no directory {str(folder)!r}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{host} cannot be made: this user may not write to {str(folder)!r}"
    # gRPC replaces a socket that nobody serves, as a process that was killed leaves it.
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return f"{host} cannot be made: there is a file of that name"
    return ""
