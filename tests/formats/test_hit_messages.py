from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.hit_messages import is_binary_schema, is_text, words_of_text
from muonstream.formats.hits_json import KEYS, scan_objects
from muonstream.formats.rows import COLUMNS, HIGHEST, SHIFTS

HIT = {"HEAD": 2, "FPGA": 1, "TDC_CHANNEL": 17, "ORBIT_CNT": 123456, "BX_COUNTER": 3563, "TDC_MEAS": 30}
Fields = dict[str, Any]


def word(hit: Fields) -> int:
    """The word of a hit: its fields shifted to their places."""
    return sum(hit[name] << shift for name, shift in zip(COLUMNS, SHIFTS, strict=True))


@st.composite
def hits(draw: st.DrawFn) -> Fields:
    """A hit, its fields in any order."""
    values = [draw(st.integers(0, high)) for high in HIGHEST]
    found = {**dict(zip(COLUMNS, values, strict=True)), "HEAD": 2}
    return {name: found[name] for name in draw(st.permutations(COLUMNS))}


def envelope(hit: Fields) -> Fields:
    return {"schema": {"type": "struct", "fields": [{"field": name} for name in hit]}, "payload": hit}


ONE: dict[str, Callable[[Fields], str]] = {
    "JSON": json.dumps,
    "close": lambda hit: json.dumps(hit, separators=(",", ":")),
    "several lines": lambda hit: json.dumps(hit, indent=2),
    "str(dict)": str,
    "floats": lambda hit: json.dumps({name: float(value) for name, value in hit.items()}),
    "texts": lambda hit: json.dumps({name: str(value) for name, value in hit.items()}),
    "str(dict) of texts": lambda hit: str({name: f"{value}.0" for name, value in hit.items()}),
    "lower case": lambda hit: json.dumps({name.lower(): value for name, value in hit.items()}),
    "camel case": lambda hit: json.dumps({"".join(name.title().split("_")): value for name, value in hit.items()}),
    "more keys": lambda hit: json.dumps({"time": 1.5, **hit, "site": {"name": "x, {", "list": [1, 2]}}),
    "str(dict) with more": lambda hit: str({"who": "it's", "ok": None, **hit, "on": True}),
    "Connect": lambda hit: json.dumps(envelope(hit)),
    "JSON in JSON": lambda hit: json.dumps(json.dumps(hit)),
    "list of one": lambda hit: json.dumps([hit]),
    "row": lambda hit: ",".join(str(hit[name]) for name in COLUMNS),
    "row with blanks": lambda hit: " ; ".join(str(hit[name]) for name in COLUMNS),
    "row of floats": lambda hit: "\t".join(f"{hit[name]}.0" for name in COLUMNS),
    "list of numbers": lambda hit: json.dumps([hit[name] for name in COLUMNS]),
    "row with names": lambda hit: ",".join(hit) + "\n" + ",".join(map(str, hit.values())),
}
SEVERAL: dict[str, Callable[[list[Fields]], str]] = {
    "list": json.dumps,
    "str(list)": str,
    "lines": lambda several: "\n".join(map(json.dumps, several)),
    "lines of str(dict)": lambda several: "\n".join(map(str, several)),
    "side by side": lambda several: "".join(map(json.dumps, several)),
    "with commas": lambda several: ", ".join(map(json.dumps, several)),
    "lists in lists": lambda several: json.dumps([[hit] for hit in several]),
    "Connect": lambda several: json.dumps({"schema": None, "payload": several}),
    "rows": lambda several: "\n".join(map(ONE["row"], several)),
}
BEFORE = st.sampled_from([b"", b" ", b"\n", b"\r\n\t", b"\xef\xbb\xbf", b"\n\xef\xbb\xbf ", b"\0\0\0\0\x07"])
BEHIND = st.sampled_from([b"", b" ", b"\n", b"\r\n"])


def scanned(text: bytes) -> list[int] | None:
    """The word by the compiled scanner, None where it leaves the text to others."""
    words, unusual = np.empty(1, np.uint64), np.empty((1, 2), np.int64)
    n = scan_objects(np.frombuffer(text, np.uint8), np.array([0]), np.array([len(text)]), KEYS, words, unusual)
    return words.tolist() if n else None


