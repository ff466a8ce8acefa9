"""Words between hits that follow a pattern which no board sends: one for each hit, equal ones, or ones that count up.

Ancillary words come in groups of varying length between varying numbers of hits, and their orbits advance with those of
the hits. Where a program wrote a time, a counter or a marker of its own in front of each word or packet, these pass for
ancillary words by their HEAD, and only their regularity shows what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import inlined
from muonstream.words import ORBIT_SHIFT

PLACES: Final = 4
"""So many words at the beginning of a group are followed each for itself."""
FEWEST: Final = 64
"""Groups of words between hits that show a pattern."""
REGULAR_SHARE: Final = 0.9
RISING_SHARE: Final = 0.99
PACE: Final = 0.1
"""Values that rise by the hits' orbits, to within this share, are a board's own."""

(_OTHERS, _NEWEST, _LENGTH, _BEFORE, _HITS, _GROUPS, _REGULAR, _SINGLE, _WHOLE) = range(9)
"""Fields of the whole: words that are not hits; the number of the newest; words so far of its group; words and hits of
the group before; groups that are complete, those equal to the one before, and those with a single hit behind them."""
(_STEPS, _EQUAL, _RISES, _TIME, _HIT_TIME, _FIRST, _NUMBER, _VALUE, _ORBIT, _PLACE) = range(10)
"""Fields of a place in the groups: steps from group to group, those to an equal value, those to a higher or equal one;
how far these rose in orbits, and how far the hits did; the first value and its number; the newest value, and the orbit
of the hits there."""
FIELDS: Final = _WHOLE + PLACES * _PLACE


@inlined
def follow_other(word: Any, number: int, orbit: int, p: Any) -> None:
    """Take a word that is not a hit; number: its own among all words; orbit: of the hit before it,
    or -1; p: int64[FIELDS]."""
    hits = number - p[_NEWEST] - 1
    if p[_OTHERS] == 0:
        hits = 0
    elif hits > 0:
        p[_REGULAR] += p[_LENGTH] == p[_BEFORE] and hits == p[_HITS]
        p[_SINGLE] += hits == 1
        p[_GROUPS] += 1
        p[_BEFORE], p[_HITS], p[_LENGTH] = p[_LENGTH], hits, 0
    if p[_LENGTH] < PLACES:
        at = _WHOLE + _PLACE * p[_LENGTH]
        value, before = np.int64(word), p[at + _VALUE]
        if p[at + _NUMBER] == 0:
            p[at + _FIRST], p[at + _NUMBER] = value, number + 1
        else:
            rise = (word >> np.uint64(ORBIT_SHIFT)) - (np.uint64(before) >> np.uint64(ORBIT_SHIFT))
            p[at + _STEPS] += 1
            p[at + _EQUAL] += value == before
            p[at + _RISES] += word >= np.uint64(before)
            if word >= np.uint64(before) and p[at + _ORBIT] >= 0:
                p[at + _TIME] += np.int64(rise)
                p[at + _HIT_TIME] += max(orbit - p[at + _ORBIT], 0)
        p[at + _VALUE], p[at + _ORBIT] = value, orbit
    p[_OTHERS] += 1
    p[_NEWEST] = number
    p[_LENGTH] += 1


def pattern_lines(p: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Patterns that were found in a run's words (int64[FIELDS]): the first word's number, or -1, and a line."""
    whole, places = p[:_WHOLE].tolist(), p[_WHOLE:].reshape(PLACES, _PLACE).tolist()
    groups = whole[_GROUPS]
    if groups >= FEWEST and min(whole[_REGULAR], whole[_SINGLE]) >= REGULAR_SHARE * groups:
        yield (
            -1,
            f"{whole[_OTHERS]:,} words that are not hits, {whole[_BEFORE]} for each hit, the first "
            f"{_shown(places[0][_FIRST])}: {_LIKE}",
        )
        return
    for place in places:
        steps, n, first = place[_STEPS], place[_STEPS] + 1, place[_NUMBER]
        if steps < FEWEST:
            continue
        if place[_EQUAL] >= REGULAR_SHARE * steps:
            same = f"{'all' if place[_EQUAL] == steps else 'nearly all'} {_shown(place[_VALUE])}"
            yield first - 1, f"the first of {n:,} words between hits that are {same}: {_LIKE}"
        elif place[_RISES] >= RISING_SHARE * steps and not _paced(place):
            rise = f"rise from {_shown(place[_FIRST])} to {_shown(place[_VALUE])}, and not with the orbits of the hits"
            yield first - 1, f"the first of {n:,} words between hits that {rise}: {_LIKE}"


def _paced(place: list[int]) -> bool:
    """Whether values rose as the hits' orbits did."""
    return abs(place[_TIME] - place[_HIT_TIME]) <= PACE * place[_HIT_TIME]


_LIKE: Final = "probably a time, a counter or a marker of another program; they count as ancillary words"


def _shown(value: int) -> str:
    return f"{value & (1 << 64) - 1:#018x}"
