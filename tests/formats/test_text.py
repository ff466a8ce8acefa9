from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from decoded import decoded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from written import Written, hit_rows, tables

from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.layout import Dialect
from muonstream.formats.rows import COLUMNS
from muonstream.formats.table import HeaderError
from muonstream.formats.text import TextForm, decide_text, text_decoder

ANY = Expected.any()
HEADER = ",".join(COLUMNS) + "\n"
HIT = '{"HEAD": 2, "FPGA": 0, "TDC_CHANNEL": 5, "ORBIT_CNT": 7, "BX_COUNTER": 9, "TDC_MEAS": 3}'
FRACTIONS = "1.5,2.5,3.5,4.5,5.5,6.5\n" * 99
OTHER_NUMBERS = "".join(f"{i},{2 * i},{3 * i},{4 * i},{5 * i},{i % 7}\n" for i in range(900))


def decided(data: bytes, **options: Any) -> tuple[int, TextForm | Undecided | Refused | None]:
    """The first decision as recognition takes it, and after how many bytes."""
    n = 64
    while n < len(data):
        found = decide_text(data[:n], last=False, expected=ANY, **options)
        if isinstance(found, TextForm | Refused):
            return n, found
        n *= 2
    return len(data), decide_text(data, last=True, expected=ANY, **options)


def table(rows: Sequence[tuple[object, ...]]) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


@given(tables(), st.lists(st.integers(0, 20_000), max_size=5))
def test_a_table_is_its_words_however_it_is_written_and_cut(written: Written, cuts: list[int]) -> None:
    _, form = decided(written.data)
    assert isinstance(form, TextForm), form
    assert form.format == written.dialect
    whole = decoded(text_decoder(form, "t"), written.data)
    assert (whole.words, whole.malformed, whole.faults) == (written.words, 0, [])
    assert (whole.bytes.total, whole.bytes.passed_over) == (len(written.data), 0)
    assert decoded(text_decoder(form, "t"), written.data, [cut for cut in cuts if cut < len(written.data)]) == whole
    assert decided(written.data, named=written.dialect)[1] is not None


@given(tables(n_rows=20), st.integers(0, 3000), st.binary(max_size=40), st.lists(st.integers(0, 5000), max_size=5))
@settings(max_examples=50)  # each decodes a table several times
def test_a_damaged_table_is_read_alike_however_it_is_cut(
    written: Written, at: int, damage: bytes, cuts: list[int]
) -> None:
    form = decide_text(written.data, last=True, expected=ANY)
    assume(isinstance(form, TextForm))  # whether it is decided rightly is tested elsewhere
    assert isinstance(form, TextForm)
    data = written.data[:at] + damage + written.data[at:]
    try:
        whole = decoded(text_decoder(form, "t"), data)
    except HeaderError:
        return  # the only header was damaged
    assert whole.bytes.total == len(data)
    assert decoded(text_decoder(form, "t"), data, [cut for cut in cuts if cut < len(data)]) == whole
    assert decoded(text_decoder(form, "t"), data, list(range(1, len(data)))) == whole


@pytest.mark.parametrize("dialect", ["course", "firmware2019", "head1"])
@pytest.mark.parametrize(
    "before",
    ["0,0,170,2871700134,2730,21\n" * 3000, "".join(f"1,0,0,{i},0,3\n" for i in range(30)), "5,0,0,77,0,-0.5\n" * 900],
)
@pytest.mark.parametrize("header", [HEADER, ""])
def test_rows_at_the_head_that_are_not_hits_decide_nothing(dialect: Dialect, before: str, header: str) -> None:
    rows, words = hit_rows(2500, 1, dialect)
    if dialect != "course" and before.startswith("1"):
        return  # HEAD 1 is a hit there
    data = (header + before).encode() + table(rows)
    n, form = decided(data)
    assert isinstance(form, TextForm)
    assert (form.format, n > len(header + before)) == (dialect, True)
    assert [word for word in decoded(text_decoder(form, "t"), data).words if word >> 61 == 2] == words


