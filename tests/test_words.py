from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.words import decode, encode, time_tdc

LIMITS = {"head": 7, "fpga": 7, "channel": 511, "orbit": 2**32 - 1, "bx": 4095, "tdc": 31}


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_decoding_and_encoding_give_the_same_words(values: list[int]) -> None:
    words = np.array(values, dtype=np.uint64)
    f = decode(words)
    again = encode(head=f.head, fpga=f.fpga, channel=f.channel, orbit=f.orbit, bx=f.bx, tdc=f.tdc)
    np.testing.assert_array_equal(again, words)


@given(st.fixed_dictionaries({key: st.integers(0, limit) for key, limit in LIMITS.items()}))
def test_fields_lie_where_the_firmware_puts_them(values: dict[str, int]) -> None:
    word = int(encode(**values))
    shifts = {"tdc": 0, "bx": 5, "orbit": 17, "channel": 49, "fpga": 58, "head": 61}
    assert word == sum(values[key] << shift for key, shift in shifts.items())
    assert int(time_tdc(np.array([word], np.uint64))[0]) == (
        (values["orbit"] * 3564 + values["bx"]) * 30 + values["tdc"]
    )


@pytest.mark.parametrize(("key", "limit"), LIMITS.items())
@pytest.mark.parametrize("beyond", [True, False])
def test_values_that_do_not_fit_are_named(key: str, limit: int, beyond: bool) -> None:
    bad = limit + 1 if beyond else -1
    values = dict.fromkeys(LIMITS, 0) | {key: bad}
    with pytest.raises(ValueError, match=f"{key}: found {bad}, expected 0 to {limit}"):
        encode(**values)
