from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.formats.binary import BinaryDecoder, Transfers
from muonstream.formats.binary_form import BinaryForm, Weight, decide_binary
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.words import Words, decode, encode
from tools.streams import IDLE_WORD, StreamConfig, as_dma, as_words, make_words

EXPECTED = Expected.of(Detector.default().channel_map())
WORDS = make_words(StreamConfig(words=2000, seed=8))


def decided(data: bytes, *, last: bool = True, expected: Expected = EXPECTED) -> BinaryForm:
    found = decide_binary(data, last=last, expected=expected)
    assert isinstance(found, BinaryForm), found
    return found


def test_plain_words_and_transfers() -> None:
    assert decided(as_words(WORDS)) == BinaryForm(
        decided(as_words(WORDS)).why, boards=0b11, transfers=None, aligned=True
    )
    assert decided(as_dma(WORDS)).transfers == Transfers(591)
    assert decided(as_dma(WORDS, 1000, 1)).transfers == Transfers(1000, 1)
    assert decided(as_dma(WORDS[:128])).transfers == Transfers(591)


@given(st.integers(1, 128))
def test_transfers_may_begin_in_the_middle_of_one(first: int) -> None:
    values = np.frombuffer(as_dma(WORDS), "<u8")[first:]
    decoder = BinaryDecoder("f", transfers=decided(as_words(values)).transfers)
    blocks = [decoder.feed(as_words(values)), decoder.feed(b"", last=True)]
    assert np.concatenate([block.words for block in blocks]).tolist() == WORDS[first - 1 :].tolist()


@pytest.mark.parametrize("shift", range(1, 8))
def test_words_off_a_multiple_of_8_bytes(shift: int) -> None:
    if shift == 4:  # the same as words whose halves are exchanged
        found = decide_binary(as_words(WORDS)[4:], last=True, expected=EXPECTED)
        assert isinstance(found, Refused)
        assert "halves are exchanged, or whose first half is missing" in found.reason
        return
    found = decided(as_words(WORDS)[shift:])
    assert not found.aligned
    assert f"{8 - shift} bytes off a multiple of 8" in found.why


@pytest.mark.parametrize("n", range(1, 16))
def test_a_few_words_are_enough_at_the_end_alone(n: int) -> None:
    data = as_words(WORDS[:n])
    assert decided(data).format == "words"
    if n < 12:
        assert isinstance(decide_binary(data, last=False, expected=EXPECTED), Undecided)


@given(st.integers(0, 2**63), st.integers(24, 4000))
def test_random_bytes_are_never_words(seed: int, n: int) -> None:
    """One word or two may be hits by chance, the first with a probability of 1 in 150."""
    assert not isinstance(decide_binary(np.random.default_rng(seed).bytes(n), last=True, expected=EXPECTED), BinaryForm)


def float_fields(words: Words, code: str) -> bytes:
    f = decode(words)
    return np.stack([f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc], axis=1).astype(code).tobytes()


@pytest.mark.parametrize(
    ("data", "resembles"),
    [
        (bytes(800), "only zeros or ones"),
        (b"\xff" * 800, "only zeros or ones"),
        (as_words(np.full(100, IDLE_WORD, np.uint64)), "idle words without any hit"),
        (WORDS.astype(">u8").tobytes(), "big-endian byte order"),
        (WORDS.astype("<u8").view("<u4").reshape(-1, 2)[:, ::-1].tobytes(), "halves are exchanged"),
        (float_fields(WORDS, "<f8"), "six 64-bit floats a hit"),
        (float_fields(WORDS, "<f4"), "six 32-bit floats a hit"),
        (float_fields(WORDS, "<i4"), "six 32-bit integers a hit"),
        (float_fields(WORDS, "<i8"), "six 64-bit integers a hit"),
        (as_words(encode(head=4, fpga=0, channel=range(200), orbit=range(200), bx=4000, tdc=0)), "without any hit"),
    ],
)
def test_what_is_not_words_is_named(data: bytes, resembles: str) -> None:
    found = decide_binary(data, last=True, expected=EXPECTED)
    if isinstance(found, Refused):
        assert resembles in found.reason
    else:
        assert isinstance(found, Undecided), found
        assert resembles in found.looks_like


def test_a_format_that_was_named() -> None:
    ancillary = as_words(encode(head=4, fpga=0, channel=1, orbit=range(200), bx=4000, tdc=0))
    found = decide_binary(ancillary, last=True, expected=EXPECTED, named="words")
    assert isinstance(found, BinaryForm)
    refused = decide_binary(as_words(WORDS), last=True, expected=EXPECTED, named="dma")
    assert isinstance(refused, Refused)
    assert isinstance(decide_binary(b"text" * 90, last=True, expected=EXPECTED, named="dma"), Refused)


def test_a_weight_counts_what_values_look_like() -> None:
    words = np.concatenate([np.full(5, IDLE_WORD, np.uint64), np.zeros(3, np.uint64), WORDS[:100]])
    weight = Weight.of(words, EXPECTED)
    assert (weight.values, weight.idle, weight.padding, weight.ancillary) == (108, 4, 3, 1)
    assert (weight.hits, weight.good, weight.known) == (100, 99, 100)
    assert (weight.boards, weight.first) == (0b11, 8)
    assert weight.telling == 101


def test_columns_of_numbers_one_after_another_are_not_words() -> None:
    fields = decode(WORDS[:1000])
    columns = (fields.head, fields.fpga, fields.channel, fields.orbit, fields.bx, fields.tdc)
    for code in ("<i8", "<i4", "<u2", ">i8"):
        data = np.stack([np.asarray(column) for column in columns]).astype(code).tobytes()
        found = decide_binary(data, last=True, expected=EXPECTED)
        assert isinstance(found, Undecided | Refused), (code, found)
