"""The levels of verdicts, for which a detector file gives limits."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """A verdict; of several, the highest counts."""

    NULL = 0
    """Too little data to say."""
    GOOD = 1
    MEDIUM = 2
    BAD = 3

    @property
    def title(self) -> str:
        """Null, Good, Medium or Bad."""
        return self.name.capitalize()
