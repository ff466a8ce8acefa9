from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.errors import printable, printable_lines, shown, without_secrets


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://me:S3CRET@host/run.dat: no such file", "https://host/run.dat: no such file"),
        ("S3CRET@home.dat", "S3CRET@home.dat"),
        ("s3://KEY:S3/C/RET@bucket/run.dat, s3://b/c.dat", "s3://bucket/run.dat, s3://b/c.dat"),
        ("zip://a.dat::https://me:S3CRET@host/x.zip", "zip://a.dat::https://host/x.zip"),
        ("https://host:8080/a@b.dat", "https://host:8080/a@b.dat"),
        ("kafka://a:9092,b:9092/topic", "kafka://a:9092,b:9092/topic"),
        (
            "https://h/a.dat?X-Amz-Credential=AK%2F1&X-Amz-Signature=S3CRET&part=2: cannot be read",
            "https://h/a.dat?X-Amz-Credential=***&X-Amz-Signature=***&part=2: cannot be read",
        ),
        ("https://h/a.dat?token=S3CRET, https://h/b", "https://h/a.dat?token=***, https://h/b"),
        ("'https://h/a.dat?run=7&sig=S3CRET'", "'https://h/a.dat?run=7&sig=***'"),
        ("https://h/a.dat?design=7", "https://h/a.dat?design=7"),
    ],
)
def test_addresses_are_shown_without_what_gives_access(text: str, kept: str) -> None:
    assert without_secrets(text) == kept
    assert without_secrets(kept) == kept


LETTERS = st.text("abcXYZ019._~%+-/:=$", min_size=1)


@given(
    st.sampled_from(["https", "s3", "ftp", "abfs"]), LETTERS, LETTERS, st.sampled_from(["host/a.dat", "b", "h:80/x"])
)
def test_no_password_is_left_in_an_address(scheme: str, user: str, password: str, place: str) -> None:
    user, password = user.translate(str.maketrans("/:", "ab")), f"S3CRET{password}S3CRET"
    assert without_secrets(f"{scheme}://{user}:{password}@{place}: gone") == f"{scheme}://{place}: gone"
