"""Pacing: words no faster than a multiple of the time in which they were taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from threading import Event
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.formats.block import Block
from muonstream.words import HEAD_SHIFT, ORBIT_MASK, ORBIT_SECONDS, ORBIT_SHIFT, Head

STEP_S: Final = 0.05
"""Words are released in steps of this much wall-clock time."""
JUMP_ORBITS: Final = round(1.0 / ORBIT_SECONDS)


@compiled
def _progress(words: Any, reference: int, orbits: Any) -> int:
    """Orbits since the first word, without gaps and resets, for each word; gives the new reference orbit."""
    gone = 0
    for i in range(len(words)):
        word = words[i]
        if word >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT):
            orbit = int(np.int64(word >> np.uint64(ORBIT_SHIFT)) & ORBIT_MASK)
            step = orbit - reference
            if reference < 0 or abs(step) > JUMP_ORBITS:
                reference = orbit
            elif step > 0:
                gone += step
                reference = orbit
        orbits[i] = gone
    return int(reference)


def _released(block: Block, ready: Callable[[], int], stop: Event) -> Generator[Block, None, bool]:
    """A block without its words, then these as they become ready, with idle blocks in between.

    ready: how many of the words may be released by now. False when `stop` was set before the last one.
    """
    words, sent = block.words, 0
    block.words = words[:0]
    yield block
    while sent < len(words):
        if stop.is_set():
            return False
        now = ready()
        if now > sent:
            yield Block(words[sent:now], source=block.source)
            sent = now
        else:
            yield Block(idle=True, source=block.source)
        if sent < len(words):
            stop.wait(STEP_S)
    return True


def paced(
    blocks: Iterator[Block],
    multiple: float,
    stop: Event,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Block]:
    """Blocks held back so that data time runs `multiple` times as fast as the clock; ends when `stop` is set.

    Idle blocks come in between, so that the caller can do other things on time.
    """
    started = clock()
    gone_s, reference = 0.0, -1
    for block in blocks:
        orbits = np.empty(len(block.words), np.int64)
        reference = _progress(block.words, reference, orbits)

        def ready(orbits: NDArray[np.int64] = orbits, gone_s: float = gone_s) -> int:
            due = ((clock() - started) * multiple - gone_s) / ORBIT_SECONDS
            return int(np.searchsorted(orbits, due, side="right"))

        if not (yield from _released(block, ready, stop)):
            return
        if len(orbits):
            gone_s += float(orbits[-1]) * ORBIT_SECONDS


def rated(
    blocks: Iterator[Block],
    words_per_s: float,
    stop: Event,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Block]:
    """Blocks held back to so many words a second; ends when `stop` is set. Idle blocks come in between."""
    started = clock()
    gone = 0
    for block in blocks:
        n = len(block.words)

        def ready(n: int = n, gone: int = gone) -> int:
            return min(n, int((clock() - started) * words_per_s) - gone)

        if not (yield from _released(block, ready, stop)):
            return
        gone += n


def held_after(
    blocks: Iterator[Block], words: int, hold: Callable[[Iterator[Block]], Iterator[Block]]
) -> Iterator[Block]:
    """Blocks of which the first `words` words come at once, and the rest as `hold` lets them."""
    rest: list[Block] = []
    while words > 0:
        block = next(blocks, None)
        if block is None:
            return
        if len(block.words) > words:
            rest = [Block(block.words[words:], source=block.source)]
            block.words = block.words[:words]
        words -= len(block.words)
        yield block
    yield from hold(chain(rest, blocks))
