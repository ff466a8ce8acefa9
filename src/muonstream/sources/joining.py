"""Runs read one after another; files whose orbit counter goes on are joined to the run before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import Block, SourceError
from muonstream.sources.runs import InputRun, Orbits, goes_on, joined, may_join
from muonstream.words import BX_MASK, BX_PER_ORBIT, BX_SHIFT, HEAD_SHIFT, Head, Words, decode

HITS: Final = 101
"""Orbits are compared by the medians of this many hits, so that a wild orbit among them does not matter."""
_LOOK_WORDS: Final = 1 << 20
"""Number of words at a run's beginning among which its first hits are looked for."""
_SLICE: Final = 1 << 10

Hits = NDArray[np.uint64]


class HitSpan:
    """The first and the last hits of words that come in pieces."""

    def __init__(self) -> None:
        self.first: Hits = np.empty(0, np.uint64)
        self._last: Hits = np.empty(0, np.uint64)

    def add(self, words: Words) -> None:
        """Take words (uint64[n]) that follow those before."""
        at, size = 0, _SLICE
        while at < len(words) and len(self.first) < HITS:
            self.first = np.concatenate([self.first, _hits(words[at : at + size])])[:HITS]
            at, size = at + size, 4 * size  # usually the first slice is enough; without hits a few more are needed
        end, size, found = len(words), _SLICE, self._last[:0]
        while end > 0 and len(found) < HITS:
            found = np.concatenate([_hits(words[max(0, end - size) : end]), found])
            end, size = end - size, 4 * size
        self._last = np.concatenate([self._last, found])[-HITS:]

    @property
    def orbits(self) -> Orbits | None:
        """Where the words begin and end, None if there is no hit."""
        if not len(self.first):
            return None
        first, last = (int(np.median(decode(words).orbit)) for words in (self.first, self._last))
        return Orbits(first, last)


def _hits(words: Words) -> Hits:
    bx = words >> np.uint64(BX_SHIFT) & np.uint64(BX_MASK)
    hits: Hits = words[(words >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)) & (bx < np.uint64(BX_PER_ORBIT))]
    return hits


def _before(held: deque[Block], blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks held, each given away so that its memory can be used again, and then the others."""
    while held:
        yield held.popleft()
    yield from blocks


def _raising(error: SourceError) -> Iterator[Block]:
    """No blocks, but the error."""
    yield from ()
    raise error


class JoinedRuns:
    """Runs, each as blocks, in order: `take` begins the next, `blocks` reads it whole, `run` is what it is.

    A run that follows is read as a part of the one before where its orbit counter goes on and nothing else speaks
    against it; so `run` may grow until its blocks have ended. A run whose files only repeat the words of others is not
    a run of its own: its reports come with the blocks of the run before.
    """

    def __init__(
        self,
        runs: Sequence[InputRun],
        read: Callable[[list[str]], Iterator[Block]],
        *,
        name: str = "",
        number: int | None = None,
    ) -> None:
        """read: gives the blocks of a run's files; name, number: what options give."""
        self._waiting = deque(runs)
        self._read = read
        self._name = name
        self._number = number
        self._repeats = False
        self._next: tuple[InputRun, Iterator[Block], HitSpan] | None = None
        self.run: InputRun

    def take(self) -> bool:
        """Begin the next run; False when there is none."""
        if self._next is None and not self._waiting:
            return False
        self._next = self._next or self._look()
        self.run = self._next[0]
        return True

    def blocks(self) -> Iterator[Block]:
        """The blocks of the run that was begun, in order. Raises what reading it raises."""
        if self._next is None:
            return
        _, blocks, _ = self._next
        self._next = None
        span = HitSpan()
        while True:
            for block in blocks:
                if self._waiting:
                    span.add(block.words)
                yield block
            if not self._waiting:
                return
            may = may_join(self.run, self._waiting[0])
            after, following, beginning = self._look()
            if self._repeats:
                blocks = following
                continue
            if not may or not goes_on(span.orbits, beginning.orbits):
                self._next = after, following, beginning
                return
            blocks = following
            self.run = joined(self.run, after, self._name, self._number)

    def _look(self) -> tuple[InputRun, Iterator[Block], HitSpan]:
        """Read the next run up to its first hits; sets `_repeats` if it only repeats words of earlier files."""
        run = self._waiting.popleft()
        blocks = self._read(list(run.files))
        held: deque[Block] = deque()
        beginning = HitSpan()
        words = 0
        try:
            for block in blocks:
                held.append(block)
                beginning.add(block.words)
                words += len(block.words)
                if len(beginning.first) >= HITS or words >= _LOOK_WORDS:
                    break
        except SourceError as error:
            blocks = _raising(error)  # where its blocks are taken
            self._repeats = False
            return run, _before(held, blocks), beginning
        reports = [block.report for block in held if block.report is not None]
        self._repeats = not words and bool(reports) and all(report.status == "passed over" for report in reports)
        return run, _before(held, blocks), beginning
