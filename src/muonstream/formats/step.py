"""Walking through a stream of 64-bit values: which are words, which are not, and where the stream loses step; compiled.

The walk goes value by value only where `flag_chunks` found something odd. It stops where it needs more values to decide
(`MORE`), where the stream is out of step (`LOST`), or where the list of events is full. Its decisions depend on the
values alone, never on how they were cut, because it never decides on an odd value before `LOOK` values behind it are
there or the stream has ended.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import eight_bytes
from muonstream.compiled import compiled, inlined
from muonstream.formats.plausible import (
    ANCILLARY,
    BAD,
    CHUNK,
    FAR,
    GOOD,
    IDLE,
    ODD,
    PADDING,
    RUN_WORD,
    all_good,
    is_hit,
    is_known,
    kind_of,
    near,
    orbit_of,
)
from muonstream.words import DMA_WORDS, WORD_BYTES

LOOK: Final = 17
"""Values looked at from an odd one on: 16 words, wherever in the first value they begin."""
ELSEWHERE: Final = 6
"""Good hits that begin at another byte than the values do, and show that a stream is out of step."""
ELSEWHERE_FEWEST: Final = 3
"""So many do at the end of a stream."""
BEFORE_END: Final = 4
"""Values before a lost step at the very end, one of which must be a hit."""
BRIEFLY: Final = 2
"""So many do in a short stretch, one after another, whose orbits are as near as `NEARBY` to the hit before it."""
NEARBY: Final = 1 << 14
"""Orbits (1.5 s). A random value is such a hit of one of two boards with probability 2e-7."""
LOST_BAD: Final = 7
"""With so many bad values among LOOK a stream may be out of step (garbage has 13, a healthy stream none)."""

(
    REFERENCE,
    CANDIDATE,
    BOARDS,
    RUN,
    RUN_STEP,
    PHASE,
    ANCILLARIES,
    PADDINGS,
    RUN_WORDS,
    TRUSTED,
    QUIET,
    BADS,
    CAREFUL,
    EARLIER,
) = range(14)
"""Fields of the walk's state, int64: reference and candidate orbit (see `kind_of`), known boards, the present run word
(-1: this is not DMA) and by how much it grew last, values since the last run word (-1: unknown), padding
and run words so far, values from the next one on that are words whatever they look like, bad values so far, whether to
stop as LOST at the first value that no board sends or whose orbit is elsewhere; from EARLIER on, the values in front of
the next one, the newest first."""
IDLE_PERIOD: Final = 4
"""A value that no board sends, but the same as one of so many before it, is an idle word."""
STATE_FIELDS: Final = EARLIER + IDLE_PERIOD
"""The length of the walk's state."""

END, MORE, LOST, FULL = range(4)
"""Why a walk stopped."""

CHANGED, SHORT, MISSING, FOUND, SMALL = range(5)
"""Events of DMA streams: another run word; a run word too early or too late; no run word where one is due; the first
run word in what looked like plain words; a small value among plain words that may be a run word, but stands alone."""

HIGHEST_RUN_WORD: Final = 1 << 32
"""Run words are numbers of runs: below this they cannot be taken for words with an orbit of more than 1.5 s."""
RUN_WORDS_NEAR: Final = 1 << 20
"""A larger one is one when it is so near the one before."""


@inlined
def _is_run_word(word: Any, s: Any) -> bool:
    """Whether a value is the run word that is expected next: the same again, or grown as before."""
    value = np.int64(word)
    return bool(s[RUN] >= 0 and (value == s[RUN] or (s[RUN_STEP] > 0 and value == s[RUN] + s[RUN_STEP])))


@inlined
def _see(s: Any, word: Any, kind: int) -> None:
    """Move the reference orbit along with a hit."""
    if kind == GOOD:
        orbit = orbit_of(word)
        if not near(orbit, s[REFERENCE]):
            s[REFERENCE] = s[CANDIDATE]
        if near(orbit, s[REFERENCE]):
            s[REFERENCE] = orbit
        s[CANDIDATE] = -1
    elif kind == FAR:
        s[CANDIDATE] = orbit_of(word)


