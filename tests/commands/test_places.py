"""The byte of a word: exact in binary words, near in text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muonstream.commands.places import Places
from muonstream.formats.block import NO_BYTES, ByteAccount


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([0, 8, 1032])), min_size=1, max_size=20), st.data())
def test_words_of_eight_bytes_have_exact_places(blocks: list[tuple[int, int]], data: st.DataObject) -> None:
    places = Places()
    truth: list[int] = []
    byte = 0
    for words, passed_over in blocks:
        places.add(words, ByteAccount(words=8 * words))
        truth += range(byte, byte + 8 * words, 8)
        places.add(0, ByteAccount(passed_over=passed_over))
        byte += 8 * words + passed_over
    if truth:
        word = data.draw(st.integers(0, len(truth) - 1))
        assert places.byte(word) == (truth[word], True)
        assert places.text(word) == f"word {word + 1:,} (byte {truth[word]:,})"


def test_other_bytes_have_places_by_even_shares() -> None:
    places = Places()
    places.add(100, ByteAccount(words=2000, headers=100))
    places.add(100, ByteAccount(words=2500))
    assert places.text(50) == "word 51 (about byte 1,050)"
    assert places.text(150) == "word 151 (about byte 3,350)"


def test_where_bytes_are_not_counted_a_place_is_a_word() -> None:
    places = Places()
    assert places.text(0) == "word 1"
    places.add(10, NO_BYTES)
    assert places.text(3) == "word 4"
