"""The boot and the process that write a file, by which the death of an engine is recognised."""

from __future__ import annotations

import os
from pathlib import Path


def boot_of_machine() -> str:
    """An identifier of this boot of the machine, "" if there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether this machine has a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True
