from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from decoding import fed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muonstream.formats.binary import BinaryDecoder, Transfers
from muonstream.formats.block import ByteAccount
from muonstream.formats.plausible import STEP_GOOD, STEP_WORDS
from muonstream.words import Words
from tools.streams import StreamConfig, as_dma, as_words, make_words

WORDS = make_words(StreamConfig(words=3000, seed=4, start=3_000_000_000))
MIXED = make_words(StreamConfig(words=3000, seed=6, ancillary=10))


def dma(run: int = 591, step: int = 0) -> BinaryDecoder:
    return BinaryDecoder("f", transfers=Transfers(run, step))


def everything(
    decoder: BinaryDecoder, data: bytes, cuts: list[int]
) -> tuple[list[int], ByteAccount, int, int, list[str]]:
    """Words, bytes, malformed, steps lost and lines of data that are fed in pieces."""
    edges = [0, *sorted(min(one, len(data)) for one in cuts), len(data)]
    blocks = [decoder.feed(data[a:b], last=b == len(data) and a != b) for a, b in pairwise(edges)]
    blocks.append(decoder.feed(b"", last=True))
    total = sum((block.bytes for block in blocks), ByteAccount())
    return (
        [word for block in blocks for word in block.words.tolist()],
        total,
        sum(block.malformed for block in blocks),
        sum(block.steps_lost for block in blocks),
        sorted(line for block in blocks for line in (*block.notes, *block.faults)),
    )


@given(st.sampled_from(["words", "dma"]), st.booleans(), st.lists(st.integers(0, 24_000), max_size=6))
def test_good_bytes_are_their_words_however_they_are_cut(form: str, mixed: bool, cuts: list[int]) -> None:
    words = MIXED if mixed else WORDS
    data = as_words(words) if form == "words" else as_dma(words)
    found, account, malformed, lost, lines = everything(BinaryDecoder("f") if form == "words" else dma(), data, cuts)
    assert found == words.tolist()
    assert (malformed, lost, lines) == (0, 0, [])
    assert account == ByteAccount(words=8 * len(words), run_words=len(data) - 8 * len(words))


def damaged(data: bytes, damages: list[tuple[float, str, int]]) -> bytes:
    """Data of which some bytes are lost, inserted, repeated, overwritten."""
    for place, what, n in damages:
        at = int(place * len(data))
        junk = np.random.default_rng(n).bytes(n)
        replaced = {
            "lose": (at + n, b""),
            "insert": (at, junk),
            "zeros": (at, bytes(n)),
            "repeat": (at, data[max(0, at - n) : at]),
            "overwrite": (at + n, junk),
        }
        end, between = replaced[what]
        data = data[:at] + between + data[end:]
    return data


DAMAGES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["lose", "insert", "zeros", "repeat", "overwrite"]),
        st.integers(1, 600) | st.integers(600, 9000),
    ),
    max_size=3,
)


@settings(max_examples=200)
@given(st.sampled_from(["words", "dma"]), st.booleans(), DAMAGES, st.lists(st.integers(0, 30_000), max_size=6))
@example("words", False, [(0.0, "lose", 1), (1.0, "repeat", 10)], [136])  # out of step at both ends
def test_damaged_bytes_decode_alike_however_they_are_cut_and_all_are_accounted_for(
    form: str, mixed: bool, damages: list[tuple[float, str, int]], cuts: list[int]
) -> None:
    words = MIXED if mixed else WORDS
    data = damaged(as_words(words) if form == "words" else as_dma(words), damages)
    transfers = Transfers(591) if form == "dma" else None
    whole = everything(BinaryDecoder("f", boards=3, transfers=transfers), data, [])
    assert whole[1].total == len(data)
    assert everything(BinaryDecoder("f", boards=3, transfers=transfers), data, cuts) == whole


def slow_resume(data: bytes, at: int) -> int:
    """The first byte from `at` on where 12 of 16 values, the first among them, are hits whose orbits are near."""
    for byte in range(at, len(data) - 8 * STEP_WORDS + 1):
        values = [int.from_bytes(data[byte + 8 * i : byte + 8 * i + 8], "little") for i in range(STEP_WORDS)]
        hits = [v for v in values if v >> 61 == 2 and (v >> 5) & 0xFFF < 3564]
        if len(hits) >= STEP_GOOD and hits[0] == values[0]:
            orbits = [(v >> 17) & 0xFFFFFFFF for v in hits]
            if all(abs(one - orbits[0]) < 100_000 for one in orbits):
                return byte
    return len(data)


