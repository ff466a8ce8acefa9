from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest
from decoding import WORDS
from hypothesis import given
from hypothesis import strategies as st

from muonstream.commands.simulate import table_of
from muonstream.formats.block import SourceError
from muonstream.sources.files import open_bytes, read_blocks, read_pieces


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


class Dripping(io.BytesIO):
    """A file that gives its bytes in pieces of these sizes, as a pipe may."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = sizes[::-1]

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._sizes.pop() if self._sizes else size)


@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=3),
    st.lists(st.integers(1, 30), max_size=20),
    st.booleans(),
)
def test_any_pieces_of_a_file_are_the_same_bytes(members: list[bytes], sizes: list[int], packed: bool) -> None:
    data = b"".join(gzip.compress(member) if packed else b"x" + member for member in members)
    expected = b"".join(members) if packed else data
    assert b"".join(read_pieces(Dripping(data, sizes), "f")) == expected


@pytest.mark.parametrize("data", [b"", b"\x1f", b"\x1fx", b"x"])
def test_a_short_file_is_no_gzip(data: bytes) -> None:
    assert b"".join(read_pieces(Dripping(data, [1]), "f")) == data


@given(st.integers(3, 60))
def test_gzip_that_is_cut_or_broken_is_refused(length: int) -> None:
    data = gzip.compress(bytes(range(100)))
    with pytest.raises(SourceError, match=r"^f: gzip data end too early$"):
        list(read_pieces(io.BytesIO(data[:length]), "f"))
    with pytest.raises(SourceError, match=r"^f: broken gzip data: "):
        list(read_pieces(io.BytesIO(data + b"rest of another kind"), "f"))


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"^{tmp_path}: found a folder, allowed is a file$"):
        open_bytes(str(tmp_path))
    with pytest.raises(SourceError, match=r"none: no such file$"):
        open_bytes(str(tmp_path / "none"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(SourceError, match=r"loop: cannot be read: "):
        open_bytes(str(loop))


@pytest.mark.parametrize("data", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "empty"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"empty: is empty$"):
        list(read_blocks(str(path)))


@pytest.mark.parametrize("n", [1, 100])
def test_the_first_block_begins_and_the_last_has_what_is_left(tmp_path: Path, n: int) -> None:
    path = tmp_path / "run.dat"
    path.write_bytes(WORDS[:n].astype("<u8").tobytes() + b"abc")
    blocks = list(read_blocks(str(path)))
    assert [block.begins for block in blocks] == [True, *[False] * (len(blocks) - 1)]
    assert [block.malformed for block in blocks][-1] == sum(block.malformed for block in blocks) == 1
    assert not any(block.idle for block in blocks)
    assert [word for block in blocks for word in block.words.tolist()] == WORDS[:n].tolist()


def test_what_is_open_can_be_read_live() -> None:
    """An idle piece while nothing comes, then what has come, then the end."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as handle, open(writing, "wb", buffering=0) as pipe:
        pieces = read_pieces(handle, "-", live=True)
        assert next(pieces) == b""
        pipe.write(b"abc")
        assert next(pieces) == b"abc"
        assert next(pieces) == b""
        pipe.close()
        assert list(pieces) == []
