"""Compressed content, however it is cut, joined, padded, broken, or meant to exhaust memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats import inflate
from muonstream.formats.block import SourceError
from muonstream.formats.unpack import JOINED_BYTES, Unpacker


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_of_a_stream(data: bytes) -> bytes:
    """As a program writes it that does not know the size: blocks as small as they come, no size, no checksum."""
    packer = zstandard.ZstdCompressor(write_checksum=False, write_content_size=False).compressobj()
    out = [
        packer.compress(data[i : i + 77]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for i in range(0, len(data), 77)
    ]
    return b"".join(out) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zstd of a stream": zstd_of_a_stream,
}
SKIPPABLE = b"\x5e\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"


def unpacked(data: bytes, sizes: list[int]) -> tuple[bytes, Unpacker]:
    """Content of an input that arrives in pieces of these sizes (the last one again and again)."""
    unpacker = Unpacker("f")
    content: list[bytes] = []
    at = step = 0
    while at < len(data):
        size = sizes[min(step, len(sizes) - 1)]
        content += map(bytes, unpacker.feed(data[at : at + size]))
        at, step = at + size, step + 1
    content += map(bytes, unpacker.finish())
    assert max(map(len, content), default=0) <= max(JOINED_BYTES, max(sizes))
    assert (unpacker.position, unpacker.content) == (len(data), sum(map(len, content)))
    return b"".join(content), unpacker


CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=20)
CONTENT = st.one_of(st.binary(max_size=300), st.integers(0, 3000).map(lambda n: b"123,456\n" * n))


@given(st.lists(st.tuples(st.sampled_from(sorted(PACK)), CONTENT, st.integers(0, 20)), min_size=1, max_size=4), CUTS)
def test_members_and_padding_are_one_content_however_they_are_cut(
    members: list[tuple[str, bytes, int]], cuts: list[int]
) -> None:
    data = b"".join(PACK[kind](content) + bytes(zeros) for kind, content, zeros in members)
    content, unpacker = unpacked(data, cuts)
    assert content == b"".join(content for _, content, _ in members)
    assert unpacker.compression == members[0][0].split()[0]
    assert (unpacker.padding, unpacker.passed_over) == (sum(zeros for *_, zeros in members), 0)
    assert len(unpacker.take_notes()) == sum(zeros > 0 for *_, zeros in members)
    assert not unpacker.truncated


@given(st.binary(max_size=50), CUTS)
def test_content_that_is_not_compressed_passes(data: bytes, cuts: list[int]) -> None:
    if inflate.compression_of(data):
        return
    content, unpacker = unpacked(data, cuts)
    assert content == data
    assert unpacker.compression == ""
    assert unpacker.take_notes() == []


@pytest.mark.parametrize(
    "data", [b"", b"\x1f", b"\x1f\x8b", b"BZh9123456", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f", b"\x1f\x9d"]
)
def test_the_beginning_of_a_magic_number_is_content(data: bytes) -> None:
    assert unpacked(data, [1])[0] == data


def test_content_that_is_not_compressed_is_not_copied() -> None:
    unpacker, data = Unpacker("f"), bytearray(1 << 16)
    view = memoryview(data)
    assert [id(piece) for piece in unpacker.feed(view)] == [id(view)]
    assert [id(piece) for piece in unpacker.feed(view)] == [id(view)]


@given(st.sampled_from(sorted(PACK)), CONTENT, st.binary(min_size=1, max_size=40).filter(lambda b: b[0]), CUTS)
def test_what_follows_the_last_member_is_passed_over_with_its_place(
    kind: str, data: bytes, behind: bytes, cuts: list[int]
) -> None:
    if inflate.compression_of(behind):
        return
    packed = PACK[kind](data)
    content, unpacker = unpacked(packed + bytes(3) + behind, cuts)
    assert content == data
    assert (unpacker.padding, unpacker.passed_over) == (3, len(behind))
    notes = unpacker.take_notes()
    assert any(note.startswith(f"f: byte {len(packed) + 3:,}: found other bytes behind") for note in notes)


@given(st.sampled_from(sorted(PACK)), CONTENT, st.integers(10, 4000), CUTS)
def test_an_input_that_ends_inside_a_member_gives_what_is_there(
    kind: str, data: bytes, length: int, cuts: list[int]
) -> None:
    packed = PACK[kind](data)
    content, unpacker = unpacked(packed[:length], cuts)
    assert data.startswith(content)
    assert unpacker.truncated == (length < len(packed))
    assert any("end of the input inside" in note for note in unpacker.take_notes()) == unpacker.truncated


def test_a_growing_file_gives_all_that_its_writer_has_flushed() -> None:
    packer = zlib.compressobj(wbits=31)
    unpacker = Unpacker("f")
    for row in (b"one", b"two", b"three"):
        flushed = packer.compress(row) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(map(bytes, unpacker.feed(flushed))) == row


@given(CONTENT, st.integers(0, 1 << 20), CUTS)
def test_gzip_that_is_broken_gives_the_same_content_however_it_is_cut(data: bytes, place: int, cuts: list[int]) -> None:
    packed = bytearray(gzip.compress(data, mtime=0))
    packed[10 + place % (len(packed) - 10)] ^= 0x55

    def outcome(sizes: list[int]) -> tuple[bytes, str]:
        unpacker, content, fault, at = Unpacker("f"), b"", "", 0
        try:
            for step in range(len(packed)):
                size = sizes[min(step, len(sizes) - 1)]
                for piece in unpacker.feed(bytes(packed[at : at + size])):
                    content += piece
                at += size
            list(unpacker.finish())
        except SourceError as error:
            fault = str(error)
        return content, fault + "".join(unpacker.take_notes())

    assert outcome(cuts) == outcome([len(packed)])
    assert outcome(cuts)[1]


@pytest.mark.parametrize("kind", sorted(PACK))
def test_broken_data_are_one_line(kind: str) -> None:
    packed = bytearray(PACK[kind](bytes(range(256)) * 40))
    first = PACK[kind](b"x")
    place = 6 if kind.startswith("zstd") else 20  # a block's header: content without a checksum may be anything
    packed[place:40] = b"\xaa" * (40 - place)
    with pytest.raises(
        SourceError, match=rf"^f: broken {kind.split()[0]} data: [^\n]+, in the member .* byte {len(first)}$"
    ):
        unpacked(first + bytes(packed), [1 << 20])


@given(st.lists(st.sampled_from([SKIPPABLE, zstd(b"ab"), zstd_of_a_stream(b"cd" * 100), zstd(b"")]), min_size=1), CUTS)
def test_skippable_frames_are_skipped(frames: list[bytes], cuts: list[int]) -> None:
    content, unpacker = unpacked(b"".join(frames), cuts)
    known = {SKIPPABLE: b"", zstd(b"ab"): b"ab", zstd_of_a_stream(b"cd" * 100): b"cd" * 100, zstd(b""): b""}
    assert content == b"".join(known[frame] for frame in frames)
    assert unpacker.compression == "zstd"


RLE_BLOCK = struct.pack("<I", (128 << 10) << 3 | 2)[:3] + b"\0"


def zstd_head(window_log: int) -> bytes:
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lzma.compress(bytes(1000), preset=9), "found xz data that need more than 48 MiB of memory"),
        (
            zstd_head(27) + RLE_BLOCK,
            "found zstd data that need 128 MiB of memory to decompress, expected at most 32 MiB",
        ),
    ],
)
def test_data_that_need_too_much_memory_are_refused_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=f"^f: {reason}[^\n]*$"):
        unpacked(data, [1 << 20])


def test_zstd_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zstandard", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SourceError, match=r"^f: found zstd data, which need the extra: pip install '\.\[zstd\]'"):
        unpacked(zstd(b"abc"), [100])


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(bytes(200 << 20), 9),
    "bzip2": lambda: bz2.compress(bytes(45 << 20)) * 4,
    "xz": lambda: lzma.compress(bytes(128 << 20), preset=8),
    "zstd": lambda: zstd_head(25) + RLE_BLOCK * 2000,
    "empty members": lambda: gzip.compress(b"") * 20_000,
}

MEASURE = """
import resource, sys
from muonstream.formats.unpack import Unpacker
import bz2, lzma, zlib, zstandard
data = sys.stdin.buffer.read()
unpacker = Unpacker("f")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in unpacker.feed(data):
    pass
list(unpacker.finish())
print(unpacker.content, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is counted in KiB on Linux")
@pytest.mark.parametrize("kind", sorted(BOMBS))
def test_little_that_becomes_much_takes_little_memory(kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], input=BOMBS[kind](), capture_output=True, check=True)
    content, kib = map(int, done.stdout.split())
    assert content >= (0 if kind == "empty members" else 100 << 20)
    assert kib <= 64 << 10
