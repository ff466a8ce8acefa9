from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest

from muonstream.formats.block import Block, SourceError
from muonstream.sources.ahead import ahead


def block(n: int) -> Block:
    return Block(np.arange(n, dtype=np.uint64))


def test_blocks_come_in_order_and_the_next_is_read_while_one_is_used() -> None:
    second_was_read = Event()

    def blocks() -> Iterator[Block]:
        yield block(1)
        second_was_read.set()
        yield block(2)
        yield block(3)

    found = ahead(blocks())
    first = next(found)
    # it is read without being asked for
    assert second_was_read.wait(60)
    assert [len(one.words) for one in (first, *found)] == [1, 2, 3]


def test_an_error_comes_after_what_was_good() -> None:
    def blocks() -> Iterator[Block]:
        yield block(1)
        raise SourceError("a.dat: broken")

    found = ahead(blocks())
    assert len(next(found).words) == 1
    with pytest.raises(SourceError, match=r"a\.dat: broken"):
        next(found)


def test_it_can_be_left_early() -> None:
    def blocks() -> Iterator[Block]:
        while True:
            yield block(1)

    found = ahead(blocks())
    next(found)
    found.close()
