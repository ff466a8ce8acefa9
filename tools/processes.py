"""Processes below others: which there are, ending them, and seeing that they have ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

LOOK_EVERY_S: Final = 0.05


def guarded(command: Sequence[str]) -> list[str]:
    """A command that ends, where the system can do that, with the thread that starts it, however that ends."""
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command]


def _table() -> dict[int, tuple[int, str]]:
    """Parent and command of every process that has not ended."""
    told = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in told.stdout.splitlines():
        pid, parent, state, *command = line.split(maxsplit=3)
        if not state.startswith("Z"):
            found[int(pid)] = int(parent), command[0] if command else ""
    return found


def children(pid: int) -> list[tuple[int, str]]:
    """The processes that a process started, with their commands."""
    return [(child, command) for child, (parent, command) in _table().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that these started, and so on."""
    table = _table()
    found, new = [], [pid]
    while new:
        new = [child for child, (parent, _) in table.items() if parent in new]
        found += new
    return found


def running(pids: Iterable[int]) -> list[int]:
    """Those of some processes that have not ended."""
    table = _table()
    return [pid for pid in pids if pid in table]


def gone(pids: Iterable[int], timeout_s: float) -> bool:
    """Whether some processes have all ended, waiting for them so long."""
    left = list(pids)
    end = time.monotonic() + timeout_s
    while left := running(left):
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def kill(pids: Iterable[int]) -> None:
    """End processes at once (SIGKILL); those that have ended already are none of our business."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
