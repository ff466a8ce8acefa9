"""How long something that fails is tried again, by a clock that may leap."""

from __future__ import annotations

import time


class Patience:
    """Ends after so many seconds of trying.

    The steady clock leaps when the process was stopped for a while: by SIGSTOP, a paused container or a machine that
    was moved. What passes between two looks counts for half of the time at most, so that a leap alone ends nothing.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._seen = time.monotonic()

    def over(self) -> bool:
        """Whether it has ended; to be asked after each try."""
        now = time.monotonic()
        self._left -= min(now - self._seen, self.seconds / 2)
        self._seen = now
        return self._left <= 0
