from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.plausible import (
    AHEAD,
    ANCILLARY,
    BACK,
    BAD,
    CHUNK,
    FALL,
    FAR,
    FELL,
    GOOD,
    IDLE,
    ODD,
    PADDING,
    REPEATED,
    STEP_GOOD,
    STEP_WORDS,
    find_step,
    flag_chunks,
    good_hits,
    kind_of,
)
from muonstream.words import Words, encode
from tools.streams import StreamConfig, make_words

ONES = 0xFFFFFFFFFFFFFFFF
MIDDLE = 2_000_000_000


def hit(orbit: int, *, bx: int = 5, head: int = 2) -> int:
    return int(encode(head=head, fpga=1, channel=7, orbit=orbit, bx=bx, tdc=3))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (0, PADDING),
        (ONES, PADDING),
        (hit(MIDDLE), GOOD),
        (hit(MIDDLE - BACK), GOOD),
        (hit(MIDDLE - BACK - 1), FAR),
        (hit(MIDDLE + AHEAD), GOOD),
        (hit(MIDDLE + AHEAD + 1), FAR),
        (hit(77), GOOD),
        (hit(MIDDLE, bx=3564), BAD),
        (hit(1, head=5), ANCILLARY),
        (hit(1, head=6), BAD),
        (hit(1, head=1), IDLE),
        (int(encode(head=4, fpga=3, channel=1, orbit=1, bx=1, tdc=1)), BAD),
    ],
)
def test_each_kind_of_word(word: int, kind: int) -> None:
    previous = np.uint64(hit(1, head=1))
    assert kind_of(np.uint64(word), previous, MIDDLE, 77, 0b11) == kind


def slow_flags(words: Words, before: int) -> list[int]:
    """What `flag_chunks` must give, word by word."""
    flags, values = [], [before, *words.tolist()]
    for chunk in range(len(words) // CHUNK):
        flag = 0
        for i in range(chunk * CHUNK + 1, (chunk + 1) * CHUNK + 1):
            word, previous = values[i], values[i - 1]
            orbit, earlier = (word >> 17) & 0xFFFFFFFF, (previous >> 17) & 0xFFFFFFFF
            good = word >> 61 == 2 and (word >> 5) & 0xFFF < 3564 and -BACK <= orbit - earlier <= AHEAD
            flag |= ODD * (not good) | REPEATED * (word == previous) | FELL * (orbit < earlier - FALL)
        flags.append(flag)
    return flags


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 4 * CHUNK - 1), st.integers(0, 5), st.integers(0, 2**64 - 1)), max_size=6),
    st.integers(0, 300),
)
def test_flags_of_chunks_are_those_of_their_words(
    start: int, changes: list[tuple[int, int, int]], shorter: int
) -> None:
    n = 4 * CHUNK
    orbit = (start + np.arange(n) * 3) & 0xFFFFFFFF
    words = encode(fpga=0, channel=9, orbit=orbit, bx=np.arange(n) % 3564, tdc=1)
    for at, how, value in changes:
        changed = [value, ONES, 0, int(words[at - 1]), hit(value & 0xFFFFFFFF), int(words[at]) ^ (1 << value % 64)]
        words[at] = np.uint64(changed[how])
    words = words[: n - shorter]
    before = np.uint64(hit(max(0, int(orbit[0]) - 1)))
    flags = np.empty(len(words) // CHUNK, np.uint8)
    assert flag_chunks(words, before, flags) == len(words) // CHUNK
    assert flags.tolist() == slow_flags(words, int(before))


@given(st.integers(0, 200), st.binary(max_size=120), st.integers(1, 40))
def test_a_step_is_found_at_its_first_byte(seed: int, garbage: bytes, n: int) -> None:
    words = make_words(StreamConfig(words=STEP_WORDS + n, seed=seed))
    garbage = bytes(0xFF if byte == 0x40 else byte for byte in garbage)
    data = garbage + words.astype("<u8").tobytes()
    found = find_step(np.frombuffer(data, np.uint8), 0, len(data), 0xFF, False)
    assert len(garbage) - 8 * (STEP_WORDS - STEP_GOOD) <= found <= len(garbage)
    assert find_step(np.frombuffer(data, np.uint8), 0, 8 * STEP_WORDS - 1, 0xFF, False) == -1


@given(st.binary(min_size=200, max_size=2000))
def test_bytes_of_no_words_have_no_step(data: bytes) -> None:
    text = bytes(byte & 0x3F for byte in data)  # no HEAD 2 anywhere
    assert find_step(np.frombuffer(text, np.uint8), 0, len(text), 0xFF, False) == -1


def test_good_hits_are_those_near_the_hit_before() -> None:
    words = make_words(StreamConfig(words=100, ancillary=10))
    hits = int(np.count_nonzero(words >> np.uint64(61) == 2))
    assert good_hits(words) == hits - 1
    assert good_hits(np.array([hit(5), hit(5 + AHEAD), hit(5), 0, hit(6)], np.uint64)) == 2
