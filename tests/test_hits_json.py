from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from decoding import fed
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import FAULTS_KEPT
from muonstream.formats.hits_json import JsonDecoder, word_of_object, words_of_objects
from muonstream.formats.rows import COLUMNS, HIGHEST
from muonstream.words import encode


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1,"TDC_MEAS":"3"}', "TDC_MEAS: found '3'"),
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1,"TDC_MEAS":NaN}', "NaN is no number"),
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1.5,"TDC_MEAS":3}', "BX_COUNTER: found 1.5"),
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"TDC_MEAS":3}', "BX_COUNTER: found nothing"),
        ("[1]", "found a list, allowed is an object"),
        ("{", "no JSON"),
    ],
)
def test_bad_objects_say_why(text: str, reason: str) -> None:
    words, malformed, faults = fed(JsonDecoder("f"), text.encode())
    assert (words, malformed) == ([], 1)
    assert reason in faults[0]


def test_whole_floats_and_any_order_of_keys_are_words() -> None:
    text = b'{"TDC_MEAS": 3.0, "HEAD":2, "ORBIT_CNT":4294967295,"FPGA":1 ,"BX_COUNTER":3563,"TDC_CHANNEL":128}\n'
    words, malformed, _ = fed(JsonDecoder("f"), text)
    assert words == encode(fpga=1, channel=[128], orbit=2**32 - 1, bx=3563, tdc=3).tolist()
    assert malformed == 0


GOOD = {"HEAD": 2, "FPGA": 1, "TDC_CHANNEL": 17, "ORBIT_CNT": 123456, "BX_COUNTER": 3563, "TDC_MEAS": 30}
BAD_VALUES = ["1e999", "-1e999", "-1", "0.5", "true", "null", '"3"', "[]", "{}", "1" + "0" * 400, "NaN", "Infinity"]


def text_of(values: dict[str, Any]) -> str:
    """An object whose values are put in as they are."""
    return "{" + ",".join(f'"{key}":{value}' for key, value in values.items()) + "}"


def both(text: bytes) -> tuple[list[int], list[int], int]:
    """The words of a text by the scanner, and by the standard parser; and how many faults the scanner had."""
    data = np.frombuffer(text, np.uint8)
    words, faults, n_faults = words_of_objects(data, np.array([0]), np.array([len(text)]))
    assert len(faults) == n_faults
    try:
        expected = [word_of_object(text)] if text.strip() else []
    except ValueError:
        expected = []
    return words.tolist(), expected, n_faults


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """Objects of hits in any order and spacing, some a little damaged."""
    keys = draw(st.permutations(COLUMNS))
    highest = dict(zip(COLUMNS, HIGHEST, strict=True))
    blank = st.sampled_from(["", "", " ", "\t", "\r"])
    pairs = []
    for key in keys:
        value = draw(st.one_of(st.just(2), st.integers(0, highest[key]), st.sampled_from([highest[key], "01", 2.0])))
        pairs.append(f'{draw(blank)}"{key}"{draw(blank)}:{draw(blank)}{value}{draw(blank)}')
    text = f"{draw(blank)}{{{','.join(pairs)}}}{draw(blank)}".encode()
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        new = draw(st.sampled_from([b"", b",", b'"', b"{", b"}", b":", b"0", b"9", b"-", b".", b"e", b"x", b"\xff"]))
        text = text[:at] + new + text[at + draw(st.integers(0, 1)) :]
    return text


@given(objects())
def test_the_scanner_says_what_the_standard_parser_says(text: bytes) -> None:
    words, expected, n_faults = both(text)
    assert words == expected
    assert n_faults == bool(text.strip()) - len(expected)


@pytest.mark.parametrize("key", COLUMNS)
@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_that_is_no_whole_number_in_range_is_named(key: str, value: str) -> None:
    text = text_of({**GOOD, key: value})
    words, malformed, [fault] = fed(JsonDecoder("f"), text.encode())
    assert (words, malformed) == ([], 1)
    assert fault.startswith(("f:1: no JSON: ", f"f:1: {key}: found "))
    assert len(fault) < 300


@pytest.mark.parametrize("key", ["TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS"])
@pytest.mark.parametrize("value", ["-0.5", "1e999", "-1e300", "99999999999"])
def test_ancillary_objects_may_hold_any_number(key: str, value: str) -> None:
    words, malformed, _ = fed(JsonDecoder("f"), text_of({**GOOD, "HEAD": 4, key: value}).encode())
    assert (len(words), malformed) == (1, 0)
    assert words[0] >> 58 == 4 << 3 | 1


def test_lines_are_told_by_their_numbers_and_empty_ones_are_no_objects() -> None:
    good = json.dumps(GOOD)
    words, malformed, faults = fed(JsonDecoder("f"), f"\n{good}\n  \r\n[]\n{good}\n{{".encode(), [3, 40, 170])
    assert words == [word_of_object(good.encode())] * 2
    assert malformed == 2
    assert [fault.split(": ")[0] for fault in faults] == ["f:4", "f:6"]


def test_words_keep_their_order_whoever_parsed_them() -> None:
    lines = [text_of({**GOOD, "TDC_MEAS": tdc, **({"MORE": "[1]"} if tdc % 3 == 0 else {})}) for tdc in range(20)]
    words, malformed, _ = fed(JsonDecoder("f"), "\n".join(lines).encode())
    assert [word & 31 for word in words] == list(range(20))
    assert malformed == 0


def test_all_faults_are_counted_and_the_first_described() -> None:
    _, malformed, faults = fed(JsonDecoder("f"), b"[]\n" * (FAULTS_KEPT + 5))
    assert (malformed, len(faults)) == (FAULTS_KEPT + 5, FAULTS_KEPT)


def test_no_bytes_are_no_words() -> None:
    assert fed(JsonDecoder("f"), b"") == ([], 0, [])
    assert fed(JsonDecoder("f"), b"\n\n") == ([], 0, [])


def test_depth_without_end_is_no_json() -> None:
    _, malformed, [fault] = fed(JsonDecoder("f"), b"[" * 200_000)
    assert malformed == 1
    assert fault.startswith("f:1: no JSON")
