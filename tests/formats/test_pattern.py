from __future__ import annotations

import numpy as np
import pytest

from muonstream.formats.block import Block
from muonstream.formats.content import ContentCheck
from muonstream.words import Head, Words, decode, encode
from tools.streams import StreamConfig, make_words

N = 1200
WORDS = make_words(StreamConfig(words=N, seed=3))
TIMES = np.uint64(1_790_000_000_000_000) + np.cumsum(np.random.default_rng(3).integers(1, 400, N)).astype(np.uint64)
OTHERS = {
    "a time in us": TIMES,
    "a time in ticks of 160 MHz": TIMES * np.uint64(160),
    "a counter": np.uint64(1 << 40) + np.arange(N, dtype=np.uint64),
    "a marker": np.full(N, 0x0123456789ABCDEF, np.uint64),
    "a number of the source, and a length": np.full(N, 1 << 32 | 8, np.uint64),
}


def notes_on(words: Words, *, step: int = 10**9) -> list[str]:
    """The notes on words that come in pieces of so many."""
    check, block = ContentCheck("f"), Block()
    for at in range(0, len(words), step):
        check.see(words[at : at + step])
    check.into(block, last=True)
    return [note for note in block.notes if "ancillary" in note]


def t0_words(words: Words, ahead: int) -> Words:
    """Times of triggers as one board sends them on one channel, with their orbits so far ahead."""
    f = decode(words)
    same = np.zeros(len(words), np.int64)
    orbit = f.orbit.astype(np.int64) + ahead
    return encode(head=same + Head.TRIGGER_T0, fpga=same, channel=same + 3, orbit=orbit, bx=f.bx, tdc=f.tdc)


@pytest.mark.parametrize("what", OTHERS)
def test_a_word_of_another_program_in_front_of_each_hit_is_named(what: str) -> None:
    words = np.stack([OTHERS[what], WORDS], axis=1).ravel()
    (note,) = notes_on(words)
    first = f"the first {int(OTHERS[what][0]):#018x}: probably a time"
    assert note.startswith(f"f: 1,200 words that are not hits, 1 for each hit, {first}")
    assert notes_on(words, step=37) == [note]


def test_two_of_them_and_one_behind_each_hit_are_named_too() -> None:
    times, marker = OTHERS["a time in us"], OTHERS["a marker"]
    (two,) = notes_on(np.stack([times, marker, WORDS], axis=1).ravel())
    assert two.startswith("f: 2,400 words that are not hits, 2 for each hit")
    (behind,) = notes_on(np.stack([WORDS, times], axis=1).ravel())
    assert behind.startswith("f: 1,200 words that are not hits, 1 for each hit")


@pytest.mark.parametrize(("what", "says"), [("a time in us", "that rise from"), ("a marker", "that are all 0x0123")])
def test_a_header_in_front_of_packets_of_any_length_is_named(what: str, says: str) -> None:
    where = np.unique(np.random.default_rng(4).integers(0, N, 150))
    (note,) = notes_on(np.insert(WORDS, where, OTHERS[what][where]))
    assert f"the first of {len(where):,} words between hits {says}" in note


@pytest.mark.parametrize("ancillary", [1, 2, 4, 10])
@pytest.mark.parametrize("packet", [1, 4, 64])
def test_ancillary_words_are_not_taken_for_such(ancillary: int, packet: int) -> None:
    assert notes_on(make_words(StreamConfig(words=4000, ancillary=ancillary, packet=packet))) == []


@pytest.mark.parametrize("each", [2, 4, 9])
@pytest.mark.parametrize("resets", [0, 3])
def test_times_of_triggers_that_rise_with_the_hits_are_not_taken_for_such(each: int, resets: int) -> None:
    words = make_words(StreamConfig(words=4000, boards=1, resets=resets))
    where = np.arange(0, len(words), each)
    assert notes_on(np.insert(words, where, t0_words(words[where], 120_000))) == []