@pytest.mark.parametrize(
    ("text", "like"),
    [
        (OTHER_NUMBERS, "; expected hits"),
        (FRACTIONS, "99 rows of six numbers, none of them whole, such as '1.5,2.5"),
        (",".join(COLUMNS[1:]) + "\n" + "0,65,1000000,1154,11\n" * 99, "TDC_MEAS (without HEAD)"),
        ('{"run": 5, "hits": [' + ", ".join([HIT] * 3000) + "]}\n", "JSON objects in a list inside another object"),
        ('{"HEAD": {' + ", ".join(f'"{i}": 2' for i in range(9999)) + "}}\n", "object of more than 65,536 characters"),
        ("<!DOCTYPE html><html><body><p>a, b, c, d, e, f</p></body></html>\n", "a web page (HTML)"),
        ("<html>\n" * 30, "a web page (HTML)"),
        ('<?xml version="1.0"?>\n<rows/>\n', "XML"),
        ("<?php ?>\n", "a PHP program"),
        ("10:12:13,456 INFO run 591, started, by, shift, ok\n" * 220, "a log"),
        ('[run]\nnumber = 591\nname = "x"\n', "settings (TOML or INI)"),
        ("# Run 591\n\nShift notes.\n", "a document (Markdown)"),
        ("0,2,0,65\n1,2,0,66\n", "a table of 4 columns"),
        ("".join(f"{i % 7},2,0,65,{i},1154,11\n" for i in range(50)), "a table of 7 columns"),
        ("hello\nworld\n", "text such as 'hello'"),
        ("HEAD,FPGA,X\n2,0,1\n", "a table with the columns HEAD, FPGA, X (without TDC_CHANNEL, ORBIT_CNT"),
        ("[[2,0,65,1000000,1154,11],\n[2,0,66,1000001,1155,12]]\n", "expected a header that names"),
        ('{"a": 1}\n' * 50, "JSON objects that are not hits"),
        ('{"hits": [{"HEAD": 2}]}\n', "JSON objects in a list inside another object"),
        ("0,0,170,2871700134,2730,21\n" * 900, "0 rows of HEAD 2 and 0 of HEAD 1"),
        ("".join(f"2,0,{i % 128},2.8717e+09,{i * 7 % 3564},{i % 30}\n" for i in range(99)), "lost digits"),
    ],
)
@pytest.mark.parametrize("named", [None, "course", "json"])
def test_what_is_not_hits_is_refused_by_what_it_looks_like(text: str, like: str, named: str | None) -> None:
    if named == "course" and text.startswith("0,0,170"):
        return  # ancillary rows alone may be a table that was named
    if named == "course" and text in (OTHER_NUMBERS, FRACTIONS):
        return  # an error at the end, when most rows were malformed
    _, found = decided(text.encode(), named=named)
    assert isinstance(found, Refused), found
    assert found.reason.startswith("found ")
    assert "\n" not in found.reason
    if named is None:
        assert like in found.reason


@pytest.mark.parametrize(
    "data", [b"\0" * 500, bytes(range(256)) * 9, b"SQLite format 3\0" + bytes(900) + b"CREATE" * 9]
)
def test_bytes_are_not_text(data: bytes) -> None:
    assert decide_text(data, last=True, expected=ANY) is None


def test_hits_of_another_dialect_are_not_silently_ancillary() -> None:
    (rows, words), (others, _) = hit_rows(200, 4, "course"), hit_rows(200, 5, "firmware2019")
    data = table(rows) + HEADER.encode() + table(others)
    _, form = decided(data)
    assert isinstance(form, TextForm)
    whole = decoded(text_decoder(form, "t"), data)
    assert [word for word in whole.words if word >> 61 == 2] == words
    assert [note.partition(" and ")[0] for note in whole.notes] == [
        "t: 200 rows of HEAD 1 look like hits of another dialect"
    ]


