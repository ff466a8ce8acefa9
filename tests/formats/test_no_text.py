"""What is not text in text: passed over with its place, the same wherever the reads are cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.hits_json import JsonDecoder
from muonstream.formats.no_text import NoText, is_no_text
from muonstream.formats.rows import COLUMNS
from muonstream.formats.table import TableDecoder
from muonstream.words import Words, encode

HITS = 300


def hits(first_orbit: int) -> tuple[Words, list[tuple[int, ...]]]:
    k = np.arange(HITS)
    words = encode(fpga=k % 2, channel=7, orbit=k + first_orbit, bx=k * 11, tdc=3)
    return words, [(2, i % 2, 7, i + first_orbit, i * 11, 3) for i in range(HITS)]


def table(rows: list[tuple[int, ...]]) -> list[bytes]:
    return [",".join(map(str, row)).encode() + b"\n" for row in rows]


def lines(rows: list[tuple[int, ...]]) -> list[bytes]:
    return [json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in rows]


def pretty(rows: list[tuple[int, ...]]) -> list[bytes]:
    """With keys in small letters, which the strict scanner leaves to the loose one."""
    names = [name.lower() for name in COLUMNS]
    return [json.dumps(dict(zip(names, row, strict=True)), indent=1).encode() + b",\n" for row in rows]


Decoder = TableDecoder | JsonDecoder
FORMS: list[tuple[Callable[[list[tuple[int, ...]]], list[bytes]], type[Decoder]]] = [
    (table, TableDecoder),
    (lines, JsonDecoder),
    (pretty, JsonDecoder),
]


@pytest.mark.parametrize(("form", "decoder"), FORMS, ids=["table", "json lines", "pretty json"])
@given(
    n_before=st.integers(0, HITS),
    n=st.integers(30, HITS),
    orbit=st.sampled_from([9000, 1 << 24, 3_000_000_000]),
    cuts=st.lists(st.integers(0, 20_000), max_size=4),
    ended=st.booleans(),
)
def test_words_inside_text_are_passed_over(
    form: Callable[[list[tuple[int, ...]]], list[bytes]],
    decoder: type[Decoder],
    n_before: int,
    n: int,
    orbit: int,
    cuts: list[int],
    ended: bool,
) -> None:
    """No hits are made of them, those around them stay, and the place is named, wherever the reads are cut."""
    words, rows = hits(orbit)
    text = form(rows)
    before, binary = b"".join(text[:n_before]), words[:n].tobytes()
    data = before + binary + (b"" if ended else b"\n" + b"".join(text[n_before:]))

    def read(cuts: list[int]) -> tuple[list[int], int, int, list[str], int]:
        taken = decoder("f")
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        blocks = [taken.feed(data[a:b]) for a, b in pairwise(edges)]
        blocks.append(taken.feed(b"", last=True))
        assert sum(block.bytes.total for block in blocks) == len(data)
        notes = [note for block in blocks for note in block.notes if "something other than text" in note]
        return (
            [word for block in blocks for word in block.words.tolist()],
            sum(block.bytes.passed_over for block in blocks),
            sum(block.malformed for block in blocks),
            notes,
            sum(block.bytes.padding for block in blocks),
        )

    found, passed_over, malformed, notes, padding = read(cuts)
    assert found == words[: n_before if ended else HITS].tolist()
    # what begins like text may be a row or two, and NUL bytes in front of the first control character padding
    assert malformed <= 3
    assert len(binary) - 150 < passed_over <= len(binary) + 1
    assert len(notes) == 1
    assert (found, passed_over, malformed, notes, padding) == read([])


@pytest.mark.parametrize(
    ("line", "none"),
    [
        (b"2,0,65,1,2,3", False),
        (b"2,0,\x01,1,2,3", False),
        (b"2,0,\x01,1,2,\x02", True),
        (b"\t2,\x0c3\r", False),
        (b"\x7f\x7f", True),
        (b"\xe9\xff caf\xc3\xa9", False),
        (b"\x01\xff", True),
    ],
)
def test_two_control_characters_make_a_line_no_text(line: bytes, none: bool) -> None:
    assert is_no_text(np.frombuffer(line + b"\n", np.uint8), 0, len(line)) is none


def test_a_nul_behind_a_line_counts_as_one() -> None:
    assert is_no_text(np.frombuffer(b"a\x01\0\0", np.uint8), 0, 2)
    assert not is_no_text(np.frombuffer(b"ab\0\0", np.uint8), 0, 2)


def test_stretches_are_noted_in_bytes_of_the_input() -> None:
    stretch = NoText("f", 2)
    stretch.pass_over(0, 5)
    assert not stretch
    stretch.pass_over(10, 100)
    stretch.pass_over(6, 7)
    assert stretch
    stretch.end()
    assert stretch.take(last=True) == [
        "f: byte 200: found 32 bytes of something other than text; passed over up to byte 232"
    ]
    assert stretch.take(last=True) == []
