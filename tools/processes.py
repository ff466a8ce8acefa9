"""Processes below others: which there are, ending them, and seeing that they have ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 0.05
LISTEN: Final = "0A"
"""The state of a listening socket in /proc/net/tcp."""


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


@dataclass(frozen=True, order=True, slots=True)
class Listening:
    """A port on which a process listens: host as the system has it, 0.0.0.0 and :: for every network."""

    host: str
    port: int
    pid: int


def listening(pids: Iterable[int]) -> list[Listening]:
    """The TCP ports on which some processes listen (Linux)."""
    hosts: dict[str, tuple[str, int]] = {}
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                number, _, port = fields[1].partition(":")
                # the kernel prints words of 32 bits in the machine's own order
                words = [bytes.fromhex(number[at : at + 8])[::-1] for at in range(0, len(number), 8)]
                hosts[f"socket:[{fields[9]}]"] = socket.inet_ntop(family, b"".join(words)), int(port, 16)
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):  # it has ended
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    name = os.readlink(link)
                    if name in hosts:
                        found.add(Listening(*hosts[name], pid))
    return sorted(found)


def kill(pids: Iterable[int]) -> None:
    """End processes at once (SIGKILL); those that have ended already are none of our business."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
