"""Notes on an input: one line each, the first few of each kind, and at the end how many more there were."""

from __future__ import annotations

from collections import Counter
from typing import Final

NOTES_KEPT: Final = 5
"""Notes of one kind that are given as they come; the others are counted."""


class Notes:
    """Collects notes on one input until they are taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: list[str] = []
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, line: str) -> None:
        """Note something; kind: what such notes are called where there are many of them, such as "padding"."""
        self._counts[kind] += 1
        if self._counts[kind] <= NOTES_KEPT:
            self._lines.append(f"{self.name}: {line}")

    def add_more(self, kind: str, n: int) -> None:
        """Count notes that need not be given, because there are so many before them."""
        self._counts[kind] += n

    def is_full(self, kind: str) -> bool:
        """Whether further notes of a kind are only counted."""
        return self._counts[kind] >= NOTES_KEPT

    def take(self) -> list[str]:
        """The notes since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def finish(self) -> list[str]:
        """The last notes, with a line for each kind of which not all were given."""
        for kind, n in self._counts.items():
            if n > NOTES_KEPT:
                self._lines.append(f"{self.name}: {n:,} notes about {kind} in all, of which {NOTES_KEPT} are shown")
        self._counts.clear()
        return self.take()