@inlined
def _repeats(words: Any, i: int, s: Any) -> bool:
    """Whether words[i] is the same as one of the IDLE_PERIOD values before it."""
    found = False
    for back in range(1, IDLE_PERIOD + 1):
        found |= words[i] == (words[i - back] if back <= i else np.uint64(s[EARLIER + back - 1 - i]))
    return found


@inlined
def _keep_last(words: Any, n: int, s: Any) -> None:
    """Keep the last of words[:n] for those that come next."""
    for back in range(IDLE_PERIOD, 0, -1):
        s[EARLIER + back - 1] = np.int64(words[n - back]) if back <= n else s[EARLIER + back - 1 - n]


@inlined
def _bad_ahead(words: Any, i: int, s: Any) -> int:
    """How many of the LOOK values from i on are bad."""
    bad = 0
    for j in range(i, min(i + LOOK, len(words))):
        previous = words[j - 1] if j else np.uint64(0)
        kind = kind_of(words[j], previous, s[REFERENCE], s[CANDIDATE], s[BOARDS])
        bad += kind == BAD and not _is_run_word(words[j], s) and not _repeats(words, j, s)
    return bad


@compiled
def in_step_elsewhere(words: Any, i: int, boards: int) -> bool:
    """Whether the bytes of words[i:] are good hits when words begin at another byte than the first of each value.

    ELSEWHERE of the next LOOK - 1 must be, and at most half as many of the values as they stand. Equal values do not
    count: shifted idle words may pass for hits. A place that three more values speak against than for is given up.
    """
    m = min(LOOK, len(words) - i) - 1
    for byte in range(1, 8):
        low, high = np.uint64(8 * byte), np.uint64(64 - 8 * byte)
        good, misses, reference, previous, before_previous = 0, 0, -1, np.uint64(0), np.uint64(0)
        j = i
        while j < i + m and good < ELSEWHERE and misses < good + 3:
            word = (words[j] >> low) | (words[j + 1] << high)
            other = word != previous and word != before_previous
            if is_hit(word) and is_known(word, boards) and other and (good == 0 or near(orbit_of(word), reference)):
                good += 1
                reference = orbit_of(word)
            else:
                misses += 1
            before_previous, previous = previous, word
            j += 1
        if good >= ELSEWHERE or (m < LOOK - 1 and good >= ELSEWHERE_FEWEST and good >= m - 1):
            here = 0
            for k in range(i + 1, j):
                both = is_hit(words[k]) and is_hit(words[k - 1]) and is_known(words[k], boards)
                here += both and near(orbit_of(words[k]), orbit_of(words[k - 1]))
            if 2 * here <= good:
                return True
    return False


@inlined
def _close(word: Any, reference: int, boards: int) -> bool:
    """Whether a value is a hit of a known board shortly before or after a reference orbit."""
    return bool(is_hit(word) and is_known(word, boards) and -NEARBY <= orbit_of(word) - reference <= NEARBY)


@compiled
def briefly_elsewhere(words: Any, i: int, reference: int, boards: int) -> bool:
    """Whether a few hits from words[i] on begin at another byte, too few for `in_step_elsewhere`.

    BRIEFLY of them in a row must be close to the hits before (reference), and none of the values as they stand.
    """
    if reference < 0:
        return False
    for byte in range(1, 8):
        low, high = np.uint64(8 * byte), np.uint64(64 - 8 * byte)
        for first in range(i, i + 2):  # the first value may be torn
            good, previous, j = 0, np.uint64(0), first
            while j + 1 < len(words) and good < BRIEFLY and not _close(words[j], reference, boards):
                word = (words[j] >> low) | (words[j + 1] << high)
                if word == previous or not _close(word, reference, boards):
                    break
                good, previous, j = good + 1, word, j + 1
            if good >= BRIEFLY and not _close(words[j], reference, boards):
                return True
    return False


