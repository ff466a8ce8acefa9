"""Steps of data time: a run's counts every 3 s of it, complete and in order, whatever the pace of reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.kernel import SLOT_WINDOWS, Contribution
from muonstream.counting.rates import RateBins
from muonstream.frames import Frames, ScatteredFrames
from muonstream.words import WINDOW_SECONDS

STEP_S: Final = SLOT_WINDOWS * WINDOW_SECONDS
"""A step is the 33 windows of a slot, 3.01 s, aligned to the orbit counter; one without any word is left out."""
STEPS_AT_ONCE: Final = 32
"""The most steps given to a kernel at once, so that their counts need little memory."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is complete.

    counts: int64[size] by the catalogue, of the step alone
    live_s, data_time_s: the run's live time and data time at its end, by the words up to there
    late, stray: words of the run that were late or stray, up to there
    """

    number: int
    counts: Counts
    live_s: float
    data_time_s: float
    late: int = 0
    stray: int = 0


def parts_of(frames: Frames | ScatteredFrames) -> Iterator[Frames | ScatteredFrames]:
    """The same windows in parts of at most STEPS_AT_ONCE steps."""
    numbers: NDArray[np.int64] = frames.keys // (SLOT_WINDOWS * STEPS_AT_ONCE)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for first, last in pairwise(edges):
        if first < last:
            yield frames if last - first == len(numbers) else frames.part(first, last)


class Steps:
    """Adds up Contributions by step.

    While they come in order (`in_order`), the first of a later step completes those before it; else whoever knows how
    far the data are complete calls `close`. What comes for a step that is complete counts in the next one, so that all
    steps together are the run. Contributions must bring every step that they have words of, not the newest only.
    """

    def __init__(self, catalogue: Catalogue, *, in_order: bool = True) -> None:
        self.catalogue = catalogue
        self.in_order = in_order
        self._bins = RateBins(len(catalogue.detector.chambers), muons=bool(catalogue.muon_shapes))
        self._open: dict[int, Counts] = {}
        self._rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._lost: deque[tuple[int, int, int]] = deque()
        self._late = self._stray = 0
        self._closed_before = 0
        self._complete: deque[Step] = deque()

    def add(self, contribution: Contribution) -> None:
        """Add the contribution of some windows, of any number of steps."""
        if not len(contribution.slots):
            return
        for number, counts in zip(contribution.slots.tolist(), contribution.recent, strict=True):
            at = max(number, self._closed_before)
            self._open[at] = self._open[at] + counts if at in self._open else counts
        self._rows.append((contribution.keys, contribution.rows))
        if self.in_order:
            self._close(int(contribution.slots[-1]))

    def lose(self, key: int, late: int, stray: int) -> None:
        """Note how many words of the run were late or stray when the window of this key closed; keys rise."""
        self._lost.append((key // SLOT_WINDOWS, late, stray))

    def close(self, key: int) -> None:
        """No window before this key will come any more."""
        self._close(key // SLOT_WINDOWS)

    def finish(self, late: int = 0, stray: int = 0) -> None:
        """The run has ended: every step is complete. late, stray: words of the whole run that were."""
        if self._open:
            self._lost.append((max(self._open), late, stray))
        self._close(max(self._open, default=self._closed_before - 1) + 1)

    def take(self) -> list[Step]:
        """The steps that are complete, each given once."""
        new = list(self._complete)
        self._complete.clear()
        return new

    def _close(self, before: int) -> None:
        for number in sorted(number for number in self._open if number < before):
            self._time_up_to(number)
            while self._lost and self._lost[0][0] <= number:
                _, self._late, self._stray = self._lost.popleft()
            live_s, data_time_s = self._bins.live_time_s(), self._bins.data_time_s()
            counts = self._open.pop(number)
            self._complete.append(Step(number, counts, live_s, data_time_s, self._late, self._stray))
        self._closed_before = max(self._closed_before, before)

    def _time_up_to(self, number: int) -> None:
        """Add the rows of windows up to the end of a step: time is what the words up to there say."""
        if not self._rows:
            return
        keys = np.concatenate([keys for keys, _ in self._rows])
        rows = np.concatenate([rows for _, rows in self._rows])
        if (np.diff(keys) < 0).any():
            order = np.argsort(keys, kind="stable")
            keys, rows = keys[order], rows[order]
        end = int(np.searchsorted(keys, (number + 1) * SLOT_WINDOWS))
        if end:
            self._bins.add(keys[:end], rows[:end])
        self._rows = [(keys[end:], rows[end:])] if end < len(keys) else []

    def state(self) -> dict[str, Any]:
        """The state as plain numbers and arrays, for `restore`."""
        numbers = sorted(self._open)
        keys = [keys for keys, _ in self._rows]
        rows = [rows for _, rows in self._rows]
        width = self._bins.rows.shape[1]
        return {
            "bins": self._bins.state(),
            "numbers": np.array(numbers, np.int64),
            "open": np.stack([self._open[n] for n in numbers]) if numbers else self.catalogue.zeros()[None][:0],
            "keys": np.concatenate(keys) if keys else np.empty(0, np.int64),
            "rows": np.concatenate(rows) if rows else np.empty((0, width), np.int64),
            "lost": np.array(self._lost, np.int64).reshape(-1, 3),
            "late": self._late,
            "stray": self._stray,
            "closed_before": self._closed_before,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._bins.restore(state["bins"])
        numbers = state["numbers"].tolist()
        self._open = {number: row.copy() for number, row in zip(numbers, state["open"], strict=True)}
        self._rows = [(state["keys"], state["rows"])] if len(state["keys"]) else []
        self._lost = deque(tuple(row) for row in state["lost"].tolist())
        self._late, self._stray = int(state["late"]), int(state["stray"])
        self._closed_before = int(state["closed_before"])
