from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from decoding import WORDS

from muonstream.commands.simulate import table_of
from muonstream.formats.block import Block, InputReport, SourceError
from muonstream.sources.files import open_bytes, raw_pieces, read_blocks, read_parts
from tools.streams import StreamConfig, as_words, make_words


def test_gzip_is_read_whole_a_truncated_one_noted_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "hits.csv.gz"
    data = table_of(WORDS)
    path.write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:]))
    assert [w for block in read_blocks(str(path)) for w in block.words.tolist()] == WORDS.tolist()
    path.write_bytes(gzip.compress(data)[:-200])
    blocks = list(read_blocks(str(path)))
    assert any("inside gzip data (truncated" in note for block in blocks for note in block.notes)
    broken = bytearray(gzip.compress(data))
    broken[len(broken) // 2] ^= 0xFF
    path.write_bytes(broken)
    with pytest.raises(SourceError, match=r"hits.csv.gz: broken gzip data: "):
        list(read_blocks(str(path)))


def test_urls_are_read_through_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://run.dat", "wb") as handle:
        handle.write(WORDS.astype("<u8").tobytes())
    assert sum(len(block.words) for block in read_blocks("memory://run.dat")) == len(WORDS)
    with pytest.raises(SourceError, match="memory://none: cannot be read"):
        list(read_blocks("memory://none"))


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError,
        match=f"^{tmp_path}: expected a file, found a folder; give its files .*, or read it with muonstream run .*$",
    ):
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


@pytest.mark.parametrize("n", [2, 100])
def test_the_first_block_begins_and_the_last_has_what_is_left(tmp_path: Path, n: int) -> None:
    path = tmp_path / "run.dat"
    path.write_bytes(WORDS[:n].astype("<u8").tobytes() + b"abc")
    blocks = list(read_blocks(str(path)))
    assert [block.begins for block in blocks] == [True, *[False] * (len(blocks) - 1)]
    assert sum(block.malformed for block in blocks) == 1
    assert not any(block.idle for block in blocks)
    assert [word for block in blocks for word in block.words.tolist()] == WORDS[:n].tolist()


def test_what_is_open_can_be_read_live() -> None:
    """An idle piece while nothing comes, then what has come, then the end."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as handle, open(writing, "wb", buffering=0) as pipe:
        pieces = raw_pieces(handle, True)
        assert next(pieces) == b""
        pipe.write(b"abc")
        assert next(pieces) == b"abc"
        assert next(pieces) == b""
        pipe.close()
        assert list(pieces) == []


def test_words_of_a_pipe_are_given_before_it_ends(tmp_path: Path) -> None:
    """Also where all of it is read: Ctrl-C must not lose what came."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # so that neither side waits for the other
    try:
        os.write(writer, WORDS[:1000].astype("<u8").tobytes())
        blocks = read_blocks(str(pipe))
        assert words_of([next(blocks)]) == WORDS[:1000].tolist()
    finally:
        os.close(writer)


