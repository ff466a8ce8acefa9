"""The run's counts at the ends of its steps, each of the newest and few of the old ones: where stretches may begin."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Counts

FINE_S: Final = 15.0
COARSE_STEP_S: Final = 5.0
LONG_S: Final = 120.0
OLD_SHARE: Final = 0.1
"""Counts are kept of each step in the last FINE_S, of one each COARSE_STEP_S up to LONG_S, and of older ones each
so large a part of their age: some 100 of a run of days."""


@dataclass(slots=True)
class Kept:
    """The run up to the end of a step: its live seconds, its counts (int64[size]), its late and stray words, its data
    time in seconds."""

    live_s: float
    counts: Counts
    late: int = 0
    stray: int = 0
    data_s: float = 0.0
    _packed: tuple[Kept, NDArray[np.uint8]] | None = field(default=None, repr=False, compare=False)

    def packed(self, before: Kept) -> NDArray[np.uint8]:
        """What its counts are more than those before, as few bytes; made once as long as that is the one before."""
        if self._packed is None or self._packed[0] is not before:
            # bytes of the same weight side by side: most are 0
            planes = (self.counts - before.counts).astype("<i8").view(np.uint8).reshape(-1, 8).T
            self._packed = before, np.frombuffer(zlib.compress(planes.tobytes(), 1), np.uint8)
        return self._packed[1]


def _unpacked(packed: NDArray[np.uint8], size: int) -> Counts:
    """The difference that `packed` gave. Raises ValueError for bytes that are something else."""
    try:
        content = zlib.decompressobj().decompress(packed.tobytes(), 8 * size)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    planes = np.frombuffer(content, np.uint8).reshape(8, size)
    return np.ascontiguousarray(planes.T).view("<i8").reshape(size).astype(np.int64)


class Ends:
    """The ends of steps that are kept, in order; the first is where the run began."""

    def __init__(self, nothing: Counts) -> None:
        self._ends = [Kept(0.0, nothing)]

    def __iter__(self) -> Iterator[Kept]:
        """All of them, the oldest first."""
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def first(self) -> Kept:
        """Where the run began."""
        return self._ends[0]

    @property
    def last(self) -> Kept:
        """The newest."""
        return self._ends[-1]

    def before(self, end: Kept) -> Kept:
        """The newest but this, the first where there is no other."""
        return self._ends[-2] if self._ends[-1] is end and len(self._ends) > 1 else self._ends[-1]

    def until(self, live_s: float) -> Kept | None:
        """The newest that is not after this; None where all are."""
        return next((end for end in reversed(self._ends) if end.live_s <= live_s), None)

    def newest(self, enough: Callable[[Kept], bool]) -> Kept:
        """The newest from which on there is enough, the first where there is not."""
        # a longer stretch has more of everything, so that halving finds it
        after = bisect_left(range(len(self._ends)), True, key=lambda i: not enough(self._ends[i]))
        return self._ends[max(after - 1, 0)]

    def keep(self, now: Kept) -> None:
        """Keep the end of a step, and forget those that are old and close to others."""
        if now is not self._ends[-1]:
            self._ends.append(now)
        thin: list[Kept] = []
        for end in self._ends:
            age_s = now.live_s - end.live_s
            apart_s = 0.0 if age_s <= FINE_S else COARSE_STEP_S if age_s <= LONG_S else OLD_SHARE * age_s
            if not thin or end.live_s - thin[-1].live_s >= apart_s:
                thin.append(end)
        self._ends = thin

    def state(self) -> dict[str, Any]:
        """All of them, but the first, as plain numbers and arrays."""
        packed = [end.packed(before) for before, end in zip(self._ends, self._ends[1:], strict=False)]
        return {
            "live_s": [end.live_s for end in self._ends[1:]],
            "data_s": [end.data_s for end in self._ends[1:]],
            "lost": [[end.late, end.stray] for end in self._ends[1:]],
            "packed": packed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same catalogue. Raises ValueError or TypeError for anything else."""
        ends = [self._ends[0]]
        times = zip(state["live_s"], state["data_s"], state["lost"], state["packed"], strict=True)
        for live_s, data_s, (late, stray), packed in times:
            before = ends[-1]
            counts = before.counts + _unpacked(packed, len(before.counts))
            ends.append(Kept(float(live_s), counts, int(late), int(stray), float(data_s), (before, packed)))
        self._ends = ends
