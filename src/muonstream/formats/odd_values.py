"""Stretches of odd values in a stream, such as padding, followed through it and noted when they end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.notes import Notes


class OddValues:
    """Follows stretches of odd values; each is noted once, by its place, whatever pieces the stream came in.

    kind: as in `Notes.add`; gap: so many other values in a row end a stretch; same: its values must be equal, too
    line: makes the note of the index of a stretch's first value, its values' number, how many of them are odd, and the
    first one
    """

    def __init__(
        self, notes: Notes, kind: str, line: Callable[[int, int, int, int], str], *, gap: int = 1, same: bool = False
    ) -> None:
        self._notes = notes
        self._kind = kind
        self._line = line
        self._gap = gap
        self._same = same
        self._open: tuple[int, int, int, int] | None = None  # first, last, how many, the first value

    @property
    def is_open(self) -> bool:
        """Whether the values that come next may belong to a stretch so far."""
        return self._open is not None

    def see(self, at: int, which: NDArray[np.int64], values: NDArray[np.uint64], end: int) -> None:
        """Take the odd ones of the values that are decided next.

        at: the number of values before these; which: int64[m], indices of the odd ones; values: uint64[m];
        end: how many values are decided, odd or not
        """
        if len(which):
            apart = np.diff(which) > self._gap
            if self._same:
                apart |= values[1:] != values[:-1]
            begins = np.concatenate([[0], np.flatnonzero(apart) + 1])
            ends = np.append(begins[1:], len(which))
            shown = np.arange(len(begins))
            if len(begins) > 16:  # notes beyond the first few are only counted
                self._one(at, which, values, int(begins[0]), int(ends[0]))
                for i in range(1, 8):
                    self._one(at, which, values, int(begins[i]), int(ends[i]))
                self.end()
                self._notes.add_more(self._kind, len(begins) - 9)
                shown = shown[-1:]
            for i in shown.tolist():
                self._one(at, which, values, int(begins[i]), int(ends[i]))
        if self._open is not None and at + end - 1 - self._open[1] >= self._gap:
            self.end()

    def _one(self, at: int, which: NDArray[np.int64], values: NDArray[np.uint64], begin: int, end: int) -> None:
        first, last = at + int(which[begin]), at + int(which[end - 1])
        value = int(values[begin])
        if self._open is not None:
            before, so_far, n, same = self._open
            if first - so_far <= self._gap and (same == value or not self._same):
                self._open = before, last, n + end - begin, same
                return
            self.end()
        self._open = first, last, end - begin, value

    def end(self) -> None:
        """Whatever comes next belongs to no stretch so far."""
        if self._open is not None:
            first, last, n, value = self._open
            if self._notes.is_full(self._kind):
                self._notes.add_more(self._kind, 1)
            else:
                self._notes.add(self._kind, self._line(first, last - first + 1, n, value))
        self._open = None