@pytest.mark.parametrize("form", ONE)
@given(hits(), BEFORE, BEHIND)
def test_a_hit_is_read_however_it_was_written(form: str, hit: Fields, before: bytes, behind: bytes) -> None:
    text = ONE[form](hit).encode()
    if before[:1] == b"\0" and text[:1] not in (b"{", b"["):
        before = b""  # behind a registry's number only JSON is certain
    value = before + text + behind
    assert is_text(value)
    assert is_binary_schema(value) == "" or before[:1] == b"\0"
    assert words_of_text(value) == ([word(hit)], [])
    assert scanned(value) in ([word(hit)], None)


@pytest.mark.parametrize("form", SEVERAL)
@given(st.lists(hits(), min_size=1, max_size=5))
def test_several_hits_are_read_in_their_order(form: str, several: list[Fields]) -> None:
    value = SEVERAL[form](several).encode()
    assert is_text(value)
    assert words_of_text(value) == (list(map(word, several)), [])


@pytest.mark.parametrize("form", ["JSON", "close", "str(dict)", "floats", "texts", "lower case", "str(dict) of texts"])
def test_the_usual_ways_are_for_the_fast_scanner(form: str) -> None:
    assert scanned(ONE[form](HIT).encode()) == [word(HIT)]


@given(hits(), st.sampled_from(list(ONE)), st.data())
def test_the_scanner_never_says_anything_else(hit: Fields, form: str, data: st.DataObject) -> None:
    """Of damaged texts it takes only what is one word by the slow parser, too."""
    text = ONE[form](hit).encode()
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(text)))
        new = data.draw(st.sampled_from([b"", b",", b'"', b"'", b"{", b"}", b":", b"0", b"9", b"-", b".", b"e", b"A"]))
        text = text[:at] + new + text[at + data.draw(st.integers(0, 1)) :]
    found = scanned(text)
    if found is not None:
        assert words_of_text(text) == (found, [])


@given(st.binary(max_size=60) | st.text(alphabet="{}[]()'\",:0123456789.-eHEAD \n", max_size=60).map(str.encode))
def test_whatever_comes_is_words_or_faults(value: bytes) -> None:
    words, faults = words_of_text(value)
    assert words or faults
    assert all("\n" not in fault and len(fault) < 400 for fault in faults)
    assert isinstance(is_text(value), bool)


@pytest.mark.parametrize(
    ("value", "n_words", "faults"),
    [
        (json.dumps([HIT, 3, {**HIT, "FPGA": -1}, HIT]).encode(), 2, ["found a int", "FPGA: found -1"]),
        (f"{json.dumps(HIT)}\n{{broken}}\n{json.dumps(HIT)}".encode(), 2, ["not JSON"]),
        (f"{HIT}\n{{'broken\n{HIT}".encode(), 2, ["not JSON"]),
        (b"2,1,17,123456,3563,30\n2,1,17\n2,1,17,123456,3563,31", 2, ["not a row: found '2,1,17' with 3 cells"]),
        (b"HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER\n2,1,17,1,2", 0, ["not a row: found the columns"]),
        (b"[]", 0, ["found a list without"]),
        (b"[1, 2]", 0, ["found a list, expected an object"]),
        (b"\xef\xbb\xbf \n", 0, ["found nothing but blanks"]),
        (b"[" * 100_000, 0, ["not JSON"]),
        (b"[" * 20 + b"]" * 20, 0, ["found more than 8 levels of lists"]),
    ],
)
def test_what_is_wrong_costs_itself_alone(value: bytes, n_words: int, faults: list[str]) -> None:
    words, found = words_of_text(value)
    assert len(words) == n_words
    assert len(found) == len(faults)
    assert all(fault.startswith(begin) for fault, begin in zip(found, faults, strict=True))


def test_binary_messages_of_a_schema_are_told_by_their_first_bytes() -> None:
    assert is_binary_schema(b"\0\0\0\0\x07\x02\x04\x06\x08") == "Avro or Protobuf of a schema registry (schema 7)"
    assert is_binary_schema(b"Obj\x01\x04").startswith("Avro")
    assert is_binary_schema(b"\xc3\x01abcdefgh1").startswith("Avro")
    for other in (b"", b"\0", bytes(1024), b"hello", b"\0\0\0\0\x07"):
        assert is_binary_schema(other) == ""
    assert not is_text(b"hello")
    assert not is_text(b"")
