"""Holding back Ctrl-C and SIGTERM while words pass from one part to the next."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
PATIENCE_S: Final = 0.5
"""How long work that is under way may take after a signal; then what can be left out is left out, and counted."""


class Deadline:
    """When work has to be short, because a signal asked for the end some time ago."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    def signal(self) -> None:
        """A signal has come; only the first counts."""
        if self._since is None:
            self._since = self._clock()

    def forget(self) -> None:
        """Other work begins, which no signal has asked to end."""
        self._since = None

    @property
    def over(self) -> bool:
        """Whether a signal came longer ago than work may take."""
        return self._since is not None and self._clock() - self._since > PATIENCE_S


DEADLINE: Final = Deadline()
"""Of this process, to which its signals are sent."""


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that would end a run wait until the end of the context, and then take effect. Otherwise words that the
    builder has given out and no kernel has received would be counted nowhere. Threads other than the main one are never
    interrupted; there it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        DEADLINE.signal()
        came.append((number, frame))

    # None: set by something other than Python, and nothing that could be set again
    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not None}
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came_number, frame in came:
            then = before[signal.Signals(came_number)]
            if callable(then):
                then(came_number, frame)
            elif then == signal.SIG_DFL:
                os.kill(os.getpid(), came_number)