@pytest.mark.parametrize("form", ["one file", "parts", "text"])
def test_words_that_come_again_at_the_end_are_in_an_inputs_report(tmp_path: Path, form: str) -> None:
    """Nothing behind them ends the repeated stretch; in parts, each is decoded by itself."""
    again = WORDS[500:1000]
    data = table_of if form == "text" else lambda words: words.astype("<u8").tobytes()
    parts = [data(WORDS[:1000]), data(again)]
    if form != "parts":
        parts = [b"".join(parts)]
    names = [str(tmp_path / f"data_{i}") for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        Path(name).write_bytes(part)
    blocks = list(read_parts(names))
    assert sum(block.repeated for block in blocks) == 500
    assert sum(report.repeated for report in reports_of(blocks).values()) == 500
    where = "data_1: words 1 to 500" if form == "parts" else "data_0: words 1,001 to 1,500"
    assert any(f"{where} are the same" in note for block in blocks for note in block.notes)


@pytest.mark.parametrize(
    ("data", "broken"),
    [
        (gzip.compress(WORDS.tobytes()), 0),
        (gzip.compress(WORDS.tobytes()) + bytes(100), 0),
        (gzip.compress(WORDS.tobytes()) + b"end of run", 1),
        (gzip.compress(WORDS.tobytes()) + b"\n" + gzip.compress(WORDS.tobytes()), 1),
        (gzip.compress(WORDS.tobytes())[:-8], 1),
        (gzip.compress(WORDS.tobytes())[:9000], 1),
    ],
)
def test_compressed_data_that_are_cut_or_go_on_otherwise_are_reported(tmp_path: Path, data: bytes, broken: int) -> None:
    path = tmp_path / "run.dat.gz"
    path.write_bytes(data)
    assert reports_of(read_blocks(str(path)))[str(path)].broken == broken


def words_of(blocks: Iterable[Block]) -> list[int]:
    return [word for block in blocks for word in block.words.tolist()]


def reports_of(blocks: Iterable[Block]) -> dict[str, InputReport]:
    """The newest report of each input."""
    return {block.report.name: block.report for block in blocks if block.report is not None}


@pytest.mark.parametrize("cut", [8000, 8003, 8 * 129 * 5 + 400, 8 * 129 * 5 + 403])
@pytest.mark.parametrize("form", ["words", "dma", "course"])
def test_parts_that_were_cut_anywhere_are_one_stream(tmp_path: Path, cut: int, form: str) -> None:
    words = WORDS[: 128 * 15]
    data = words.astype("<u8").tobytes()
    if form == "dma":
        data = np.insert(words.reshape(15, 128), 0, 591, axis=1).astype("<u8").tobytes()
    elif form == "course":
        data = table_of(words)
    names = [tmp_path / "part_1", tmp_path / "part_2"]
    for name, part in zip(names, (data[:cut], data[cut:]), strict=True):
        name.write_bytes(part)
    blocks = list(read_parts([str(name) for name in names]))
    assert words_of(blocks) == words.tolist()
    assert sum(block.malformed for block in blocks) == 0
    reports = reports_of(blocks)
    assert [reports[str(name)].format for name in names] == [form, form]
    assert all(report.balanced and not report.waiting for report in reports.values())
    assert sum(report.size for report in reports.values()) == len(data)


def test_the_same_file_and_a_copy_and_the_same_words_in_text_are_passed_over(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    first, link, copy, text = (tmp_path / name for name in ("a.dat", "link.dat", "copy.dat", "a.csv"))
    first.write_bytes(data)
    link.symlink_to(first)
    copy.write_bytes(data)
    text.write_bytes(table_of(WORDS[:1500]))
    blocks = list(read_parts([str(path) for path in (first, first, link, copy, text)]))
    assert words_of(blocks) == WORDS.tolist()
    over = [report for report in reports_of(blocks).values() if report.status == "passed over"]
    assert [report.why.replace(str(tmp_path), "") for report in over] == [
        "is the same file as /a.dat",
        "is the same file as /a.dat",
        f"the same {len(WORDS):,} hits as /a.dat",
        "the same 1,500 hits as /a.dat",
    ]
    assert all(report.balanced for report in over)
    assert sum(len(block.notes) for block in blocks) == 4


def test_a_longer_copy_is_read_from_where_the_first_file_ends(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "a.dat").write_bytes(data[:8000])
    (tmp_path / "b.dat").write_bytes(data)
    blocks = list(read_parts([str(tmp_path / name) for name in ("a.dat", "b.dat")]))
    assert words_of(blocks) == WORDS.tolist()
    notes = [note.replace(str(tmp_path), "") for block in blocks for note in block.notes]
    assert notes == ["/b.dat: begins with the same 1,000 hits as /a.dat, which are not counted again"]
    assert all(report.balanced and not report.waiting for report in reports_of(blocks).values())


@pytest.mark.parametrize("more", [0, 100])
def test_a_file_of_several_others_joined_is_counted_once(tmp_path: Path, more: int) -> None:
    data = WORDS.astype("<u8").tobytes()
    new = (WORDS[:more] + np.uint64(1 << 40)).astype("<u8").tobytes()
    parts = {"a.dat": data[:8000], "b.dat": data[8000:], "joined.dat": data + new}
    for name, part in parts.items():
        (tmp_path / name).write_bytes(part)
    blocks = list(read_parts([str(tmp_path / name) for name in parts]))
    assert words_of(blocks) == [*WORDS.tolist(), *(WORDS[:more] + np.uint64(1 << 40)).tolist()]
    notes = [note.replace(str(tmp_path), "") for block in blocks for note in block.notes]
    same = f"the same {len(WORDS):,} hits as /a.dat and /b.dat"
    expected = f"begins with {same}, which are not counted again" if more else f"{same}; passed over"
    assert f"/joined.dat: {expected}" in notes


def test_a_file_that_begins_like_another_and_then_differs_is_counted_whole(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "a.dat").write_bytes(data[:8000])
    (tmp_path / "b.dat").write_bytes(data[:4000] + data[8000:])
    blocks = list(read_parts([str(tmp_path / name) for name in ("a.dat", "b.dat")]))
    assert words_of(blocks) == [*WORDS[:1000].tolist(), *WORDS[:500].tolist(), *WORDS[1000:].tolist()]
    notes = [note.replace(str(tmp_path), "") for block in blocks for note in block.notes]
    assert "/b.dat: begins with the same 500 hits as /a.dat and then differs; all are counted" in notes
    assert any("500 words twice" in note for note in notes)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_empty_part_is_passed_over_and_the_others_are_joined(tmp_path: Path, which: int) -> None:
    words = make_words(StreamConfig(words=900))
    data = as_words(words)
    parts = [data[:2003], data[2003:]]
    parts.insert(which, b"")
    names = [str(tmp_path / f"data_{i}.dat") for i in range(3)]
    for name, part in zip(names, parts, strict=True):
        Path(name).write_bytes(part)
    blocks = list(read_parts(names))
    assert np.concatenate([block.words for block in blocks]).tolist() == words.tolist()
    assert [note for block in blocks for note in block.notes] == [f"{names[which]}: is empty; passed over"]
