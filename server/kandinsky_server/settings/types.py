"""Types that several settings have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

PortNumber = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""gRPC, protobuf and torch take no greater numbers."""

Amount = Annotated[int, Field(ge=1, le=2**53)]
"""Bytes that only this server counts."""

MAX_SECONDS = 86400
MAX_THREADS = 1024
MAX_TEXT = 240_000
"""Characters of all texts of one request: each has up to 4 bytes, and a result's message, of 2 MiB, has them twice."""
