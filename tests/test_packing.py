from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.packing import packed, unpacked


@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())),
    st.lists(st.lists(st.integers(0, 255), max_size=20), max_size=4),
    st.sampled_from([1, 8]),
)
def test_headers_and_arrays_come_back_each_where_it_belongs(
    header: dict[str, object], arrays: list[list[int]], alignment: int
) -> None:
    data = packed(header, [np.array(array, np.uint8) for array in arrays], alignment=alignment)
    found, rest = unpacked(data)
    assert found == header
    assert (len(data) - len(rest)) % alignment == 0
    at = 0
    for array in arrays:
        assert list(rest[at : at + len(array)]) == array
        at += -(-len(array) // alignment) * alignment
    assert at == len(rest)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "found 0 bytes, expected a header"),
        (struct.pack("<I", 9) + b"{}", "found 2 bytes, expected a header of 9"),
        (struct.pack("<I", 2) + b"[]", "found a header of type list, expected an object"),
        (struct.pack("<I", 2) + b"{x", "Expecting property name"),
        (struct.pack("<I", 2) + b"\xff\xff", "can't decode"),
    ],
)
def test_what_is_not_packed_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpacked(data)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        packed({"a": float("nan")}, [])
    assert json.loads(packed({"a": 1.5}, [])[4:]) == {"a": 1.5}
