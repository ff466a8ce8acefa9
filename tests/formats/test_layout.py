from __future__ import annotations

import pytest

from muonstream.formats.layout import PLAIN, Layout, WrongHeader, read_header
from muonstream.formats.rows import COLUMNS

LINE = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("line", "layout"),
    [
        (LINE, Layout(headed=True)),
        (f"\ufeff{LINE.lower()}\r", Layout(headed=True)),
        (f"# {LINE}", Layout(headed=True)),
        (f"%{LINE},", Layout(headed=True)),
        (LINE.replace(",", ";"), Layout(";", headed=True)),
        (LINE.replace(",", "\t"), Layout("\t", headed=True)),
        (LINE.replace(",", "   "), Layout(" ", headed=True)),
        ('"' + LINE.replace(",", '" , "') + '"', Layout(headed=True)),
        (",".join(COLUMNS[::-1]), Layout(columns=(5, 4, 3, 2, 1, 0), headed=True)),
        (f",{LINE},RUN", Layout(columns=(-1, 0, 1, 2, 3, 4, 5, -1), headed=True)),
        ("head,board,channel,orbit,bx,tdc", Layout(headed=True)),
        ("head;fpga;channel;orbit;bx;tdc", Layout(";", headed=True)),
        ("Head, Fpga, Tdc Channel, Orbit Cnt, BX, TDC Meas", Layout(headed=True)),
        ('["HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS"],', Layout(headed=True)),
    ],
)
def test_a_header_says_where_the_fields_are(line: str, layout: Layout) -> None:
    assert read_header(line) == layout


@pytest.mark.parametrize(
    "line", ["", "2,0,5,1,1,1", "hello", "# the head of the telescope", "HEAD", "head of shift: me"]
)
def test_other_lines_are_not_headers(line: str) -> None:
    assert read_header(line) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.removesuffix(",TDC_MEAS"), "without TDC_MEAS"),
        (f"{LINE},{LINE}", "HEAD more than once"),
        (f"{LINE},TDC", "TDC_MEAS more than once"),
        ("HEAD,FPGA,X,ORBIT_CNT,BX_COUNTER,TDC_MEAS", "without TDC_CHANNEL"),
    ],
)
def test_a_header_of_other_columns_says_what_is_wrong(line: str, reason: str) -> None:
    found = read_header(line)
    assert isinstance(found, WrongHeader)
    assert found.reason == reason


def test_a_header_among_rows_keeps_what_it_does_not_say() -> None:
    rows = Layout(" ", (-1, 0, 1, 2, 3, 4, 5), headed=True, header_delimiter=",")
    assert rows.headed_by(Layout(headed=True)) == rows
    german = Layout(";", decimal=",", headed=True)
    assert german.headed_by(Layout(";", (1, 0, 2, 3, 4, 5), headed=True)).decimal == ","
    assert PLAIN.headed_by(Layout(";", headed=True)).delimiter == ";"
