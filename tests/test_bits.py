from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muonstream.bits import leading_zeros, popcount, trailing_zeros
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
