"""The service manager that started the program (systemd, `Type=notify`): told when it is ready and that it goes on."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


class ServiceManager:
    """The socket that the environment names; without one, or when nothing listens there, nothing is sent."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get(VARIABLE, "")
        # @ stands for the zero byte with which an abstract name begins
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._ready = False

    def alive(self, status: str) -> None:
        """The program goes on; the first time, it is ready. status: one line for `systemctl status`."""
        lines = ["WATCHDOG=1", f"STATUS={status}"]
        if not self._ready:
            self._ready = True
            lines.insert(0, "READY=1")
        self._tell(lines)

    def stopping(self) -> None:
        """The program ends, which may take a moment."""
        self._tell(["STOPPING=1"])

    def _tell(self, lines: list[str]) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            # one that is away decides itself what a silent program means
            pass
