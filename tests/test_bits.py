from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.bits import (
    EIGHT,
    THIRTY_TWO,
    any_of_eight,
    bytes_between,
    eight_bytes,
    leading_zeros,
    popcount,
    trailing_zeros,
)
from muonstream.compiled import compiled


@compiled
def counts(value: np.uint64) -> tuple[int, int, int]:
    return popcount(value), leading_zeros(value), trailing_zeros(value)


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(2**64 - 1)
@example(2**63)
def test_bits_are_counted_as_in_the_number_written_out(value: int) -> None:
    text = f"{value:064b}"
    assert counts(np.uint64(value)) == (
        text.count("1"),
        64 - len(text.lstrip("0")),
        64 - len(text.rstrip("0")),
    )


@pytest.mark.parametrize("bit", range(64))
def test_every_single_bit_is_found(bit: int) -> None:
    assert counts(np.uint64(1 << bit)) == (1, 63 - bit, bit)


@compiled
def found(words: NDArray[np.uint64], first: np.uint64, shift: np.uint64, members: np.uint64) -> bool:
    return bool(any_of_eight(words, first, shift, members))


uint64s = st.integers(0, 2**64 - 1)


@given(
    st.lists(uint64s, min_size=EIGHT, max_size=3 * EIGHT),
    st.integers(0, 2 * EIGHT),
    st.integers(0, 63),
    st.one_of(uint64s, st.integers(0, 63).map(lambda bit: 1 << bit)),
)
def test_eight_numbers_are_looked_up_as_one_by_one(words: list[int], first: int, shift: int, members: int) -> None:
    first = min(first, len(words) - EIGHT)
    expected = any(members >> (word >> shift & 63) & 1 for word in words[first : first + EIGHT])
    assert found(np.array(words, np.uint64), np.uint64(first), np.uint64(shift), np.uint64(members)) == expected


@compiled
def looked_at(
    data: NDArray[np.uint8], first: np.uint64, low: np.uint64, high: np.uint64
) -> tuple[np.uint64, np.uint64]:
    return bytes_between(data, first, low, high), eight_bytes(data, first)


@given(st.binary(min_size=THIRTY_TWO, max_size=2 * THIRTY_TWO), st.data(), st.integers(0, 255), st.integers(0, 255))
def test_bytes_are_looked_at_as_one_by_one(data: bytes, drawn: st.DataObject, low: int, high: int) -> None:
    first = drawn.draw(st.integers(0, len(data) - THIRTY_TWO))
    low, high = sorted((low, high))
    found, eight = looked_at(np.frombuffer(data, np.uint8), np.uint64(first), np.uint64(low), np.uint64(high))
    assert found == sum((low <= data[first + i] <= high) << i for i in range(THIRTY_TWO))
    assert eight == int.from_bytes(data[first : first + 8], "little")
