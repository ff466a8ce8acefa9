from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from decoded import decoded
from decoding import fed
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import FAULTS_KEPT
from muonstream.formats.encoding import Encoding
from muonstream.formats.hits_json import JsonDecoder, word_of_loose_object
from muonstream.formats.rows import COLUMNS, HIGHEST, LONGEST_ROW
from muonstream.words import encode
from tools.streams import WRITERS, StreamConfig, make_words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1,"TDC_MEAS":"3a"}', "TDC_MEAS: found '3a'"),
        (
            '{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1,"TDC_MEAS":NaN}',
            "TDC_MEAS: found NaN, expected whole numbers from 0 to 31",
        ),
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"BX_COUNTER":1.5,"TDC_MEAS":3}', "BX_COUNTER: found 1.5"),
        ('{"HEAD":2,"FPGA":0,"TDC_CHANNEL":1,"ORBIT_CNT":1,"TDC_MEAS":3}', "BX_COUNTER: found nothing"),
        ("[1]", "found a list, expected an object"),
        ("{", "found '{', expected a JSON object"),
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
BAD_VALUES = [
    "1e999",
    "-1e999",
    "-1",
    "0.5",
    "true",
    "null",
    '"x"',
    '"-3"',
    '"2.5"',
    "[]",
    "{}",
    "1" + "0" * 400,
    "NaN",
    "Infinity",
]


def text_of(values: dict[str, Any]) -> str:
    """An object whose values are put in as they are."""
    return "{" + ",".join(f'"{key}":{value}' for key, value in values.items()) + "}"


@pytest.mark.parametrize("key", COLUMNS)
@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_that_is_no_whole_number_in_range_is_named(key: str, value: str) -> None:
    text = text_of({**GOOD, key: value})
    words, malformed, [fault] = fed(JsonDecoder("f"), text.encode())
    assert (words, malformed) == ([], 1)
    assert fault.startswith(("f:1: found '{", f"f:1: {key}: found "))
    assert len(fault) < 300


@pytest.mark.parametrize("key", ["TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS"])
@pytest.mark.parametrize("value", ["-0.5", "1e999", "-1e300", "99999999999"])
def test_ancillary_objects_may_hold_any_number(key: str, value: str) -> None:
    words, malformed, _ = fed(JsonDecoder("f"), text_of({**GOOD, "HEAD": 4, key: value}).encode())
    assert (len(words), malformed) == (1, 0)
    assert words[0] >> 58 == 4 << 3 | 1


def test_lines_are_told_by_their_numbers_and_empty_ones_are_no_objects() -> None:
    good = json.dumps(GOOD)
    words, malformed, faults = fed(JsonDecoder("f"), f"\n{good}\n  \r\n[1]\n{good}\n{{".encode(), [3, 40, 170])
    assert words == [word_of_loose_object(good.encode())[0]] * 2
    assert malformed == 2
    assert [fault.split(": ")[0] for fault in faults] == ["f:4", "f:6"]


def test_words_keep_their_order_whoever_parsed_them() -> None:
    lines = [text_of({**GOOD, "TDC_MEAS": tdc, **({"MORE": "[1]"} if tdc % 3 == 0 else {})}) for tdc in range(20)]
    words, malformed, _ = fed(JsonDecoder("f"), "\n".join(lines).encode())
    assert [word & 31 for word in words] == list(range(20))
    assert malformed == 0


def test_all_faults_are_counted_and_the_first_described() -> None:
    _, malformed, faults = fed(JsonDecoder("f"), b"[1]\n" * (FAULTS_KEPT + 5))
    assert (malformed, len(faults)) == (FAULTS_KEPT + 5, FAULTS_KEPT)


def test_no_bytes_are_no_words() -> None:
    assert fed(JsonDecoder("f"), b"") == ([], 0, [])
    assert fed(JsonDecoder("f"), b"\n\n") == ([], 0, [])


def test_depth_without_end_is_one_fault() -> None:
    _, malformed, [fault] = fed(JsonDecoder("f"), b"[" * 200_000)
    assert malformed == 1
    assert fault == "f:1: found more than 65,536 bytes, expected a JSON object"