def test_a_numbering_that_content_leaves_open_is_settled_by_its_name() -> None:
    rows = [(1, 0, i % 100 + 1, 1000 + i, i * 7 % 3563 + 1, i % 28 + 1) for i in range(500)]
    _, found = decided(table(rows))
    assert isinstance(found, Refused)
    assert "so it may be firmware2019 or head1" in found.reason
    for name in ("firmware2019", "head1"):
        _, form = decided(table(rows), named=name)
        assert isinstance(form, TextForm)
        assert form.format == name
    assert isinstance(decided(table(rows), named="course")[1], Refused)


def test_a_later_part_of_a_run_has_the_form_of_the_part_before() -> None:
    rows, words = hit_rows(60, 3, "firmware2019")
    turned = [row[::-1] for row in rows]
    _, before = decided((",".join(COLUMNS[::-1]) + "\n").encode() + table(turned[:50]))
    assert isinstance(before, TextForm)
    for part, expected in ((table(turned[50:]), words[50:]), (table(rows[51:55]), None)):
        form = decide_text(part, last=True, expected=ANY, before=before)
        assert isinstance(form, TextForm)
        assert form.format == "firmware2019"
        if expected is not None:
            assert decoded(text_decoder(form, "t"), part).words == expected


@pytest.mark.parametrize("named", [None, "course"])
def test_the_header_of_a_table_without_rows_is_an_empty_table(named: str | None) -> None:
    form = decide_text(HEADER.encode(), last=True, expected=ANY, named=named)
    assert isinstance(form, TextForm)
    assert (form.format, form.why) == ("course", "a header without rows")
    assert isinstance(decide_text(HEADER.encode(), last=False, expected=ANY, named=named), Undecided)


@pytest.mark.parametrize("dialect", ["course", "firmware2019", "head1"])
@pytest.mark.parametrize("row", ["0,0,0,0,0,0\n", "0,0,170,2871700134,2730,21\n"])
@pytest.mark.parametrize(("before", "behind"), [(5400, 0), (10_000, 10_000), (0, 30_000), (9000, 1)])
def test_hits_are_found_wherever_they_stand_among_idle_rows(
    dialect: Dialect, row: str, before: int, behind: int
) -> None:
    rows, words = hit_rows(1500, 6, dialect)
    data = (row * before).encode() + table(rows) + (row * behind).encode()
    _, form = decided(data)
    assert isinstance(form, TextForm), form
    assert form.format == dialect
    assert [word for word in decoded(text_decoder(form, "t"), data).words if word >> 61 == 2] == words


@pytest.mark.parametrize(
    ("held", "named", "says"),
    [
        ("firmware2019", "head1", "TDC_MEAS 0, which head1 does not have; if the table is of firmware2019"),
        ("head1", "firmware2019", "TDC_MEAS 30, which firmware2019 does not have; if the table is of head1"),
        ("head1", "head1", ""),
        ("firmware2019", "firmware2019", ""),
    ],
)
def test_a_numbering_that_was_named_against_the_content_is_reported(held: Dialect, named: Dialect, says: str) -> None:
    rows, _ = hit_rows(300, 7, held)
    _, form = decided(table(rows), named=named)
    assert isinstance(form, TextForm)
    notes = decoded(text_decoder(form, "t"), table(rows)).notes
    assert len(notes) == bool(says)
    assert all(says in note for note in notes)


@pytest.mark.parametrize("before", ["# run 591\n", "// 21 \u00b0C\n# \u043f\u0440\n\n", "\x1e"])
def test_objects_behind_comments_and_separators_are_objects(before: str) -> None:
    rows, words = hit_rows(300, 8, "course")
    one = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    data = before.encode() + "\n\x1e".join(one).encode()
    _, form = decided(data)
    assert isinstance(form, TextForm), form
    whole = decoded(text_decoder(form, "t"), data)
    assert (whole.words, whole.malformed) == (words, 0)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig", "latin-1"])
def test_a_web_page_is_named_in_every_encoding(encoding: str) -> None:
    data = ("<html><body>" + "<p>please log in</p>\n" * 50).encode(encoding)
    found = decided(data)[1]
    assert isinstance(found, Refused)
    assert found.reason.startswith("found a web page (HTML)")
