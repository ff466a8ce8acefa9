"""Hit words that come twice, bit for bit: nearby, exactly; anywhere in the input, by a sample chosen by content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.survey.stretches import REPEATED
from muonstream.words import Words

OTHER, GOOD, MALFORMED, REPEAT = range(4)
"""Kinds of words in a survey: not a hit; a hit with a possible BX; one without; one that repeats an earlier hit."""

WINDOW_HITS: Final = 8192
"""A hit is a repeat when the same word is among this many hits before it."""
LOOKS: Final = 64
"""The most hits of one hash that are compared, so that no input makes the search quadratic."""
RUN_HITS: Final = 8
"""Number of repeats in a row at the same distance that are listed as a repeated piece."""
RUNS_KEPT: Final = 64
SAMPLE_HITS: Final = 1 << 13
"""The most different hits in the sample; beyond that every second one is dropped."""

_HASHES: Final = 1 << 15
_SLOTS: Final = 1 << 14
_LATER: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xC2B2AE3D27D4EB4F)

HITS, REPEATS, ADJACENT, DISTANCE, RUN, RUN_ROW, RUN_PLACE, RUNS, SAMPLED, SHIFT = range(10)
"""Scalars: good hits so far, repeats, those right behind the same hit; the present run's distance, length, row in
the list (-1: none) and first word, runs in all; different hits in the sample, and by how many bits it is thinned."""


@dataclass(frozen=True, slots=True)
class RepeatedPiece:
    """Hits in a row that repeat earlier ones in the same order.

    first_word: the place of the first repeat, counted from 0; hits: how many; before: so many hits before, they came
    """

    first_word: int
    hits: int
    before: int


@dataclass(frozen=True, slots=True)
class RepeatCounts:
    """Repeats of hit words.

    near: within WINDOW_HITS hits; adjacent: those right behind the same hit; pieces: repeated pieces in all
    first_pieces: the first of them
    anywhere_share: the share of all hits that repeat another, at any distance, estimated from a sample of `sampled`
    different hits; far_first_word, far_distance_words: where the first of the sample's far repeats is, and how many
    words lie between the two, in the median; -1 where there are none
    """

    near: int
    adjacent: int
    pieces: int
    first_pieces: tuple[RepeatedPiece, ...]
    anywhere_share: float
    sampled: int
    far_first_word: int
    far_distance_words: int


class Repeats:
    """Finds repeats among hits; memory is bounded."""

    def __init__(self) -> None:
        self._scalars = np.zeros(10, np.int64)
        self._scalars[RUN_ROW] = -1
        self._ring: Words = np.zeros(WINDOW_HITS, np.uint64)
        self._chain = np.zeros(WINDOW_HITS, np.uint32)
        self._heads = np.zeros(_HASHES, np.uint32)
        self._runs = np.zeros((RUNS_KEPT, 3), np.int64)
        self._sample: Words = np.zeros(_SLOTS, np.uint64)
        self._seen = np.zeros((_SLOTS, 3), np.int64)

    def state(self) -> tuple[Any, ...]:
        """The arrays that `find_repeats` works on."""
        return self._scalars, self._ring, self._chain, self._heads, self._runs, self._sample, self._seen

    def counts(self) -> RepeatCounts:
        """The repeats found so far."""
        s = self._scalars
        there = self._seen[self._seen[:, 2] > 0]
        occurrences = int(there[:, 2].sum())
        twice = there[there[:, 2] > 1]
        distance = twice[:, 1] - twice[:, 0]
        far = distance > WINDOW_HITS
        return RepeatCounts(
            near=int(s[REPEATS]),
            adjacent=int(s[ADJACENT]),
            pieces=int(s[RUNS]),
            first_pieces=tuple(RepeatedPiece(*one) for one in self._runs[: min(s[RUNS], RUNS_KEPT)].tolist()),
            anywhere_share=float((there[:, 2] - 1).sum() / occurrences) if occurrences else 0.0,
            sampled=len(there),
            far_first_word=int(twice[far, 1].min()) if far.any() else -1,
            far_distance_words=int(np.median(distance[far])) if far.any() else -1,
        )


@compiled
def find_repeats(words: Words, kinds: NDArray[np.uint8], first: int, state: Any, row: NDArray[np.int64]) -> None:
    """Mark repeats among words[n] in kinds (uint8[n]); first: the first word's place; row: the stretch's counts."""
    s, ring, chain, heads, runs, sample, seen = state
    thinned = (np.uint64(1) << np.uint64(s[SHIFT])) - np.uint64(1)
    n = np.uint64(s[HITS])
    inside = np.uint64(WINDOW_HITS - 1)
    for i in range(len(words)):
        if kinds[i] != GOOD:
            continue
        w = words[i]
        # Hits of one hash are a chain from the newest back, by number modulo 2**32 (which is what fits the cache). The
        # ring has the last WINDOW_HITS hits, so what is compared is always one of them, however old the chain's end.
        h = (w * _LATER) >> np.uint64(49)
        j = heads[h]
        distance = np.uint64(0)
        back = np.uint64(np.uint32(n - j))
        looks = 0
        while back <= WINDOW_HITS and back <= n and looks < LOOKS:
            if ring[(n - back) & inside] == w:
                distance = back
                break
            further = np.uint64(np.uint32(n - chain[(n - back) & inside]))
            # a chain's older end may have been overwritten
            if further <= back:
                break
            back = further
            looks += 1
        chain[n & inside] = j
        ring[n & inside] = w
        heads[h] = np.uint32(n)
        n += np.uint64(1)
        if distance:
            kinds[i] = REPEAT
            row[REPEATED] += 1
            s[REPEATS] += 1
            s[ADJACENT] += distance == 1
            if distance == np.uint64(s[DISTANCE]):
                s[RUN] += 1
            else:
                s[DISTANCE], s[RUN], s[RUN_ROW] = distance, 1, -1
                s[RUN_PLACE] = first + i
            if s[RUN] == RUN_HITS:
                if s[RUNS] < RUNS_KEPT:
                    s[RUN_ROW] = s[RUNS]
                    runs[s[RUNS], 0], runs[s[RUNS], 2] = s[RUN_PLACE], distance
                s[RUNS] += 1
            if s[RUN_ROW] >= 0:
                runs[s[RUN_ROW], 1] = s[RUN]
        else:
            s[DISTANCE] = 0
        # A hit is in the sample if its content puts it there: then all its copies are too, wherever they come.
        mixed = (w ^ (w >> np.uint64(31))) * _MIX
        mixed ^= mixed >> np.uint64(29)
        if mixed & thinned == 0:
            _sample(w, mixed, first + i, s, sample, seen)
            thinned = (np.uint64(1) << np.uint64(s[SHIFT])) - np.uint64(1)
    s[HITS] = n


@compiled
def _sample(w: Any, mixed: Any, place: int, s: Any, sample: Any, seen: Any) -> None:
    """Count a hit of the sample; when there are too many different ones, thin them."""
    slot = np.int64(mixed >> np.uint64(50))
    while seen[slot, 2] and sample[slot] != w:
        slot = (slot + 1) & (_SLOTS - 1)
    if seen[slot, 2]:
        seen[slot, 2] += 1
        if seen[slot, 2] == 2:
            seen[slot, 1] = place
        return
    sample[slot] = w
    seen[slot, 0], seen[slot, 2] = place, 1
    s[SAMPLED] += 1
    while s[SAMPLED] > SAMPLE_HITS:
        s[SHIFT] += 1
        _thin(s, sample, seen)


@compiled
def _thin(s: Any, sample: Any, seen: Any) -> None:
    """Keep the hits of the sample that the next bit of their hash selects; their counts stay exact."""
    old_sample, old_seen = sample.copy(), seen.copy()
    seen[:] = 0
    s[SAMPLED] = 0
    mask = (np.uint64(1) << np.uint64(s[SHIFT])) - np.uint64(1)
    for k in range(len(old_sample)):
        if old_seen[k, 2] == 0:
            continue
        mixed = (old_sample[k] ^ (old_sample[k] >> np.uint64(31))) * _MIX
        mixed ^= mixed >> np.uint64(29)
        if mixed & mask:
            continue
        slot = np.int64(mixed >> np.uint64(50))
        while seen[slot, 2]:
            slot = (slot + 1) & (_SLOTS - 1)
        sample[slot] = old_sample[k]
        seen[slot] = old_seen[k]
        s[SAMPLED] += 1