values = st.tuples(st.just(2), *(st.integers(0, high) for high in HIGHEST[1:]))
notations = st.sampled_from(["{}", "{}.0", "{}e0", '"{}"', '"{}.0"', '" {} "', '"+{}"', '"00{}"'])
separators = st.sampled_from(["\n", "\r\n", "\r", " ", "", ",", ",\n", "]\n[", "\n\n", "\n# note\n", "\x1e", "\0\0\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """A stream of objects as a program may write it, and the words that they are."""
    notation, quote = draw(notations), draw(st.sampled_from(['"', '"', "'"]))
    change = draw(st.sampled_from([str.upper, str.lower, str.title]))
    indent = draw(st.sampled_from([None, 1, 2]))
    more = draw(st.sampled_from([{}, {}, {"run": [1, {"x": "}"}], "at": "a, b"}]))
    separator = draw(separators)
    objects, words = [], []
    for row in draw(st.lists(values, max_size=6)):
        fields = dict(zip(map(change, COLUMNS), row, strict=True))
        text = json.dumps({name: f"<{value}>" for name, value in fields.items()} | more, indent=indent)
        for value in row:
            text = text.replace(f'"<{value}>"', notation.format(value))
        objects.append(text.replace('"', quote))
        words.append(int(encode(fpga=row[1], channel=row[2], orbit=row[3], bx=row[4], tdc=row[5])))
    begin, end = draw(st.sampled_from([("", ""), ("", "\n"), ("[", "]"), ("\ufeff[\n", "\n]\n")]))
    return (begin + separator.join(objects) + end).encode(), words


@given(streams(), st.lists(st.integers(0, 2000), max_size=6), st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]))
def test_objects_are_words_however_they_are_arranged_and_cut(
    stream: tuple[bytes, list[int]], cuts: list[int], encoding: Encoding
) -> None:
    data, words = stream[0].decode().encode(encoding), stream[1]
    whole = decoded(JsonDecoder("j", encoding=encoding), data)
    assert (whole.words, whole.malformed, whole.bytes.total) == (words, 0, len(data))
    assert decoded(JsonDecoder("j", encoding=encoding), data, [cut for cut in cuts if cut < len(data)]) == whole


@given(
    st.lists(
        st.tuples(values, st.integers(0, 90), st.sampled_from(["", "\n", "{", "[", '"', "}", "\0", "\n{"])), max_size=8
    )
)
def test_a_stream_that_is_damaged_is_read_alike_however_it_is_cut(damaged: list[tuple[Any, int, str]]) -> None:
    data = b"".join(
        ((text := json.dumps(dict(zip(COLUMNS, row, strict=True))))[:at] + new + text[at:]).encode() + b"\n"
        for row, at, new in damaged
    )
    whole = decoded(JsonDecoder("j"), data)
    assert whole.bytes.total == len(data)
    assert whole == decoded(JsonDecoder("j"), data, list(range(1, len(data), 7)))
    assert whole == decoded(JsonDecoder("j"), data, list(range(1, len(data))))


def test_a_writer_that_stopped_in_an_object_costs_no_other() -> None:
    good = json.dumps(GOOD)
    for at in range(1, len(good) - 1):
        words, malformed, _ = fed(JsonDecoder("j"), f"{good[:at]}\n{good}\n{good}\n".encode())
        assert (len(words), malformed) == (2, 1), good[:at]


def test_keys_that_are_not_hits_are_named_once() -> None:
    more = json.dumps({**GOOD, "run": 7, "Temp": 21.5})
    found = decoded(JsonDecoder("j"), f"{more}\n{more}\n".encode())
    assert (len(found.words), found.notes) == (2, ["j: ignored keys that hits do not have: run, Temp"])


@pytest.mark.parametrize("before", [b"", b"\n"])
def test_an_object_that_is_too_long_is_one_fault_and_never_held(before: bytes) -> None:
    good = json.dumps(GOOD).encode()
    data = before + b'{"note": "' + b"x" * 3 * LONGEST_ROW + b'"}\n' + good
    for cuts in ([], [100, LONGEST_ROW + 50], list(range(1000, len(data), 1000))):
        found = decoded(JsonDecoder("j"), data, cuts)
        assert (len(found.words), found.malformed, found.bytes.total) == (1, 1, len(data))
        assert found.faults == [f"j:{1 + len(before)}: found more than 65,536 bytes, expected a JSON object"]


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize(
    "character", ["{", "}", "[", "]", '"', "'", ":", ",", "\\", "\n", "x", "0", "-", "less", "cut", "moved"]
)
def test_a_fault_in_one_object_costs_no_more_than_that_one_and_the_next(character: str, pretty: bool) -> None:
    """A character too many or too few, an object that ends early, or its end in its middle, at any place of it."""
    words = make_words(StreamConfig(words=40, seed=3))
    lines = WRITERS["json lines"](words).decode().splitlines()
    good = lines[9]
    for at in range(len(good)):
        before, after = good[:at], good[at:]
        faulty = {"less": before + after[1:], "cut": before, "moved": f"{before}}}{after[:-1]}"}
        lines[9] = faulty.get(character, before + character + after)
        text = "\n".join(lines)
        block = JsonDecoder("f").feed((text.replace(", ", ",\n  ") if pretty else text).encode(), last=True)
        lost = len(np.setdiff1d(words, block.words))
        assert lost <= 2, lines[9]
        assert lost <= 1 or block.malformed, lines[9]


def test_keys_that_leave_no_doubt_are_read_unless_the_exact_one_is_there() -> None:
    text = '{"head": 2, "board": 1, "tdcChannel": 3, "orbit": 4, "BX": 5, "TDC": 6, "run": 7}'
    word, extra = word_of_loose_object(text.encode())
    assert word == encode(fpga=1, channel=3, orbit=4, bx=5, tdc=6)
    assert extra == ["run"]
    both, extra = word_of_loose_object(text.replace('"run": 7', '"Orbit_Cnt": 9').encode())
    assert (both >> 17 & 0xFFFFFFFF, extra) == (9, ["orbit"])
    with pytest.raises(ValueError, match="BX_COUNTER: found twice, expected once"):
        word_of_loose_object(text.replace("run", "bx_cnt").encode())
