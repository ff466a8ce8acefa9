from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import NO_BYTES, Block, ByteAccount, InputReport, SourceError
from muonstream.sources.gathered import gathered

MEMORY = np.arange(1000, dtype=np.uint64)
BYTES = MEMORY.view(np.uint8)


def view(begin: int, end: int) -> Block:
    return Block(np.frombuffer(BYTES.data, "<u8", end - begin, 8 * begin), bytes=ByteAccount(words=8 * (end - begin)))


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(1, 300), st.booleans())
def test_nothing_is_lost_or_changed_however_blocks_are_gathered(cuts: list[int], most: int, apart: bool) -> None:
    edges = [0, *sorted(cuts), 1000]
    blocks = [view(a, b) for a, b in pairwise(edges)]
    for i, block in enumerate(blocks):
        block.malformed, block.repeated, block.steps_lost, block.notes = i, 2 * i, 3 * i, [f"note {i}"]
        if apart:
            block.words = block.words.copy()
    found = list(gathered(blocks, most))
    assert np.concatenate([block.words for block in found]).tolist() == MEMORY.tolist()
    assert sum((block.bytes for block in found), NO_BYTES) == ByteAccount(words=8000)
    total = sum(range(len(blocks)))
    assert [sum(getattr(block, name) for block in found) for name in ("malformed", "repeated", "steps_lost")] == [
        total,
        2 * total,
        3 * total,
    ]
    assert [note for block in found for note in block.notes] == [f"note {i}" for i in range(len(blocks))]
    sizes = [len(block.words) for block in found]
    assert all(size <= max(most, *(len(block.words) for block in blocks)) for size in sizes)
    assert all(a + b > most for a, b in pairwise(sizes))


def test_neighbours_in_memory_are_not_copied() -> None:
    (block,) = gathered([view(0, 10), view(10, 10), view(10, 50)], 100)
    assert np.shares_memory(block.words, MEMORY)
    assert block.words.tolist() == list(range(50))
    (block,) = gathered([view(0, 10), view(11, 50)], 100)
    assert not np.shares_memory(block.words, MEMORY)


def test_inputs_and_idle_blocks_stay_apart() -> None:
    blocks = [
        Block(report=InputReport("a", size=1)),
        Block(report=InputReport("a", size=2)),
        Block(report=InputReport("b")),
        Block(begins=True),
        Block(idle=True),
        Block(source=1),
    ]
    found = list(gathered(blocks, 100))
    assert [(block.report and (block.report.name, block.report.size)) for block in found] == [
        ("a", 2),
        ("b", 0),
        None,
        None,
        None,
    ]
    assert [block.begins for block in found] == [False, False, True, False, False]
    assert [block.idle for block in found] == [False, False, False, True, False]


def test_an_error_comes_behind_the_words_before_it() -> None:
    def broken() -> Iterator[Block]:
        yield view(0, 3)
        yield view(3, 5)
        raise SourceError("broken")

    blocks = gathered(broken(), 100)
    assert next(blocks).words.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(SourceError, match="broken"):
        next(blocks)
