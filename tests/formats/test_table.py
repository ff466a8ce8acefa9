from __future__ import annotations

import numpy as np
import pytest
from decoding import FAULTY, fed
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import FAULTS_KEPT
from muonstream.formats.rows import COLUMNS, HIGHEST
from muonstream.formats.table import HeaderError, TableDecoder
from muonstream.words import decode, encode

HEADER = (",".join(COLUMNS) + "\n").encode()


def test_faulty_rows_are_counted_named_and_left_out() -> None:
    words, malformed, faults = fed(TableDecoder("f.csv"), b"2,0,5,100,10,3\n" + FAULTY + b"2,1,6,7,8,9")
    assert words == encode(fpga=[0, 1], channel=[5, 6], orbit=[100, 7], bx=[10, 8], tdc=[3, 9]).tolist()
    assert malformed == len(faults) == 7
    assert faults[0] == "f.csv:2: found 5 columns, expected 6: '2,0,5,100,10'"
    assert faults[2] == "f.csv:4: FPGA: found 'a', expected whole numbers from 0 to 7"
    assert faults[3] == "f.csv:5: FPGA: found '-1', expected whole numbers from 0 to 7"
    assert faults[5] == "f.csv:7: TDC_MEAS: found '3.5', expected whole numbers from 0 to 31"


def test_ancillary_rows_may_hold_anything_but_letters() -> None:
    data = b"4,1,0,3387315431,0,-0.573730\n3,1,0,3387315706,17444,0\n5,0,0,1,x,0\n"
    words, malformed, _ = fed(TableDecoder("f"), data)
    assert decode(np.array(words, dtype=np.uint64)).head.tolist() == [4, 3]
    assert malformed == 1


def test_the_2019_firmware_counts_otherwise() -> None:
    data = (",".join(COLUMNS) + "\n").encode() + b"1,0,72,46758,279,18\n1,1,138,5,6,1\n0,1,1,2,3,4\n1,1,0,1,1,1\n"
    words, malformed, _ = fed(TableDecoder("f", old_firmware=True), data)
    f = decode(np.array(words, dtype=np.uint64))
    assert f.head.tolist() == [2, 2, 7]
    assert (f.channel[:2].tolist(), f.tdc[:2].tolist()) == ([71, 137], [19, 1])
    assert malformed == 1


spaces = st.sampled_from(["", " ", "\t", "  "])
endings = st.sampled_from(["\n", "\r\n", " \n"])


@st.composite
def numbers(draw: st.DrawFn, highest: int) -> tuple[str, int | None]:
    """A number as it may be written, and its value if it is whole and in range."""
    value = draw(st.one_of(st.integers(0, highest), st.sampled_from([0, highest, highest + 1, 10**17])))
    sign = draw(st.sampled_from(["", "", "", "+", "-"]))
    point = draw(st.sampled_from(["", "", "", ".", ".0", ".00", ".5"]))
    zeros = draw(st.sampled_from(["", "", "0", "0" * 20]))
    good = value <= highest and point != ".5" and (sign != "-" or value == 0)
    return f"{draw(spaces)}{sign}{zeros}{value}{point}{draw(spaces)}", value if good else None


@given(st.lists(st.tuples(st.tuples(*(numbers(high) for high in HIGHEST[1:])), endings), max_size=8))
def test_hits_are_their_numbers_however_written(rows: list[tuple[tuple[tuple[str, int | None], ...], str]]) -> None:
    data = "".join("2," + ",".join(text for text, _ in cells) + end for cells, end in rows)
    values = [[value for _, value in cells if value is not None] for cells, _ in rows]
    good = [whole for whole in values if len(whole) == 5]
    expected = [int(encode(fpga=f, channel=c, orbit=o, bx=b, tdc=t)) for f, c, o, b, t in good]
    words, malformed, faults = fed(TableDecoder("t"), data.encode())
    assert words == expected
    assert malformed == len(faults) == len(rows) - len(good)


@pytest.mark.parametrize("head", [b"", HEADER, b"\xef\xbb\xbf" + HEADER, HEADER.replace(b",", b'", "').lower()])
def test_a_header_is_left_out_and_counts_as_a_line(head: bytes) -> None:
    words, malformed, faults = fed(TableDecoder("t"), head + b"2,0,5,100,10,3\n2,0,5\n", [1, 3])
    assert (len(words), malformed) == (1, 1)
    assert faults == [f"t:{3 if head else 2}: found 3 columns, expected 6: '2,0,5'"]


