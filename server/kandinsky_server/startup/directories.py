"""Directories that libraries take for granted, looked for before they are imported."""

from __future__ import annotations

import tempfile


def temporary_obstacle() -> str:
    """Why no temporary file can be made, and what to do; empty when one can. torch stops at its import without one."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return (
            "temporary files: no directory for them can be written; mount one at /tmp (an emptyDir, a tmpfs), or name "
            "one in TMPDIR"
        )
    return ""
