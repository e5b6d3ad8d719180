"""Libraries and servers in this process say little: a table should not drown in their words."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers
from kandinsky_server.settings import Settings
from kandinsky_server.telemetry import logs


def quieten() -> None:
    """Errors are still told."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    settings: dict[str, Any] = {"log_level": "error"}
    logs.configure(Settings(**settings))
