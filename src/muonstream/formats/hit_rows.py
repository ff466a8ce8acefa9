"""What rows of six numbers show: whether they look like hits, and in which numbering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.evidence import Expected
from muonstream.formats.layout import Dialect
from muonstream.formats.rows import EVENT_NUMBER_CHANNELS, HIGHEST

FEWEST_HITS: Final = 16
"""Hits that content must show before its format is decided while more may come."""
FEWEST_MARKERS: Final = 3
"""Hits with a value that only one numbering of HEAD 1 has, before that numbering is decided while more may come."""
CLEARLY: Final = 10
"""How many times more hits of one kind than of the other make the other negligible."""
SMALL: Final = 100
"""Fewer hits of HEAD 1 than these need not show values of one numbering alone."""
_VALUES: Final = 4
_RISING: Final = 0.75
_KNOWN: Final = 0.25

Missing = Literal["", "more hits", "bunch crossings that vary", "orbits that rise", "channels of the detector"]


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows of one HEAD whose fields are in the range of hits.

    n: how many; missing: what they lack to look like hits, or ""
    from_one: those with TDC_MEAS 0, which only the numbering of 2019 has; from_zero: those with channel 0 or TDC_MEAS
    above 29, which it does not have
    """

    n: int
    missing: Missing
    from_one: int
    from_zero: int


def hits_shown(fields: NDArray[np.int64], head: int, expected: Expected, *, headed: bool) -> Hits:
    """What the rows of a HEAD show.

    fields: int64[n, 6], rows of whole numbers by field, in order; headed: whether a header names the columns

    Rows look like hits when there are at least 16 of them with board, channel, orbit, bunch crossing (not 0) and
    TDC_MEAS in range, at least 4 bunch crossings occur, and in at least 3/4 of the steps between rows of a board the
    orbit does not fall, though it rises somewhere. Without a header, the detector file must know the channels of at
    least a quarter of them, as they are or counted from 1.
    """
    highest = np.array([*HIGHEST[:2], HIGHEST[2] + 1, *HIGHEST[3:]])
    rows = fields[(fields[:, 0] == head) & (fields >= 0).all(axis=1) & (fields <= highest).all(axis=1)]
    rows = rows[rows[:, 4] > 0]
    board, channel, tdc = rows[:, 1], rows[:, 2], rows[:, 5]
    plain = (channel != EVENT_NUMBER_CHANNELS[0]) & (channel != EVENT_NUMBER_CHANNELS[1])
    from_one = int(np.count_nonzero((tdc == 0) & plain))
    from_zero = int(np.count_nonzero((channel == 0) | ((tdc > 29) & plain)))
    missing: Missing = ""
    if len(rows) < FEWEST_HITS:
        missing = "more hits"
    elif len(np.unique(rows[:, 4])) < _VALUES:
        missing = "bunch crossings that vary"
    elif not _rises(board, rows[:, 3]):
        missing = "orbits that rise"
    elif not headed:
        known = (
            expected.known[board, np.minimum(channel, HIGHEST[2])] | expected.known[board, np.maximum(channel - 1, 0)]
        )
        if known.mean() < _KNOWN:
            missing = "channels of the detector"
    return Hits(len(rows), missing, from_one, from_zero)


def _rises(board: NDArray[np.int64], orbit: NDArray[np.int64]) -> bool:
    """Whether the orbits of each board rise, mostly."""
    order = np.argsort(board, kind="stable")
    steps = np.diff(orbit[order])[np.diff(board[order]) == 0]
    return bool(len(steps)) and bool(np.mean(steps >= 0) >= _RISING) and bool((steps > 0).any())


@dataclass(frozen=True, slots=True)
class Verdict:
    """The dialect that rows show, or None; why: the evidence, or what is missing for a decision."""

    dialect: Dialect | None
    why: str


def dialect_of(fields: NDArray[np.int64], expected: Expected, *, headed: bool, last: bool) -> Verdict:
    """The dialect that rows show.

    fields: int64[n, 6], rows of whole numbers by field, in order; headed: whether a header names the columns
    last: nothing more comes, so that fewer than 16 hits must do, and with a header also hits out of order

    Hits of HEAD 2 are `course`, unless there are a tenth as many that look like hits of HEAD 1. Hits of HEAD 1 without
    any of HEAD 2 are `firmware2019` or `head1` as soon as 3 of them have values that only one of the two has, and at
    most a tenth as many those of the other. If nothing more comes, one such value does, and fewer than 100 rows without
    any are `firmware2019`.
    """
    one = hits_shown(fields, 1, expected, headed=headed)
    two = hits_shown(fields, 2, expected, headed=headed)
    if two.n and _shown(two, headed, last) and one.n * CLEARLY <= two.n:
        return Verdict("course", f"{two.n} rows of HEAD 2 {_look(two)}")
    if one.n and _shown(one, headed, last) and two.n * CLEARLY <= one.n:
        return _numbering(one, last)
    counts = f"{two.n} rows of HEAD 2 and {one.n} of HEAD 1 in the range of hits among {len(fields)}"
    if two.n and one.n and min(two.n, one.n) * CLEARLY > max(two.n, one.n):
        return Verdict(None, f"{counts}, so it may be course or firmware2019")
    missing = (two if two.n >= one.n else one).missing or "more hits"
    return Verdict(None, f"{counts}; missing: {missing}")


def _shown(hits: Hits, headed: bool, last: bool) -> bool:
    return not hits.missing or (last and (hits.n < FEWEST_HITS or headed))


def _look(hits: Hits) -> str:
    return "with rising orbits" if not hits.missing else "in the range of hits"


def _numbering(one: Hits, last: bool) -> Verdict:
    """Which of the numberings hits of HEAD 1 have."""
    needed = 1 if last else FEWEST_MARKERS
    rows = f"{one.n} rows of HEAD 1 {_look(one)}"
    if one.from_one >= needed and one.from_zero * CLEARLY <= one.from_one:
        return Verdict("firmware2019", f"{rows}, {one.from_one} of them with TDC_MEAS 0")
    if one.from_zero >= needed and one.from_one * CLEARLY <= one.from_zero:
        return Verdict("head1", f"{rows}, {one.from_zero} of them with channel 0 or TDC_MEAS 30: counted from 0")
    if last and one.n < SMALL and not (one.from_one or one.from_zero):
        return Verdict("firmware2019", rows)
    return Verdict(
        None,
        f"{rows}, {one.from_one} of them with TDC_MEAS 0 and {one.from_zero} with channel 0 or TDC_MEAS above 29, "
        "so it may be firmware2019 or head1 (channels and TDC_MEAS not shifted)",
    )
