from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.errors import printable, printable_lines, shown


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    line = printable(text)
    assert all(c == "\t" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in line)
    assert printable(line) == line
    line.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kammer é 7\tμ", "Kammer é 7\tμ"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x9b2J\u202etxt", "\\x9b2J\\u202etxt"),
        ("\udcff.dat", "\\udcff.dat"),
    ],
)
def test_what_would_steer_is_shown_as_an_escape(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_a_name_forges_no_line() -> None:
    assert printable_lines("x\nmuonstream: all is well.dat: no such file") == [
        "x",
        "  muonstream: all is well.dat: no such file",
    ]
    assert printable_lines("one") == ["one"]


def test_what_cannot_be_shown_is_named() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "<list, too large to show>"
    assert shown(10**5000) == "<int, too large to show>"
    while nested:
        nested = nested.pop()  # type: ignore[assignment]