def test_a_header_of_other_columns_is_refused_however_it_comes() -> None:
    head = b'"HEAD","FPGA",x\r\n'
    for cuts in ([], [2], [len(head) - 1]):
        with pytest.raises(
            HeaderError, match=r"^t: found a table with the columns HEAD, FPGA, x, without .* expected "
        ):
            fed(TableDecoder("t"), head + b"2,0,5,100,10,3\n", cuts)


def test_a_header_of_other_columns_among_rows_is_a_faulty_row() -> None:
    words, malformed, [fault] = fed(TableDecoder("t"), b"2,0,5,100,10,3\nHEAD,FPGA,x\n2,0,5,100,10,3\n")
    assert (len(words), malformed) == (2, 1)
    assert fault.startswith("t:2: found a table with the columns HEAD, FPGA, x, without TDC_CHANNEL, ")


def test_empty_lines_are_no_rows_but_count_as_lines() -> None:
    words, malformed, faults = fed(TableDecoder("t"), b"\n\r\n2,0,5,100,10,3\n\n\nx\n")
    assert (len(words), malformed) == (1, 1)
    assert faults[0].startswith("t:6: ")


@pytest.mark.parametrize("data", [b"", b"\n", HEADER, HEADER[:-1]])
def test_without_rows_there_is_nothing(data: bytes) -> None:
    assert fed(TableDecoder("t"), data) == ([], 0, [])


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"8,0,1,1,1,1", "HEAD: found '8', expected whole numbers from 0 to 7"),
        (b"2,8,1,1,1,1", "FPGA: found '8', expected whole numbers from 0 to 7"),
        (b"4,9,1,1,1,1", "FPGA: found '9', expected whole numbers from 0 to 7"),
        (b"2,0,512,1,1,1", "TDC_CHANNEL: found '512', expected whole numbers from 0 to 511"),
        (b"2,0,1,4294967296,1,1", "ORBIT_CNT: found '4294967296', expected whole numbers from 0 to 4294967295"),
        (b"2,0,1,1,3564,1", "BX_COUNTER: found '3564', expected whole numbers from 0 to 3563"),
        (b"2,0,1,1,1,32", "TDC_MEAS: found '32', expected whole numbers from 0 to 31"),
        (b"2,0,1,1,1e4,1", "BX_COUNTER: found '1e4', expected whole numbers from 0 to 3563"),
        (b"2,0,1,1,15e-1,1", "BX_COUNTER: found '15e-1', expected whole numbers from 0 to 3563"),
        (b"2,0,1,1,,1", "BX_COUNTER: found '', expected whole numbers from 0 to 3563"),
        (b"2,0,1,1,\xff,1", r"BX_COUNTER: found '\\xff', expected whole numbers from 0 to 3563"),
    ],
)
def test_what_is_out_of_range_is_named(row: bytes, fault: str) -> None:
    assert fed(TableDecoder("t"), row) == ([], 1, [f"t:1: {fault}"])


@pytest.mark.parametrize(
    ("row", "channel", "tdc"),
    [("1,0,1,5,6,0", 0, 1), ("1,0,512,5,6,30", 511, 31), ("1,0,137,5,6,31", 136, 31), ("1,0,138,5,6,0", 137, 0)],
)
def test_limits_of_the_2019_firmware_are_its_own(row: str, channel: int, tdc: int) -> None:
    words, malformed, _ = fed(TableDecoder("t", old_firmware=True), row.encode())
    assert words == [int(encode(fpga=0, channel=channel, orbit=5, bx=6, tdc=tdc))]
    assert malformed == 0


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("1,0,0,5,6,1", "TDC_CHANNEL: found '0', expected whole numbers from 1 to 512"),
        ("1,0,513,5,6,1", "TDC_CHANNEL: found '513', expected whole numbers from 1 to 512"),
        ("1,0,1,5,6,31", "TDC_MEAS: found '31', expected whole numbers from 0 to 30"),
    ],
)
def test_what_the_2019_firmware_cannot_have_is_named(row: str, fault: str) -> None:
    assert fed(TableDecoder("t", old_firmware=True), row.encode()) == ([], 1, [f"t:1: {fault}"])


def test_all_faults_are_counted_and_the_first_described() -> None:
    words, malformed, faults = fed(TableDecoder("t"), FAULTY * 10)
    assert (len(words), malformed, len(faults)) == (0, 70, FAULTS_KEPT)
    assert faults[-1].startswith(f"t:{FAULTS_KEPT}: ")
