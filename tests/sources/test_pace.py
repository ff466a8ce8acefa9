from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from threading import Event

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import Block
from muonstream.sources.pace import held_after, rated
from muonstream.words import Words

SIZES = st.lists(st.integers(0, 50), min_size=1, max_size=6)


class NoWait(Event):
    """Nobody waits: time is the test's."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def blocks(sizes: list[int]) -> Iterator[Block]:
    starts = np.cumsum([0, *sizes])
    for first, last in pairwise(starts):
        yield Block(np.arange(first, last, dtype=np.uint64), begins=bool(first == 0))


def joined(found: list[Block]) -> Words:
    return np.concatenate([np.empty(0, np.uint64), *[block.words for block in found]])


@given(SIZES, st.floats(0.5, 100))
def test_words_come_no_faster_than_their_rate(sizes: list[int], rate_hz: float) -> None:
    seconds = (tick / 4 for tick in count())
    now = 0.0

    def clock() -> float:
        nonlocal now
        now = next(seconds)
        return now

    came, found = 0, []
    for block in rated(blocks(sizes), rate_hz, NoWait(), clock=clock):
        came += len(block.words)
        found.append(block)
        assert came <= now * rate_hz
    assert np.array_equal(joined(found), np.arange(sum(sizes)))
    assert now <= sum(sizes) / rate_hz + 0.25 * (len(found) + 1)


def test_it_ends_when_told_to() -> None:
    stop = NoWait()
    stop.set()
    assert not len(joined(list(rated(blocks([10]), 1.0, stop))))


@given(SIZES, st.integers(0, 400))
def test_the_first_words_are_not_held(sizes: list[int], n: int) -> None:
    given_to_hold: list[Block] = []

    def hold(rest: Iterator[Block]) -> Iterator[Block]:
        for block in rest:
            given_to_hold.append(block)
            yield block

    found = list(held_after(blocks(sizes), n, hold))
    assert np.array_equal(joined(found), np.arange(sum(sizes)))
    assert np.array_equal(joined(given_to_hold), np.arange(min(n, sum(sizes)), sum(sizes)))
