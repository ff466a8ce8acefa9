"""A running check of an input's words: repeats, idle words, values that no hit has, kinds of words that hardly occur.

Nothing is left out of the words here; what is found is noted, with the number of the word. Repeats are found in three
ways: a word equal to the one before it (everywhere), a stretch equal to an earlier one to which the orbit fell back
(everywhere, within `HISTORY_WORDS`), and a word equal to one of the last few thousand (in the first 262,144 words of a
run, then in 4,096 of each 262,144). All of it depends on the words alone, not on how they were cut.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, inlined, read_only
from muonstream.formats.block import Block, counted
from muonstream.formats.jumps import Jumps
from muonstream.formats.markers import FIELDS as MARKER_FIELDS
from muonstream.formats.markers import follow_hit, in_line, marker_lines
from muonstream.formats.notes import Notes
from muonstream.formats.pattern import FIELDS as PATTERN_FIELDS
from muonstream.formats.pattern import follow_other, pattern_lines
from muonstream.formats.plausible import CHUNK, FALL, ODD, flag_chunks, is_hit, orbit_of
from muonstream.formats.rows import EVENT_NUMBER_CHANNELS
from muonstream.formats.word_inputs import WordInputs
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    HEAD_SHIFT,
    TDC_MASK,
    Head,
    Words,
)

WHOLE_WORDS: Final = 1 << 18
"""Words at the beginning of an input of which each is looked for among those shortly before it."""
STRETCH_WORDS, STRETCH_EACH = 1 << 12, 1 << 18
"""Later on this is done in a stretch of so many words out of each so many."""
TABLE_BITS: Final = 13
HISTORY_WORDS: Final = 1 << 18
"""So many words back a repeated stretch is looked for."""
VIEWED_WORDS: Final = 1 << 14
"""Blocks of so many words are kept as they are for that; smaller ones are copied."""
SEARCH_EACH: Final = 1 << 6
"""Such a search begins at most once in so many words."""
SEARCH_SHARE: Final = 16
"""Searches look at no more than so many words for each word that comes, so that they take a bounded time."""
FEWEST_REPEATED: Final = 8
"""Words in a row that make a repeated stretch."""
FEWEST_IDLE: Final = 16
"""Equal words in a row, not hits, that make idle words worth a note."""
RARE: Final = 0.01
CLUSTER: Final = 0.25
"""A kind of ancillary word with a smaller share, or in a smaller part of the stream, is noted: it may be garbage."""
EVENTS: Final = 64

_SEEN, _PREVIOUS_HIT, _LAST_SEARCH, _ADJACENT, _FIRST_ADJACENT, _NEARBY, _FIRST_NEARBY, _TRIED = range(8)
_BX_COUNT, _BX_FIRST, _BX_VALUE, _IDLE_FIRST, _IDLE_COUNT = range(8, 13)
_HEADS, _HEAD_FIRST, _HEAD_LAST, _TDC_COUNT, _TDC_FIRST, _TDC_VALUE, _FIELDS = 13, 21, 29, 37, 38, 39, 40
_MARKERS: Final = _FIELDS + PATTERN_FIELDS
_IDLE_EVENT, _FALL_EVENT = range(2)
_TDC_BITS: Final = np.uint64(TDC_MASK)


@inlined
def _slot(word: Any) -> Any:
    """Where a word stands in the table of recent ones: the highest bits of its product with 2**64 over the golden ratio
    (D. Knuth, The Art of Computer Programming, volume 3, chapter 6.4)."""
    return (word * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - TABLE_BITS)


@inlined
def _see_tdc(word: Any, number: int, s: Any) -> None:
    """Count a hit whose fine time does not exist, unless it is of a channel that may carry event numbers."""
    channel = np.int64(word >> np.uint64(CHANNEL_SHIFT)) & CHANNEL_MASK
    if not EVENT_NUMBER_CHANNELS[0] - 1 <= channel <= EVENT_NUMBER_CHANNELS[1]:  # counted from 0, or from 1
        if s[_TDC_COUNT] == 0:
            s[_TDC_FIRST], s[_TDC_VALUE] = number, np.int64(word & _TDC_BITS)
        s[_TDC_COUNT] += 1


@compiled
def _look(words: Any, begin: int, before: Any, flags: Any, s: Any, table: Any, events: Any) -> tuple[int, int]:
    """Look at words[begin:] (uint64[n]) one by one where there is a reason to.

    before: the word in front of the first; flags: of the whole chunks of `words`; s: int64[_FIELDS], and behind these
    what `pattern` and `markers` know; table: uint64, a word of the recent ones by hash; events: int64[m, 4] of (what,
    number of the word, how many, value)
    Gives how far it came and how many events there are.
    """
    n_events, n, i = 0, len(words), begin
    pattern, markers = s[_FIELDS:_MARKERS], s[_MARKERS:]
    first = s[_SEEN]  # the number of words[0]
    skipped = False  # whether the word before was not looked at, so that its orbit is to be read first
    while i < n:
        if n_events + 2 > len(events):
            break
        number = first + i
        stretch = number < WHOLE_WORDS or (number & (STRETCH_EACH - 1)) < STRETCH_WORDS
        if i % CHUNK == 0 and i // CHUNK < len(flags) and not flags[i // CHUNK]:
            end = number + CHUNK - 1
            if not stretch and (end & (STRETCH_EACH - 1)) >= STRETCH_WORDS and s[_IDLE_COUNT] == 0:
                s[_HEADS + Head.HIT] += CHUNK
                i += CHUNK
                skipped = True
                continue
            place = number & (STRETCH_EACH - 1)
            inside = number >= WHOLE_WORDS and CHUNK <= place <= STRETCH_WORDS - CHUNK
            if (inside or number + CHUNK <= WHOLE_WORDS) and s[_IDLE_COUNT] == 0:
                # hits, none of them equal to the one before
                for j in range(i, i + CHUNK):
                    word = words[j]
                    slot = _slot(word)
                    if table[slot] == word:
                        if s[_NEARBY] == 0:
                            s[_FIRST_NEARBY] = first + j
                        s[_NEARBY] += 1
                    table[slot] = word
                    if not 0 < word & _TDC_BITS < _TDC_BITS:
                        _see_tdc(word, first + j, s)
                s[_TRIED] += CHUNK
                s[_HEADS + Head.HIT] += CHUNK
                i += CHUNK
                skipped = True
                continue
        if skipped:
            s[_PREVIOUS_HIT] = orbit_of(words[i - 1])
            in_line(s[_PREVIOUS_HIT], markers)
            skipped = False
        word = words[i]
        previous = words[i - 1] if i else before
        head = int(np.int64(word >> np.uint64(HEAD_SHIFT)) & 7)
        if s[_HEADS + head] == 0:
            s[_HEAD_FIRST + head] = number
        s[_HEADS + head] += 1
        s[_HEAD_LAST + head] = number
        hit = is_hit(word)
        if head != Head.HIT:
            follow_other(word, number, s[_PREVIOUS_HIT], pattern)
        if head == Head.HIT and not hit:
            if s[_BX_COUNT] == 0:
                s[_BX_FIRST] = number
                s[_BX_VALUE] = np.int64(word >> np.uint64(BX_SHIFT)) & BX_MASK
            s[_BX_COUNT] += 1
        equal = word == previous and number > 0
        if s[_IDLE_COUNT] and not equal:
            if s[_IDLE_COUNT] >= FEWEST_IDLE:
                event = events[n_events]
                event[0], event[1], event[2] = _IDLE_EVENT, s[_IDLE_FIRST], s[_IDLE_COUNT]
                event[3] = np.int64(previous)
                n_events += 1
            s[_IDLE_COUNT] = 0
        if equal and not hit:
            if s[_IDLE_COUNT] == 0:
                s[_IDLE_FIRST], s[_IDLE_COUNT] = number - 1, 1
            s[_IDLE_COUNT] += 1
        if hit:
            orbit = orbit_of(word)
            follow_hit(word, number, orbit, markers)
            if equal:
                if s[_ADJACENT] == 0:
                    s[_FIRST_ADJACENT] = number
                s[_ADJACENT] += 1
            elif orbit + FALL < s[_PREVIOUS_HIT] and number - s[_LAST_SEARCH] >= SEARCH_EACH:
                s[_LAST_SEARCH] = number
                event = events[n_events]
                event[0], event[1], event[2], event[3] = _FALL_EVENT, number, i, 0
                n_events += 1
            s[_PREVIOUS_HIT] = orbit
        if stretch:
            if number >= WHOLE_WORDS and not number & (STRETCH_EACH - 1):
                table[:] = 0
            if hit:
                s[_TRIED] += 1
                slot = _slot(word)
                if table[slot] == word and not equal:
                    if s[_NEARBY] == 0:
                        s[_FIRST_NEARBY] = number
                    s[_NEARBY] += 1
                table[slot] = word
                if not 0 < word & _TDC_BITS < _TDC_BITS:
                    _see_tdc(word, number, s)
        i += 1
    if skipped:
        s[_PREVIOUS_HIT] = orbit_of(words[i - 1])
    return i, n_events


@compiled
def _back_to(words: Any, value: Any) -> int:
    """How far from the end of words (uint64[n]) the last one of this value is; 0 where there is none."""
    n = len(words)
    for back in range(1, n + 1):
        if words[n - back] == value:
            return back
    return 0


class ContentCheck:
    """Follows the words of a run's inputs in the order in which they are read, and writes notes and counts into blocks.

    name: of the input that is being read, in notes; it may be changed
    """

    def __init__(self, name: str) -> None:
        self._notes = Notes(name)
        self._jumps = Jumps(self._notes)
        self._inputs = WordInputs()
        self._state = np.zeros(_MARKERS + MARKER_FIELDS, np.int64)
        self._state[[_PREVIOUS_HIT, _MARKERS]] = -1  # no orbit yet
        self._state[_LAST_SEARCH] = -SEARCH_EACH
        self._table = np.zeros(1 << TABLE_BITS, np.uint64)
        self._before = np.uint64(0)
        self._past: deque[Words] = deque()  # the last words
        self._kept = 0  # so many
        self._history = np.empty(0, np.uint64)  # room for small blocks
        self._end = 0  # of the words in it
        self._distance = 0  # of the repeated stretch that is going on
        self._stretch = (0, 0)  # its first word's number, and how many words
        self._looked_at = 0  # words that were looked at in searches
        self._repeated = 0
        self._done = 0  # words before this number are known to be repeated or were searched
        self._reported = 0

    def see(self, words: Words, flags: NDArray[np.uint8] | None = None, before: np.uint64 | None = None) -> None:
        """Look at the next words (uint64[n]).

        flags: of their whole chunks, if they are known, by `flag_chunks` with `before`
        """
        if not len(words):
            return
        if flags is not None and before != self._before and len(flags):
            flags[0] |= ODD  # the decoder compared the first word with another one than the last seen here
        words = read_only(words)
        self._inputs.begin(int(self._state[_SEEN]), self.name)
        self._jumps.see(words, self.name)
        if flags is None:
            flags = np.empty(len(words) // CHUNK, np.uint8)
            flag_chunks(words, self._before, flags)
        seen = int(self._state[_SEEN])
        if self._distance:
            self._continue(words, 0)
        events = np.empty((EVENTS, 4), np.int64)
        at = 0
        while at < len(words):
            at, n = _look(words, at, self._before, flags, self._state, self._table, events)
            for what, number, count, value in events[:n].tolist():
                if what == _IDLE_EVENT:
                    self._note_idle(number, count, value)
                elif number >= max(self._done, self._stretch[0] + self._stretch[1]):
                    self._search(words, count, number)
        self._state[_SEEN] = seen + len(words)
        self._before = words[-1]
        self._remember(words)

    @property
    def name(self) -> str:
        """The input that is being read."""
        return self._notes.name

    @name.setter
    def name(self, name: str) -> None:
        self._notes.name = name

    def into(self, block: Block, *, last: bool = False) -> None:
        """Write what was found since the last call into a block; last: the run's inputs have ended."""
        if last:
            self._end_stretch()
            self._conclude()
            block.notes += self._notes.finish()
        else:
            block.notes += self._notes.take()
        found = self._repeated + int(self._state[_ADJACENT])
        if last:
            found += max(0, int(self._state[_NEARBY]) - self._repeated)
        block.repeated += found - self._reported
        self._reported = found

    def _remember(self, words: Words) -> None:
        """Keep the last HISTORY_WORDS: large blocks as views, small ones copied together."""
        n = len(words)
        if n >= VIEWED_WORDS:
            self._end = len(self._history)  # what small blocks come next are not neighbours of those before
            self._past.append(words)
        else:
            if self._end + n > len(self._history):
                self._history, self._end = np.empty(HISTORY_WORDS, np.uint64), 0
                self._past.append(self._history[:0])
            last = self._past.pop()
            self._history[self._end : self._end + n] = words
            self._end += n
            self._past.append(self._history[self._end - n - len(last) : self._end])
        self._kept += n
        while self._kept - len(self._past[0]) >= HISTORY_WORDS:
            self._kept -= len(self._past.popleft())

    def _recent(self, n: int) -> Words:
        """The last n words, or as many as are kept."""
        if len(self._past) > 1:
            joined = np.concatenate(self._past)[-HISTORY_WORDS:]
            self._past = deque([joined])
            self._kept, self._end = len(joined), len(self._history)
        past = self._past[0] if self._past else self._history[:0]
        return past[max(0, len(past) - n) :]

    def _search(self, words: Words, index: int, number: int) -> None:
        """Look for words[index], to which the orbit fell back, among the words before it."""
        self._end_stretch()
        if self._looked_at > SEARCH_SHARE * number + HISTORY_WORDS:
            return
        word = words[index]
        begin = max(0, index - HISTORY_WORDS)
        distance = _back_to(words[begin:index], word)
        looked_at = distance or index - begin
        back = min(HISTORY_WORDS - index, self._kept)
        if not distance and back > 0:
            further = _back_to(self._recent(back), word)
            distance = index + further if further else 0
            looked_at = distance or index + back
        self._looked_at += looked_at
        if not distance:
            return
        self._distance, self._stretch = distance, (number, 0)
        self._continue(words, index)

    def _continue(self, words: Words, index: int) -> None:
        """Follow the repeated stretch through words[index:]."""
        distance = self._distance
        in_history = max(0, min(distance - index, len(words) - index))
        same = 0
        if in_history:
            earlier = self._recent(distance - index)
            if len(earlier) < distance - index:
                self._end_stretch()
                return
            earlier = earlier[:in_history]
            same = _same(words[index : index + in_history], earlier)
        if same == in_history:
            rest = words[index + in_history :]
            same += _same(rest, words[index + in_history - distance :][: len(rest)])
        number, n = self._stretch
        self._stretch = number, n + same
        if index + same < len(words):
            self._end_stretch()

    def _end_stretch(self) -> None:
        number, n = self._stretch
        if self._distance and n >= FEWEST_REPEATED:
            self._repeated += n
            self._done = number + n
            name, word = self._inputs.of(number)
            other, first = self._inputs.of(number - self._distance)
            of = "" if other == name else f" of {other}"
            self._note(
                "repeats",
                number,
                f"words {word:,} to {word + n - 1:,} are the same, bit for bit, as words {first:,} to "
                f"{first + n - 1:,}{of}: {counted(n, 'word')} twice",
            )
        self._distance, self._stretch = 0, (0, 0)

    def _note(self, kind: str, number: int, line: str) -> None:
        """Note something in the name of the input that has the run's word of this number."""
        name, self._notes.name = self._notes.name, self._inputs.of(number)[0]
        self._notes.add(kind, line)
        self._notes.name = name

    def _word(self, number: int) -> int:
        """The number of a word, counted from 1 in its input."""
        return self._inputs.of(number)[1]

    def _note_idle(self, number: int, n: int, value: int) -> None:
        # zeros and ones of binary words are padding, and do not come here; rows of zeros do
        first = self._word(number)
        self._note(
            "idle words",
            number,
            f"words {first:,} to {first + n - 1:,} are all {value & (1 << 64) - 1:#018x}, which is not a hit: "
            f"{counted(n, 'idle word')}",
        )

    def _conclude(self) -> None:
        self._jumps.conclude()
        s = self._state
        words = int(s[_SEEN])
        if s[_IDLE_COUNT] >= FEWEST_IDLE:
            self._note_idle(int(s[_IDLE_FIRST]), int(s[_IDLE_COUNT]), int(np.int64(self._before)))
        firsts = s[[_FIRST_ADJACENT, _FIRST_NEARBY, _BX_FIRST, _TDC_FIRST]].tolist()
        adjacent, near, bx, tdc = (self._word(number) if words else 0 for number in firsts)
        if s[_ADJACENT]:
            self._note(
                "repeats",
                firsts[0],
                f"{counted(int(s[_ADJACENT]), 'hit')} repeated: the same, bit for bit, as the word before, the first "
                f"at word {adjacent:,} of {words:,}",
            )
        nearby = int(s[_NEARBY]) - self._repeated
        if nearby > 0:
            self._note(
                "repeats",
                firsts[1],
                f"of {int(s[_TRIED]):,} hits that were compared, {nearby:,} are the same, bit for bit, as a hit "
                f"shortly before, the first at word {near:,}",
            )
        if s[_BX_COUNT]:
            self._note(
                "BX_COUNTER",
                firsts[2],
                f"word {bx:,}: BX_COUNTER: found {int(s[_BX_VALUE])}, expected 0 to {BX_PER_ORBIT - 1}; "
                f"{counted(int(s[_BX_COUNT]), 'word')} of HEAD 2 malformed for that",
            )
        if s[_TDC_COUNT]:
            self._note(
                "TDC_MEAS",
                firsts[3],
                f"word {tdc:,}: TDC_MEAS: found {int(s[_TDC_VALUE])}, expected 1 to 30; {int(s[_TDC_COUNT]):,} of "
                f"{int(s[_TRIED]):,} hits that were looked at have such a fine time: their times are wrong, or the "
                "numbering is another firmware's",
            )
        for number, line in pattern_lines(s[_FIELDS:_MARKERS]):
            place = f"word {self._word(number):,}: " if number >= 0 else ""
            self._note("words between hits", max(number, 0), place + line)
        for number, line in marker_lines(s[_MARKERS:]):
            self._note("markers", number, f"word {self._word(number):,}: {line}")
        heads = s[_HEADS : _HEADS + 8].tolist()
        if words and not heads[Head.HIT]:
            self._notes.add("hits", f"no hit (HEAD 2) among {counted(words, 'word')}")
        for head, n in enumerate(heads):
            first, last = int(s[_HEAD_FIRST + head]), int(s[_HEAD_LAST + head])
            if head == Head.HIT or not n or (n >= RARE * words and last - first >= CLUSTER * words):
                continue
            (name, begin), (other, end) = self._inputs.of(first), self._inputs.of(last)
            where = f"word {begin:,}" if n == 1 else f"words {begin:,} to {end:,}"
            if other != name:
                where = f"word {begin:,} to word {end:,} of {other}"
            self._note("rare words", first, f"only {n:,} of {words:,} words have HEAD {head}: {where}")


@compiled
def _same(one: Any, other: Any) -> int:
    """How many words at the beginning are the same; other: at least as many as `one`."""
    n = 0
    while n < len(one) and one[n] == other[n]:
        n += 1
    return n
