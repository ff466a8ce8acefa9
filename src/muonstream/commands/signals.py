"""Ctrl-C and SIGTERM: the first asks a command to end with what was done, a second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from muonstream.engines.interrupts import DEADLINE
from muonstream.errors import INTERRUPTED, TERMINATED


class StopSignal(Event):
    """An event set by Ctrl-C or SIGTERM; `number`: of the signal, 0 when the program itself has set it."""

    number = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while the context lasts. Only the main thread can do this."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    @property
    def exit_code(self) -> int:
        """The exit code of a command that such a signal has ended."""
        return TERMINATED if self.number == signal.SIGTERM else INTERRUPTED

    def _handle(self, number: int, frame: FrameType | None) -> None:
        DEADLINE.signal()
        if self.is_set():
            raise KeyboardInterrupt
        self.number = number
        self.set()
