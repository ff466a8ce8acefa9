from __future__ import annotations

import numpy as np
import pytest

from muonstream.formats.jumps import DENSE_WORDS, Jumps
from muonstream.formats.notes import Notes
from muonstream.words import CHANNEL_SHIFT, ORBIT_MASK, ORBIT_SHIFT, Words
from tools.streams import StreamConfig, make_words


def notes_of(words: Words, cut: int = 1 << 20, *, parts: int = 0) -> list[str]:
    """The notes on words that come in pieces of `cut`; the second input begins at word `parts`."""
    notes = Notes("a")
    jumps = Jumps(notes)
    for name, some in (("a", words[: parts or None]), ("b", words[parts:] if parts else words[:0])):
        for at in range(0, len(some), cut):
            jumps.see(some[at : at + cut], name)
    return notes.finish()


def orbits_of(words: Words) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return (words >> np.uint64(ORBIT_SHIFT)).astype(np.int64) & ORBIT_MASK


@pytest.mark.parametrize("boards", [1, 2, 4])
@pytest.mark.parametrize("ancillary", [0, 3])
@pytest.mark.parametrize("cut", [100, 777, 1 << 20])
def test_a_gap_and_a_reset_are_found_where_they_are(boards: int, ancillary: int, cut: int) -> None:
    words = make_words(StreamConfig(words=6000, seed=2, boards=boards, gap_s=5.0, ancillary=ancillary))
    [note] = notes_of(words, cut)
    assert ": a gap of 5.0 s, from orbit 1,0" in note
    place = int(note.split("word ")[1].split(":")[0].replace(",", "")) - 1
    jump = int(np.argmax(np.diff(orbits_of(words)[: len(words)]))) + 1 if not ancillary else place
    assert abs(place - jump) <= 16  # packets of boards around it
    words = make_words(StreamConfig(words=30_000, seed=2, boards=boards, resets=1, ancillary=ancillary, rate_hz=2000))
    [note] = notes_of(words, cut)
    assert " fall from about 1,0" in note
    assert "as at a counter reset" in note
    place = int(note.split("word ")[1].split(":")[0].replace(",", "")) - 1
    assert abs(place - len(words) // 2) <= 16 or ancillary


@pytest.mark.parametrize("cut", [100, 5000])
def test_a_jump_is_named_by_its_input_and_the_word_in_it(cut: int) -> None:
    words = make_words(StreamConfig(words=6000, seed=2, gap_s=5.0))
    [note] = notes_of(words, cut, parts=2000)
    [whole] = notes_of(words)
    number = int(whole.split("word ")[1].split(":")[0].replace(",", ""))
    assert note.startswith(f"b: word {number - 2000:,}: a gap of 5.0 s")


@pytest.mark.parametrize("rate_hz", [3.0, 100.0, 5000.0, 1e6])
@pytest.mark.parametrize("packet", [1, 4, 500])
def test_steady_streams_have_no_jumps(rate_hz: float, packet: int) -> None:
    assert notes_of(make_words(StreamConfig(words=20_000, seed=4, rate_hz=rate_hz, packet=packet))) == []


@pytest.mark.parametrize("boards", [1, 4])
@pytest.mark.parametrize("cut", [7777, 1 << 20])
def test_far_into_a_run_jumps_are_still_found_where_they_are(boards: int, cut: int) -> None:
    words = make_words(StreamConfig(words=3 * DENSE_WORDS, seed=2, boards=boards, gap_s=5.0))
    [note] = notes_of(words, cut)
    jump = int(np.argmax(np.diff(orbits_of(words)))) + 1
    assert jump > DENSE_WORDS
    place = int(note.split("word ")[1].split(":")[0].replace(",", "")) - 1
    assert abs(place - jump) <= 16
    words = make_words(StreamConfig(words=3 * DENSE_WORDS, seed=2, boards=boards, resets=1, rate_hz=5e4))
    [note] = notes_of(words, cut)
    place = int(note.split("word ")[1].split(":")[0].replace(",", "")) - 1
    assert abs(place - len(words) // 2) <= 16


@pytest.mark.parametrize("rate_hz", [3.0, 5000.0])
def test_steady_streams_have_no_jumps_far_into_a_run(rate_hz: float) -> None:
    assert notes_of(make_words(StreamConfig(words=2 * DENSE_WORDS, seed=4, rate_hz=rate_hz, packet=4))) == []


def test_wild_orbits_are_no_jumps() -> None:
    words = make_words(StreamConfig(words=20_000, seed=4)).copy()
    words[::700] ^= np.uint64(1 << (ORBIT_SHIFT + 28))
    assert notes_of(words) == []


def order_notes(words: Words, cut: int) -> list[str]:
    notes = Notes("a")
    jumps = Jumps(notes)
    for at in range(0, len(words), cut):
        jumps.see(words[at : at + cut], "a")
    jumps.conclude()
    return [note for note in notes.finish() if "sort them by ORBIT_CNT" in note]


@pytest.mark.parametrize("cut", [100, 1 << 20])
@pytest.mark.parametrize("boards", [1, 2])
def test_an_order_that_is_not_that_of_time_is_noted(boards: int, cut: int) -> None:
    words = make_words(StreamConfig(words=4000, seed=6, boards=boards))
    [note] = order_notes(words[::-1], cut)
    assert note.startswith("a: words are in reverse order")
    [note] = order_notes(words[np.argsort(words >> np.uint64(CHANNEL_SHIFT), kind="stable")], cut)
    assert note.startswith("a: words are sorted by channel")


@pytest.mark.parametrize("rate_hz", [0.2, 5000, 1e6])
def test_the_order_of_a_stream_is_that_of_time(rate_hz: float) -> None:
    words = make_words(StreamConfig(words=6000, seed=6, rate_hz=rate_hz))
    assert not order_notes(words, 1 << 20)
    assert not order_notes(np.concatenate([words[3000:], words[:3000]]), 1 << 20)
    assert not order_notes(np.repeat(words[:1], 5000), 1 << 20)
