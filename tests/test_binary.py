from __future__ import annotations

import numpy as np
import pytest
from decoding import WORDS, fed
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.binary import DMA_WORDS, DmaDecoder, WordDecoder
from muonstream.formats.recognise import Format, recognise


def test_dma_transfers_lose_their_run_words() -> None:
    transfers = np.insert(WORDS[:1280].reshape(10, 128), 0, 591, axis=1).astype("<u8").tobytes()
    assert recognise(transfers, "f") is Format.DMA
    assert fed(DmaDecoder("f"), transfers, [5, 1033, 4000]) == (WORDS[:1280].tolist(), 0, [])


def cut(data: bytes, cuts: list[int]) -> list[int]:
    return [one for one in cuts if one < len(data)]


@given(st.integers(0, 20), st.integers(0, 7), st.lists(st.integers(0, 167), max_size=6))
def test_bytes_left_at_the_end_are_one_malformed_word(n: int, more: int, cuts: list[int]) -> None:
    data = WORDS[:n].astype("<u8").tobytes() + b"x" * more
    words, malformed, faults = fed(WordDecoder("f"), data, cut(data, cuts))
    assert words == WORDS[:n].tolist()
    assert malformed == len(faults) == bool(more)
    if more:
        assert faults == [
            f"f: byte {8 * n}: found {more} byte{'s' if more > 1 else ''} at the end, allowed are whole words of 8"
        ]


@given(st.integers(0, 400), st.lists(st.integers(0, 3300), max_size=6))
def test_run_words_are_left_out_wherever_the_data_are_cut(n: int, cuts: list[int]) -> None:
    words = WORDS[:n].copy()
    words[::DMA_WORDS] = 591
    data = words.astype("<u8").tobytes()
    decoder = DmaDecoder("f")
    found, malformed, _ = fed(decoder, data, cut(data, cuts))
    assert found == np.delete(words, np.arange(0, n, DMA_WORDS)).tolist()
    assert malformed == 0
    assert decoder.run_word == (591 if n else None)


def test_the_run_word_is_the_first_transfers() -> None:
    decoder = DmaDecoder("f")
    fed(decoder, np.arange(3 * DMA_WORDS, dtype="<u8").tobytes())
    assert decoder.run_word == 0


@pytest.mark.parametrize("make", [WordDecoder, DmaDecoder])
def test_a_broken_end_is_said_once(make: type[WordDecoder | DmaDecoder]) -> None:
    decoder = make("f")
    decoder.feed(b"abc")
    assert decoder.feed(b"", last=True).malformed == 1
    assert decoder.feed(b"", last=True).malformed == 0
