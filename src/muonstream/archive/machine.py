"""Which start of this machine, and which of its processes, writes a file: so it is known when an engine has died."""

from __future__ import annotations

import os
from pathlib import Path


def boot_of_machine() -> str:
    """What changes with each start of this machine, "" where nothing tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