@settings(max_examples=100)
@given(st.integers(200, 20_000), st.integers(1, 300), st.sampled_from(["lose", "insert"]))
@example(
    839, 8, "insert"
)  # whole words' worth of bytes inside a word: both ends of the torn one stand in a word's place
def test_words_begin_again_where_a_slow_search_finds_them(at: int, n: int, what: str) -> None:
    data = as_words(WORDS)
    junk = np.random.default_rng(at).bytes(n)
    broken = data[:at] + (data[at + n :] if what == "lose" else junk + data[at:])
    found, account, malformed, lost, lines = everything(BinaryDecoder("f", boards=3), broken, [])
    assert account.total == len(broken)
    if n % 8 == 0 and what == "lose" and at % 8 == 0:
        assert lost == malformed == 0
        return
    # a torn word may pass for a hit in step: the first one that is whole is what must be there
    whole = at + n + -at % 8 if what == "insert" else at + -(at + n) % 8
    resumed = max(slow_resume(broken, at // 8 * 8), whole)
    expected = WORDS[len(WORDS) - (len(broken) - resumed) // 8 :].tolist()
    assert found[1 - len(expected) :] == expected[1:]  # the first may be a word with an end of another one
    assert found[: at // 8 - 1] == WORDS[: at // 8 - 1].tolist()
    assert lost == 1 or n % 8 == 0
    if lost:
        places = [f"up to byte {byte:,}, where words begin again" for byte in range(resumed - 8, resumed + 25, 8)]
        assert what == "insert" or any(place in lines[0] for place in places)


@pytest.mark.parametrize("more", range(1, 8))
def test_bytes_left_at_the_end_are_one_malformed_word(more: int) -> None:
    words, malformed, faults = fed(BinaryDecoder("f"), as_words(WORDS) + b"x" * more, [5, 77])
    assert (words, malformed) == (WORDS.tolist(), 1)
    plural = "s" if more > 1 else ""
    assert faults == [f"f: byte {8 * len(WORDS):,}: found {more} byte{plural} at the end, expected whole words of 8"]


def test_a_broken_end_is_reported_once() -> None:
    decoder = BinaryDecoder("f")
    decoder.feed(b"abc")
    assert decoder.feed(b"", last=True).malformed == 1
    assert decoder.feed(b"", last=True).malformed == 0


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_padding_is_counted_as_malformed_and_its_place_noted(value: int) -> None:
    words = np.insert(WORDS, 1000, np.full(70, value, np.uint64))
    found, account, malformed, lost, lines = everything(BinaryDecoder("f"), as_words(words), [8100, 8200])
    assert (found, malformed, lost) == (WORDS.tolist(), 70, 0)
    assert account == ByteAccount(words=8 * len(WORDS), padding=560)
    what = "ones (0xffffffffffffffff)" if value else "zeros (0x0)"
    assert lines == [f"f: byte 8,000: 70 words of all {what}, counted as malformed (padding)"]


@pytest.mark.parametrize("lost_words", [1, 8, 120])
def test_a_short_transfer_loses_no_other_word(lost_words: int) -> None:
    values = np.frombuffer(as_dma(WORDS), "<u8")
    first = 129 * 10 + 4
    cut = np.delete(values, np.arange(first, first + lost_words))
    found, account, _, lost, lines = everything(dma(), as_words(cut), [333, 10_500])
    assert found == np.delete(WORDS, np.arange(1283, 1283 + lost_words)).tolist()
    assert account.run_words == 8 * 24
    assert lost == 1
    assert f"found the run word after a transfer of {128 - lost_words} words, expected 128" in lines[0]


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(1, 20))
def test_a_run_word_that_changes_is_noted(run: int, other: int, at: int) -> None:
    if run == other or not run:
        return
    values = np.frombuffer(as_dma(WORDS, run), "<u8").copy()
    values[129 * at :: 129] = other
    found, _, malformed, lost, lines = everything(dma(run), as_words(values), [])
    assert found == WORDS.tolist()
    assert malformed == lost == 0
    assert lines == [f"f: byte {8 * 129 * at:,}: the run word changes from {run} to {other}"]


def test_run_words_may_count() -> None:
    found, account, _, lost, lines = everything(dma(1000, 1), as_dma(WORDS, 1000, 1), [])
    assert (found, account.run_words, lost, lines) == (WORDS.tolist(), 8 * 24, 0, [])


def test_transfers_say_where_the_stream_stands() -> None:
    decoder = dma()
    assert decoder.transfers == Transfers(591)
    decoder.feed(as_dma(WORDS)[: 8 * 140])
    assert decoder.transfers == Transfers(591, 0, 10)
    assert BinaryDecoder("f").transfers is None


def test_words_are_a_view_of_the_bytes_where_nothing_lies_between() -> None:
    data = as_words(WORDS)
    block = BinaryDecoder("f").feed(data, last=True)
    words: Words = block.words
    assert np.shares_memory(words, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("size", [8, 40, 56])
def test_text_between_words_is_named_with_its_place(size: int) -> None:
    text = b"2026-11-30 00:01:02 INFO run 591 started, HV is at 3550 V"[:size]
    data = as_words(WORDS)
    found, account, malformed, lost, lines = everything(BinaryDecoder("f"), data[:8000] + text + data[8000:], [8100])
    assert (malformed, lost, account.total) == (0, 0, len(data) + size)
    assert [word for word in found if word in set(WORDS.tolist())] == WORDS.tolist()
    assert lines[0].startswith("f: byte 8,000: ")
    assert "that no known firmware sends, the first 0x2d31312d36323032, which is text: '2026-11-'" in lines[0]
