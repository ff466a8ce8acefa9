"""Counts of successive equal intervals of data time, from which the course's results are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.kernel import Contribution
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK, Frames
from muonstream.words import WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval's counts, int64[size] by the catalogue; sequence is 1 for the run's first that has data."""

    sequence: int
    counts: Counts


class Intervals:
    """Adds up Contributions by interval; an interval is whole windows, aligned, and never of two epochs.

    A contribution must be of one interval: `pieces` cuts frames so. While they come in order (`in_order`), the first of
    a later interval closes those before it; else whoever knows how far the data are complete calls `close`. What comes
    for an interval that is closed counts in the next one, so that all intervals together are the run.
    """

    def __init__(self, catalogue: Catalogue, *, windows: int, in_order: bool = True) -> None:
        """Intervals of a number of windows. Raises ValueError when there are none."""
        if windows < 1:
            raise ValueError(f"windows: found {windows}, expected 1 or more")
        self.catalogue = catalogue
        self.windows = windows
        self.in_order = in_order
        self.closed: deque[Interval] = deque()
        """Intervals that are complete and have not been dropped."""
        self._taken = 0
        self._open: dict[int, Counts] = {}
        self._behind: Counts | None = None
        self._closed_before = 0
        self._sequence = 0

    @staticmethod
    def windows_of(seconds: float) -> int:
        """The number of windows nearest to a time in seconds, at least 1."""
        return max(round(seconds / WINDOW_SECONDS), 1)

    @property
    def seconds(self) -> float:
        """An interval's length in data time."""
        return self.windows * WINDOW_SECONDS

    def number(self, key: int) -> int:
        """The interval of a window's key; numbers rise with keys."""
        return (key >> KEY_WINDOW_BITS << KEY_WINDOW_BITS) + (key & KEY_WINDOW_MASK) // self.windows

    def pieces(self, frames: Frames) -> Iterator[Frames]:
        """The frames, cut where an interval begins."""
        keys = frames.keys
        numbers = (keys >> KEY_WINDOW_BITS << KEY_WINDOW_BITS) + (keys & KEY_WINDOW_MASK) // self.windows
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(keys)]
        for first, last in pairwise(edges):
            if first < last:
                begin, end = int(frames.starts[first]), int(frames.starts[last])
                yield Frames(frames.words[begin:end], frames.starts[first : last + 1] - begin, keys[first:last])

    def add(self, contribution: Contribution) -> None:
        """Count what windows of one interval add."""
        if not len(contribution.keys):
            return
        number = self.number(int(contribution.keys[0]))
        if self.in_order:
            self._close(number)
        if number < self._closed_before:
            self._behind = contribution.total + (0 if self._behind is None else self._behind)
        elif number in self._open:
            self._open[number] += contribution.total
        else:
            self._open[number] = contribution.total.copy()

    def close(self, key: int) -> None:
        """No window before this key will come any more."""
        self._close(self.number(key))

    def _close(self, before: int) -> None:
        for number in sorted(number for number in self._open if number < before):
            counts = self._open.pop(number)
            if self._behind is not None:
                counts += self._behind
                self._behind = None
            self._sequence += 1
            self.closed.append(Interval(self._sequence, counts))
        self._closed_before = max(self._closed_before, before)

    def finish(self) -> None:
        """The run has ended: close every interval."""
        if self._behind is not None and not self._open:
            self._open[self._closed_before] = self.catalogue.zeros()
        self._close(max(self._open, default=self._closed_before) + 1)

    def take(self) -> list[Interval]:
        """The closed intervals, each given once; they are kept until they are dropped."""
        new = [interval for interval in self.closed if interval.sequence > self._taken]
        self._taken = self._sequence
        return new

    def drop(self, sequence: int) -> None:
        """The intervals up to this one have been delivered and need not be kept."""
        while self.closed and self.closed[0].sequence <= sequence:
            self.closed.popleft()

    def state(self) -> dict[str, Any]:
        """All that has not been dropped, as plain numbers and arrays; restored, it is all given again by `take`."""
        numbers = sorted(self._open)
        rows = [self._open[number] for number in numbers]
        behind = [] if self._behind is None else [self._behind]
        return {
            "windows": self.windows,
            "sequence": self._sequence,
            "closed_before": self._closed_before,
            "open_numbers": np.array(numbers, np.int64),
            "open": self._stacked(rows),
            "behind": self._stacked(behind),
            "closed_sequences": np.array([interval.sequence for interval in self.closed], np.int64),
            "closed": self._stacked([interval.counts for interval in self.closed]),
        }

    def _stacked(self, rows: list[Counts]) -> Counts:
        return np.stack(rows) if rows else np.empty((0, self.catalogue.size), np.int64)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError when it is of intervals of another length."""
        if state["windows"] != self.windows:
            raise ValueError(f"found intervals of {state['windows']} windows, expected {self.windows} as before")
        self._sequence = int(state["sequence"])
        self._closed_before = int(state["closed_before"])
        numbers = state["open_numbers"].tolist()
        self._open = {number: row.copy() for number, row in zip(numbers, state["open"], strict=True)}
        self._behind = state["behind"][0].copy() if len(state["behind"]) else None
        self._taken = 0
        sequences = state["closed_sequences"].tolist()
        self.closed = deque(Interval(n, row.copy()) for n, row in zip(sequences, state["closed"], strict=True))
