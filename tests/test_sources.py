from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.commands.simulate import table_of
from muonstream.simulation import simulate_words
from muonstream.sources.binary import DmaDecoder, WordDecoder
from muonstream.sources.block import SourceError
from muonstream.sources.files import read_blocks
from muonstream.sources.follow import follow
from muonstream.sources.formats import Decoder, Format, recognise
from muonstream.sources.jsonlines import JsonDecoder
from muonstream.sources.text import COLUMNS, TableDecoder
from muonstream.words import Words, decode, encode

WORDS = simulate_words(2000, seed=11, start_orbit=3_000_000_000)
FAULTY = b"""2,0,5,100,10
2,0,5,100,10,3,4
2,a,5,100,10,3
2,-1,5,100,10,3
2,0,900,1,1,3
2,0,5,100,10,3.5
2,0,5,5000000000,1,1
"""


def fed(decoder: Decoder, data: bytes, cuts: list[int] | None = None) -> tuple[list[int], int, list[str]]:
    edges = [0, *sorted(cuts or []), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(edges)]
    blocks.append(decoder.feed(b"", last=True))
    return (
        [word for block in blocks for word in block.words.tolist()],
        sum(block.malformed for block in blocks),
        [fault for block in blocks for fault in block.faults],
    )


def json_of(words: Words) -> bytes:
    f = decode(words)
    rows = zip(*(a.tolist() for a in (f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc)), strict=True)
    return b"".join(json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in rows)


def test_tables_and_json_are_the_words_they_were_made_of() -> None:
    assert fed(TableDecoder("t"), table_of(WORDS)) == (WORDS.tolist(), 0, [])
    assert fed(TableDecoder("t"), (",".join(COLUMNS) + "\r\n").encode() + table_of(WORDS).replace(b"\n", b"\r\n")) == (
        WORDS.tolist(),
        0,
        [],
    )
    assert fed(JsonDecoder("j"), json_of(WORDS)) == (WORDS.tolist(), 0, [])


@given(st.lists(st.integers(0, 400), max_size=12), st.sampled_from(["course", "json", "words"]))
def test_any_cut_of_the_bytes_gives_the_same(cuts: list[int], kind: str) -> None:
    data = {
        "course": table_of(WORDS[:8]) + FAULTY + b"4,0,0,7,17444,-0.5\n2,1,6,7,8,9",
        "json": json_of(WORDS[:3]) + b'{"HEAD": 2}\n[]\nnone\n' + json_of(WORDS[3:5]).rstrip(),
        "words": WORDS[:30].astype("<u8").tobytes() + b"abc",
    }[kind]
    make = {"course": TableDecoder, "json": JsonDecoder, "words": WordDecoder}[kind]
    assert fed(make("f"), data, [cut for cut in cuts if cut < len(data)]) == fed(make("f"), data)


def test_faulty_rows_are_counted_named_and_left_out() -> None:
    words, malformed, faults = fed(TableDecoder("f.csv"), b"2,0,5,100,10,3\n" + FAULTY + b"2,1,6,7,8,9")
    assert words == encode(fpga=[0, 1], channel=[5, 6], orbit=[100, 7], bx=[10, 8], tdc=[3, 9]).tolist()
    assert malformed == len(faults) == 7
    assert faults[0] == "f.csv:2: found 5 columns, allowed are 6: '2,0,5,100,10'"
    assert faults[2] == "f.csv:4: FPGA: found 'a', allowed are whole numbers from 0 to 7"
    assert faults[3] == "f.csv:5: FPGA: found '-1', allowed are whole numbers from 0 to 7"
    assert faults[5] == "f.csv:7: TDC_MEAS: found '3.5', allowed are whole numbers from 0 to 31"


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


def test_dma_transfers_lose_their_run_words() -> None:
    transfers = np.insert(WORDS[:1280].reshape(10, 128), 0, 591, axis=1).astype("<u8").tobytes()
    assert recognise(transfers, "f") is Format.DMA
    assert fed(DmaDecoder("f"), transfers, [5, 1033, 4000]) == (WORDS[:1280].tolist(), 0, [])


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


def test_gzip_is_read_whole_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "hits.csv.gz"
    data = table_of(WORDS)
    path.write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:]))
    assert [w for block in read_blocks(str(path)) for w in block.words.tolist()] == WORDS.tolist()
    path.write_bytes(gzip.compress(data)[:-200])
    with pytest.raises(SourceError, match="gzip data end too early"):
        list(read_blocks(str(path)))


def test_urls_are_read_through_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://run.dat", "wb") as handle:
        handle.write(WORDS.astype("<u8").tobytes())
    assert sum(len(block.words) for block in read_blocks("memory://run.dat")) == len(WORDS)
    with pytest.raises(SourceError, match="memory://none: cannot be read"):
        list(read_blocks("memory://none"))


def test_a_growing_truncated_and_replaced_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:804])
    stop = Event()
    blocks = follow(str(path), None, stop)

    def available() -> tuple[list[int], int]:
        """All words until the file has nothing new, and how many beginnings."""
        words, begins = [], 0
        for block in blocks:
            words += block.words.tolist()
            begins += block.begins
            if block.idle:
                return words, begins
        return words, begins

    assert available() == (WORDS[:100].tolist(), 1)
    with path.open("ab") as handle:
        handle.write(data[804:8000])
    assert available() == (WORDS[100:1000].tolist(), 0)
    path.write_bytes(data[:1600])  # truncated, and written anew
    assert available() == (WORDS[:200].tolist(), 1)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(data[1600:4000])
    fresh.rename(path)
    assert available() == (WORDS[200:500].tolist(), 1)
    stop.set()
    assert available() == ([], 0)


def test_a_folders_files_follow_one_another(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "run_1.dat").write_bytes(data[:4000])
    (tmp_path / "run_2.dat").write_bytes(data[4000:])
    stop = Event()
    words: list[int] = []
    for block in follow(str(tmp_path), None, stop):
        words += block.words.tolist()
        if block.idle:
            stop.set()
    assert words == WORDS.tolist()
