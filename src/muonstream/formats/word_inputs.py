"""Which input a run's words are of, by their numbers: notes name the input that has the word, not the last one read."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter


class WordInputs:
    """Which input each word of a run is of, where the words of several inputs follow one another."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._parts: list[tuple[str, int]] = []
        self._seen: Counter[str] = Counter()

    def begin(self, number: int, name: str) -> None:
        """The words from this number on, counted from 0 in the run, are of an input."""
        if self._parts and self._parts[-1][0] == name:
            return
        if self._parts:
            self._seen[self._parts[-1][0]] += number - self._firsts[-1]
        self._firsts.append(number)
        self._parts.append((name, self._seen[name]))

    def of(self, number: int) -> tuple[str, int]:
        """The input of a word by its number in the run, and the word's number in that input, counted from 1."""
        at = bisect_right(self._firsts, number) - 1
        name, before = self._parts[at]
        return name, before + number - self._firsts[at] + 1
