from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import Block
from muonstream.formats.content import ContentCheck
from muonstream.words import BX_SHIFT, CHANNEL_SHIFT, Words
from tools.streams import IDLE_WORD, StreamConfig, make_words

WORDS = make_words(StreamConfig(words=12_000, seed=9))


def found(words: Words, cuts: list[int] | None = None) -> tuple[list[str], int]:
    """The notes on words that come in pieces, and how many are repeated."""
    check = ContentCheck("f")
    blocks = []
    for a, b in pairwise([0, *sorted(min(cut, len(words)) for cut in cuts or []), len(words)]):
        check.see(words[a:b])
        blocks.append(Block())
        check.into(blocks[-1])
    blocks.append(Block())
    check.into(blocks[-1], last=True)
    return [note for block in blocks for note in block.notes], sum(block.repeated for block in blocks)


def with_faults(at: int, what: int) -> Words:
    changed = WORDS.copy()
    if what == 0:
        return np.insert(changed, at, changed[max(0, at - 700) : at])
    if what == 1:
        return np.insert(changed, at, np.full(40, IDLE_WORD, np.uint64))
    if what == 2:
        changed[at] |= np.uint64(4000 << BX_SHIFT)
    if what == 3:
        return np.insert(changed, np.arange(0, len(changed), 5), changed[::5])
    return changed


def test_good_words_have_no_note() -> None:
    assert found(WORDS) == ([], 0)
    notes, repeated = found(make_words(StreamConfig(ancillary=5, resets=2, gap_s=3000)))
    assert [("fall from" in note, "a gap of 3,000." in note) for note in notes] == [
        (True, False), (False, True), (True, False)
    ]  # fmt: skip
    assert repeated == 0


@given(st.integers(800, 11_000), st.integers(0, 4), st.lists(st.integers(0, 14_000), max_size=6))
def test_what_is_found_does_not_depend_on_how_words_are_cut(at: int, what: int, cuts: list[int]) -> None:
    words = with_faults(at, what)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.formats.content.VIEWED_WORDS", 1000)  # so that both kinds of pieces occur
        assert found(words, cuts) == found(words)


@given(st.integers(2000, 11_000), st.integers(500, 2000))
def test_a_repeated_block_is_named_with_its_place(at: int, n: int) -> None:
    notes, repeated = found(np.insert(WORDS, at, WORDS[at - n : at]))
    assert n <= repeated <= n + 64
    assert any("the same, bit for bit, as words" in note for note in notes)


def test_words_that_come_twice_one_after_the_other() -> None:
    notes, repeated = found(with_faults(0, 3))
    assert repeated == 2400
    assert notes == ["f: 2,400 hits repeated: the same, bit for bit, as the word before, the first at word 2 of 14,400"]


def test_idle_words_are_named_with_their_value() -> None:
    notes, repeated = found(with_faults(5000, 1))
    assert repeated == 0
    assert notes[0] == "f: words 5,001 to 5,040 are all 0x01555655554d5555, which is not a hit: 40 idle words"


def test_a_bunch_crossing_that_does_not_exist() -> None:
    notes, _ = found(with_faults(77, 2))
    assert notes[0].startswith("f: word 78: BX_COUNTER: found ")
    assert "expected 0 to 3563" in notes[0]


@pytest.mark.parametrize("tdc", [0, 31])
@pytest.mark.parametrize("channel", [5, 138])
def test_fine_times_that_do_not_exist_are_named_but_for_event_numbers(tdc: int, channel: int) -> None:
    words = WORDS.copy()
    odd = slice(77, 7777, 100)
    keep = ~np.uint64(0x1F | 0x1FF << CHANNEL_SHIFT)
    words[odd] = words[odd] & keep | np.uint64(tdc | channel << CHANNEL_SHIFT)
    notes, repeated = found(words)
    assert repeated == 0
    if channel == 138:
        assert notes == []
    else:
        assert len(notes) == 1
        assert notes[0].startswith(
            f"f: word 78: TDC_MEAS: found {tdc}, expected 1 to 30; 77 of 12,000 hits that were looked at have "
        )


def test_rare_kinds_of_words_are_named() -> None:
    odd = WORDS.copy()
    odd[4000] ^= np.uint64(7 << 61)
    notes, _ = found(odd)
    assert notes == ["f: only 1 of 12,000 words have HEAD 5: word 4,001"]
