"""Words of files, block by block: all of them, in constant memory, with what became of each byte."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import muonstream
from muonstream.errors import MuonstreamError

WORDS = muonstream.simulate_words(30_000)


def test_all_words_come_in_order_and_every_byte_is_accounted_for(tmp_path: Path) -> None:
    parts = [tmp_path / "data_0.dat", tmp_path / "data_1.dat.gz"]
    raw = WORDS.astype("<u8").tobytes()
    parts[0].write_bytes(raw[:100_004])  # a word is cut between the two
    parts[1].write_bytes(gzip.compress(raw[100_004:]))
    reader = muonstream.read_words(parts)
    assert np.array_equal(np.concatenate(list(reader)), WORDS)
    assert (reader.words, reader.malformed, len(reader.inputs)) == (30_000, 0, 2)
    assert (reader.account.bytes.words, reader.account.waiting, reader.account.unbalanced) == (240_000, 0, 0)
    assert list(reader) == []


def test_rows_that_are_no_words_are_counted_and_described(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n" + "2,0,5,100,200,3\n" * 300 + "x,,,,,\n")
    reader = muonstream.read_words(str(file))
    assert sum(len(words) for words in reader) == reader.words == 300
    assert reader.malformed == 1
    assert any(line.startswith(f"{file}:302: ") for line in reader.notes)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    file = tmp_path / "large.dat"
    with file.open("wb") as handle:
        for i in range(40):
            handle.write((WORDS + (np.uint64(i * 100_000) << np.uint64(17))).tobytes())
    sizes = [len(words) for words in muonstream.read_words(file)]
    assert sum(sizes) == 40 * len(WORDS)
    assert max(sizes) <= 1 << 21


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MuonstreamError, match=r"no\.dat: no such file"):
        muonstream.read_words("no.dat")
    file = tmp_path / "a.txt"
    file.write_text("some letter to my mother\n" * 50)
    reader = muonstream.read_words(file)
    with pytest.raises(MuonstreamError, match=r"a\.txt: "):
        list(reader)