@compiled
def lost_at_end(data: Any, begin: int, reference: int, boards: int) -> int:
    """Where values are out of step at the end of a stream that is not whole words; an index, or -1.

    data: uint8[n]; the values begin at `begin`. Words that end where data end must be hits, one or more, where no value
    is one as it stands; a hit before them must be close to them (reference, where there are no values before).
    """
    end, hits, previous = len(data), 0, np.uint64(0)
    at = end - WORD_BYTES
    while at >= begin and hits < LOOK:
        word = eight_bytes(data, np.uint64(at))
        if word == previous or not (_close(word, orbit_of(previous), boards) if hits else is_hit(word)):
            break
        hits, previous, at = hits + 1, word, at - WORD_BYTES
    if hits == 0 or not is_known(previous, boards):
        return -1
    orbit = orbit_of(previous)
    index = (end - WORD_BYTES * hits - begin) // WORD_BYTES
    for i in range(index, (end - begin) // WORD_BYTES):
        if _close(eight_bytes(data, np.uint64(begin + WORD_BYTES * i)), orbit, boards):
            return -1
    near_before = reference >= 0 and abs(orbit - reference) <= NEARBY
    for i in range(max(0, index - BEFORE_END), index):
        near_before |= _close(eight_bytes(data, np.uint64(begin + WORD_BYTES * i)), orbit, boards)
    return int(index) if near_before else -1


@compiled
def walk(words: Any, before: Any, flags: Any, s: Any, kinds: Any, events: Any, last: bool) -> tuple[int, int, int]:
    """Say what values (uint64[n]) are, until something stops the walk.

    kinds: uint8[n] of zeros; PADDING, BAD and RUN_WORD are written there
    before: the value in front of the first; flags: of the whole chunks; s: the state; events: int64[m, 3] of (what,
    index, value); last: no more values come
    Gives how many values are decided, why it stopped, and how many events there are.
    """
    n, i, n_events = len(words), 0, 0
    ended, stop = n, END
    while i < n:
        whole = s[RUN] < 0 and s[TRUSTED] == 0 and i % CHUNK == 0 and i // CHUNK < len(flags)
        whole = whole and is_known(words[i], s[BOARDS])
        if whole and not flags[i // CHUNK] & ODD and near(orbit_of(words[i]), s[REFERENCE]):
            i += CHUNK
            # each of the next chunks without any flag is near the one before it
            while i // CHUNK < len(flags) and flags[i // CHUNK] == 0 and is_known(words[i], s[BOARDS]):
                i += CHUNK
            s[REFERENCE], s[CANDIDATE] = orbit_of(words[i - 1]), -1
            continue
        if s[RUN] >= 0 and s[PHASE] == 0 and s[TRUSTED] == 0 and n - i >= DMA_WORDS - 1:
            # the words of a transfer, checked together
            end = i + DMA_WORDS - 1
            known = near(orbit_of(words[i]), s[REFERENCE]) and is_known(words[i], s[BOARDS])
            if known and all_good(words, i, end):
                s[REFERENCE], s[CANDIDATE] = orbit_of(words[end - 1]), -1
                s[PHASE] = DMA_WORDS - 1
                i = end
                continue
        if n_events + 2 > len(events):
            ended, stop = i, FULL
            break
        word = words[i]
        previous = words[i - 1] if i else before
        kind = kind_of(word, previous, s[REFERENCE], s[CANDIDATE], s[BOARDS])
        if kind == BAD and _repeats(words, i, s):
            kind = IDLE
        odd = (kind == BAD or kind == FAR) and not _is_run_word(word, s)  # noqa: SIM109
        trusted = s[TRUSTED] > 0
        if kind == ANCILLARY and not trusted:
            # garbage may begin with values that pass for ancillary words; with a good hit behind it, it is one
            if i + 1 == n and not last:
                ended, stop = i, MORE
                break
            odd = i + 1 == n or not (is_hit(words[i + 1]) and near(orbit_of(words[i + 1]), s[REFERENCE]))
        elif kind == GOOD:
            odd = not is_known(word, s[BOARDS])  # shifted words may pass for hits, but seldom for those of known boards
        if not trusted and odd:
            if n - i < LOOK and not last:
                ended, stop = i, MORE
                break
            bad = 0 if kind == GOOD else _bad_ahead(words, i, s)
            lost = bad >= LOST_BAD or (n - i < LOOK and bad >= 4 and 2 * bad >= n - i)
            strange = s[CAREFUL] != 0 and kind != ANCILLARY and s[REFERENCE] >= 0
            elsewhere = lost or strange or in_step_elsewhere(words, i, s[BOARDS])
            if elsewhere or briefly_elsewhere(words, i, s[REFERENCE], s[BOARDS]):
                ended, stop = i, LOST
                break
        if s[RUN] < 0 and kind == ANCILLARY and not trusted and word < np.uint64(HIGHEST_RUN_WORD):
            if n - i <= DMA_WORDS and not last:
                ended, stop = i, MORE
                break
            event = events[n_events]
            event[0], event[1], event[2] = SMALL, i, np.int64(word)
            n_events += 1
            if n - i > DMA_WORDS and 0 <= np.int64(words[i + DMA_WORDS]) - np.int64(word) < 1 << 16:
                event[0] = FOUND
                s[RUN], s[RUN_STEP] = np.int64(word), np.int64(words[i + DMA_WORDS]) - np.int64(word)
                s[PHASE] = DMA_WORDS - 1
        if s[RUN] >= 0:
            value = np.int64(word)
            due = s[PHASE] == DMA_WORDS - 1
            what = -1
            if due and word == np.uint64(0) and s[RUN] != 0:
                if n - i < 2 and not last:
                    ended, stop = i, MORE
                    break
                if i + 1 < n and is_hit(words[i + 1]) and previous != word:
                    kind = RUN_WORD  # a zero alone in front of a hit
                    what = CHANGED
                    s[RUN], s[RUN_STEP] = 0, 0
            if kind == RUN_WORD:
                pass
            elif _is_run_word(word, s) and (due or kind != PADDING):
                what = SHORT if not due and s[PHASE] >= 0 else what
                s[RUN], kind = value, RUN_WORD
            elif (
                due
                and kind != GOOD
                and kind != FAR
                and kind != PADDING
                and (0 <= value < HIGHEST_RUN_WORD or abs(value - s[RUN]) < RUN_WORDS_NEAR)
            ):
                what = CHANGED
                s[RUN_STEP] = value - s[RUN] if 0 < value - s[RUN] < 1 << 16 else 0
                s[RUN], kind = value, RUN_WORD
            elif due and kind != PADDING:
                what = MISSING
            if kind == ANCILLARY and what < 0 and not trusted and 0 <= value < HIGHEST_RUN_WORD:
                if n - i <= DMA_WORDS and not last:
                    ended, stop = i, MORE
                    break
                step = np.int64(words[i + DMA_WORDS]) - value if n - i > DMA_WORDS else 0
                if 0 <= step < 1 << 16:  # another run's transfers begin before the last one is complete
                    event = events[n_events]
                    event[0], event[1], event[2] = CHANGED, i, value
                    n_events += 1
                    s[RUN], s[RUN_STEP], kind = value, step, RUN_WORD
                    what = SHORT if s[PHASE] >= 0 else what
            if what >= 0:
                event = events[n_events]
                event[0], event[1], event[2] = what, i, s[PHASE] if what == SHORT else value
                n_events += 1
            if kind == RUN_WORD:
                s[PHASE] = 0
            elif due:
                s[PHASE] = -1
            elif s[PHASE] >= 0:
                s[PHASE] += 1
        if kind >= PADDING:
            kinds[i] = kind
        s[TRUSTED] -= trusted
        s[PADDINGS] += kind == PADDING
        s[BADS] += kind == BAD
        s[RUN_WORDS] += kind == RUN_WORD
        _see(s, word, kind)
        i += 1
    _keep_last(words, ended, s)
    return ended, stop, n_events
