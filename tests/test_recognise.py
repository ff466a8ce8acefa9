from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from decoding import WORDS, fed, json_of

from muonstream.commands.simulate import table_of
from muonstream.formats.block import SourceError
from muonstream.formats.recognise import BINARY, Format, check, decoder, recognise
from muonstream.formats.rows import COLUMNS
from muonstream.sources.files import read_blocks
from muonstream.words import encode


def test_formats_are_known_by_content_whatever_the_name(tmp_path: Path) -> None:
    old = b"1,0,72,46758,279,18\n" * 5
    for format, data in (
        (Format.WORDS, WORDS.astype("<u8").tobytes()),
        (Format.COURSE, table_of(WORDS)),
        (Format.FIRMWARE2019, old),
        (Format.JSON, json_of(WORDS)),
    ):
        assert recognise(data[: 1 << 16], "x.whatever") is format
    path = tmp_path / "words.txt"
    path.write_bytes(WORDS.astype("<u8").tobytes())
    for wrong in (Format.COURSE, Format.JSON):
        with pytest.raises(SourceError, match="not the format"):
            list(read_blocks(str(path), wrong))
    with pytest.raises(SourceError, match="does not tell course from firmware2019"):
        recognise(b"1,0,1,1,1,1\n2,0,1,1,1,1\n", "x")
    (tmp_path / "old.txt").write_bytes(old * 3)
    with pytest.raises(SourceError, match="found 15 rows of HEAD 1 and 0 of HEAD 2"):
        list(read_blocks(str(tmp_path / "old.txt"), Format.COURSE))


def binary(words: object) -> bytes:
    return np.asarray(words).astype("<u8").tobytes()


@pytest.mark.parametrize(
    ("sample", "format"),
    [
        (b"", Format.WORDS),
        (b"\x00\x01\x02", Format.WORDS),
        (b"\xef\xbb\xbf \n{}", Format.JSON),
        (b"\xef\xbb\xbfHEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n2,0,1,1,1,1\n", Format.COURSE),
        (b"2,0,1,1,1,1\n1,0,1,1,1,1\n2,0,1,1,1,1\n", Format.COURSE),
        (b"1,0,1,1,1,1\n" * 10 + b"0,0,1,1,1,1\n", Format.FIRMWARE2019),
        (binary(WORDS[:3]) + b"\x00", Format.WORDS),
        (binary(encode(head=4, fpga=0, channel=0, orbit=range(9), bx=4000, tdc=0)), Format.WORDS),
        (binary(np.insert(WORDS[:256], [0, 128], 591)), Format.DMA),
        (binary(WORDS[:129]), Format.WORDS),
    ],
)
def test_small_samples_are_told_apart(sample: bytes, format: Format) -> None:
    assert recognise(sample, "f") is format


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (
            b"hello\nworld\n",
            "f: found text that is no table of 6 columns and no JSON, as 'hello'; allowed are words, dma",
        ),
        (b"HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n", "f: found the header of a table, and no rows"),
        (b"head,fpga,tdc_channel,orbit_cnt,bx_counter,tdc_meas\nx\n", "f: found the header of a table, and no rows"),
        (
            b"HEAD,FPGA,TDC_CHANNEL,BX_COUNTER,ORBIT_CNT,TDC_MEAS\n2,0,1,1,1,1\n",
            "f: found a table with the columns HEAD, FPGA, TDC_CHANNEL, BX_COUNTER, ORBIT_CNT, TDC_MEAS; allowed are "
            "HEAD, FPGA, TDC_CHANNEL, ORBIT_CNT, BX_COUNTER, TDC_MEAS, in this order",
        ),
        (b'"FPGA","HEAD","RUN"\n0,2,1\n', "f: found a table with the columns FPGA, HEAD, RUN; allowed are HEAD"),
        (b"1,0,1,1,1,1\n0,0,1,1,1,1\n", "found 0 rows of HEAD 2 and 1 of HEAD 1 among the first 2"),
        (b"\xff" * 64, "f: found neither text nor words of the boards"),
    ],
)
def test_what_is_not_recognised_is_one_line(sample: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        recognise(sample, "f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("named", [Format.COURSE, Format.FIRMWARE2019])
def test_columns_in_another_order_are_refused_also_when_the_format_is_named(named: Format) -> None:
    row = b"2,0,1,1,1,1\n" if named is Format.COURSE else b"1,0,1,1,1,1\n"
    check(",".join(COLUMNS).encode() + b"\n" + row, named, "f")
    with pytest.raises(SourceError, match=r"f: found a table with the columns FPGA, HEAD, .*in this order$"):
        check(b"FPGA,HEAD,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n" + row, named, "f")


def test_a_row_that_the_samples_end_cuts_does_not_count() -> None:
    rows = b"2,0,1,1,1,1\n" * 6000
    with_cut = rows[: 1 << 16]
    assert not with_cut.endswith(b"\n")
    assert recognise(with_cut, "f") is Format.COURSE


@pytest.mark.parametrize("named", list(Format))
def test_a_format_that_was_named_is_held_against_the_content(named: Format) -> None:
    samples = {
        Format.WORDS: binary(WORDS[:20]),
        Format.DMA: binary(WORDS[:20]),
        Format.COURSE: b"2,0,1,1,1,1\n" * 20,
        Format.FIRMWARE2019: b"1,0,1,1,1,1\n" * 20,
        Format.JSON: b'  {"HEAD":2}\n',
    }
    for other, sample in samples.items():
        if other is named or {named, other} <= set(BINARY):
            check(sample, named, "f")
        else:
            with pytest.raises(SourceError, match=rf"^f: found .*, which is not the format {named} that was named$"):
                check(sample, named, "f")


@pytest.mark.parametrize("format", list(Format))
def test_every_format_has_its_decoder(format: Format) -> None:
    data = {
        Format.WORDS: binary(WORDS[:128]),
        Format.DMA: binary(np.insert(WORDS[:128], 0, 591)),
        Format.COURSE: table_of(WORDS[:128]),
        Format.JSON: json_of(WORDS[:128]),
    }
    if format is Format.FIRMWARE2019:
        assert fed(decoder(format, "f"), b"1,0,8,5,6,1\n")[0] == [int(encode(fpga=0, channel=7, orbit=5, bx=6, tdc=2))]
    else:
        assert fed(decoder(format, "f"), data[format]) == (WORDS[:128].tolist(), 0, [])
