"""What is no data is called by its name, and data never are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.signatures import signature
from muonstream.words import encode

WORDS = encode(
    head=np.uint64(2),
    fpga=np.arange(400) % 2,
    channel=np.arange(400) % 128,
    orbit=np.arange(400) // 4 + 1_000_000,
    bx=np.arange(400) * 7 % 3564,
    tdc=np.arange(400) % 30 + 1,
)
TABLE = "HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n" + "2,0,65,1000000,1154,11\n" * 400


def zip_of(name: str, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, words=np.arange(5))
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, WORDS)
    return buffer.getvalue()


def tar_of(format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        archive.addfile(tarfile.TarInfo("Run000591/data_000000.dat"), io.BytesIO())
    return buffer.getvalue()


def oldest_tar() -> bytes:
    """As before `ustar`: no magic number, only a check sum."""
    header = bytearray(tar_of(tarfile.USTAR_FORMAT)[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zip_of("data_000000.dat"), "a zip archive; unpack it first"),
        (zip_of("[Content_Types].xml"), "an Office document"),
        (npz(), "numpy arrays"),
        (npy(), "a numpy array"),
        (tar_of(tarfile.USTAR_FORMAT), "a tar archive; unpack it first"),
        (tar_of(tarfile.GNU_FORMAT), "a tar archive; unpack it first"),
        (oldest_tar(), "a tar archive; unpack it first"),
        (zlib.compress(bytes(range(256)) * 9), "zlib data; decompress it first"),
        (gzip.compress(b"x"), "gzip data inside compressed data"),
        (bz2.compress(b"x"), "bzip2 data inside compressed data"),
        (lzma.compress(b"x"), "xz data inside compressed data"),
        (lzma.compress(b"x", lzma.FORMAT_ALONE), "lzma data; decompress it first"),
        (b"\x1f\x9d\x90abc", "compress data"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (b"root\x00\x00\xf6\x38", "a ROOT file"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0", "a program (Windows)"),
        (Path(sys.executable).read_bytes()[:4096], "a program"),
        (bytes(16) + b"\xde\xc0\xef\xbe\x01\0\0\0", "an LMDB database"),
        (b"\xef\xbb\xbf\n <!DOCTYPE HTML>\n<html>", "a web page (HTML)"),
        (b"<!-- saved -->\n<html lang=en>", "a web page (HTML)"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">', "a web page (HTML)"),
        (b'<?xml version="1.0"?><svg/>', "an image (SVG)"),
        (b'<?xml version="1.0"?><run/>', "an XML document"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "an image (BMP)"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound (WAV)"),
        (b"\0\0\0\x18ftypmp42", "a video (MP4)"),
    ],
)
def test_what_is_not_data_is_named(content: bytes, said: str) -> None:
    assert (signature(content) or "nothing").startswith(said)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"words": [1]}, [1, 2], WORDS], ids=["dict", "list", "array"])
def test_a_pickle_is_named(protocol: int, value: object) -> None:
    assert (signature(pickle.dumps(value, protocol)) or "").startswith("a Python pickle")


def test_a_database_is_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("create table hits (head int)")
    database.close()
    assert signature((tmp_path / "x.db").read_bytes()) == "an SQLite database; export its hits first"


@given(st.lists(st.tuples(*(st.integers(0, top) for top in (7, 7, 511, 2**32 - 1, 3563, 31))), max_size=200))
def test_words_are_never_named(fields: list[tuple[int, ...]]) -> None:
    columns = np.array(fields, np.uint64).reshape(-1, 6).T
    names = ("head", "fpga", "channel", "orbit", "bx", "tdc")
    words = encode(**dict(zip(names, columns, strict=True)))
    assert signature(words.astype("<u8").tobytes()) is None


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("before", ["", "# a comment\n", '"HEAD";"FPGA"\n', '[{"HEAD": 2}]\n', "\n\n", "0,"])
def test_text_of_any_dialect_and_encoding_is_not_named(before: str, encoding: str) -> None:
    text = before + TABLE
    assert signature(text.encode(encoding)) is None


@given(st.binary(max_size=5))
def test_a_few_bytes_do_no_harm(data: bytes) -> None:
    signature(data)
