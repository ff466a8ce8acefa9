from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from decoding import WORDS

from muonstream.commands.simulate import table_of
from muonstream.formats.block import Block, SourceError
from muonstream.formats.recognise import Format
from muonstream.sources.follow import follow
from muonstream.sources.watched import WatchedFile


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


def notes_of(blocks: list[Block]) -> list[str]:
    return [note for block in blocks for note in block.notes]


def until_idle(blocks: Iterator[Block]) -> list[Block]:
    """All blocks until nothing more is waiting."""
    found = []
    for block in blocks:
        found.append(block)
        if block.idle:
            break
    return found


def words_of(blocks: list[Block]) -> list[int]:
    return [word for block in blocks for word in block.words.tolist()]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none: no such file or folder$"):
        next(follow(str(tmp_path / "none"), None, Event()))


def test_a_file_is_recognised_as_soon_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "daq.csv"
    path.write_bytes(b"HEAD,FPGA,TDC_CHANNEL")
    stop = Event()
    blocks = follow(str(path), None, stop)
    assert words_of(until_idle(blocks)) == []
    with path.open("ab") as handle:
        handle.write(b",ORBIT_CNT,BX_COUNTER,TDC_MEAS\n" + table_of(WORDS[:50]))
    found = until_idle(blocks)
    assert words_of(found) == WORDS[:50].tolist()
    assert sum(block.begins for block in found) == 1
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_is_not_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"nothing to see\n" * 1000)
    with pytest.raises(SourceError, match=r"notes.txt: found "):
        list(follow(str(path), None, Event()))
    path.write_bytes(WORDS.astype("<u8").tobytes())
    with pytest.raises(SourceError, match="which is not the format json that was named"):
        list(follow(str(path), Format.JSON, Event()))


def test_what_shows_no_format_by_the_end_of_the_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"hello")
    stop = Event()
    stop.set()
    with pytest.raises(SourceError, match=r"short: found "):
        list(follow(str(path), None, stop))


def test_a_finished_file_that_is_taken_from_a_folder_is_not_missed(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "1.dat").write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    until_idle(blocks)
    (tmp_path / "1.dat").unlink()
    until_idle(blocks)
    (tmp_path / "2.dat").write_bytes(data[800:1600])
    found = until_idle(blocks)
    assert words_of(found) == WORDS[100:200].tolist()
    stop.set()
    assert notes_of([*found, *blocks]) == []


@pytest.mark.parametrize("folder", [True, False])
def test_an_empty_file_and_an_empty_folder_are_idle(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "daq"
    path.mkdir() if folder else path.touch()
    stop = Event()
    blocks = follow(str(path), None, stop)
    [only] = until_idle(blocks)
    assert (len(only.words), only.malformed, only.begins) == (0, 0, False)
    stop.set()
    assert sum(block.malformed for block in blocks) == 0


def test_the_rest_of_a_word_is_malformed_when_its_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    path.write_bytes(WORDS[:10].astype("<u8").tobytes() + b"abc")
    stop = Event()
    blocks = follow(str(path), None, stop)
    assert sum(block.malformed for block in until_idle(blocks)) == 0
    stop.set()
    assert sum(block.malformed for block in blocks) == 1


def test_hidden_and_unfinished_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    data = WORDS[:20].astype("<u8").tobytes()
    for name in (".hidden", "a.tmp", "a.part"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == []
    (tmp_path / "a.part").rename(tmp_path / "a.dat")
    assert words_of(until_idle(blocks)) == WORDS[:20].tolist()
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_was_left_is_read_on_when_it_grows(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "1.dat").write_bytes(data[:804])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:100].tolist()
    (tmp_path / "2.dat").write_bytes(data[4000:8000])
    assert words_of(until_idle(blocks)) == WORDS[500:1000].tolist()
    with (tmp_path / "1.dat").open("ab") as handle:
        handle.write(data[804:4000])
    found = until_idle(blocks)
    assert words_of(found) == WORDS[100:500].tolist()
    assert notes_of(found) == [
        f"{tmp_path / '1.dat'}: has grown by 3,196 bytes after 2.dat was begun; they are read now"
    ]
    stop.set()
    assert words_of(list(blocks)) == []


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_written_before_another_takes_its_place_is_read(
    tmp_path: Path, folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = WORDS[:3000].astype("<u8").tobytes()
    first = tmp_path / "1.dat"
    first.write_bytes(data[:8000])
    stop = Event()
    blocks = follow(str(tmp_path if folder else first), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:1000].tolist()
    changed = WatchedFile.changed
    late = [True]

    def and_then(file: WatchedFile) -> bool:
        if late:
            # the DAQ, just after the source was looked at
            late.clear()
            with first.open("ab") as handle:
                handle.write(data[8000:16000])
            if folder:
                (tmp_path / "2.dat").write_bytes(data[16000:])
            else:
                first.rename(tmp_path / "old")
                first.write_bytes(data[16000:])
        return changed(file)

    monkeypatch.setattr(WatchedFile, "changed", and_then)
    found = until_idle(blocks)
    found += until_idle(blocks)
    assert words_of(found) == WORDS[1000:3000].tolist()
    stop.set()
    list(blocks)


@pytest.mark.parametrize("n_before", [40, 100, 1000, 1400, 2000])  # words, few and many beside those remembered
def test_a_file_written_anew_is_read_from_its_beginning(tmp_path: Path, n_before: int) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[: 8 * n_before])
    stop = Event()
    blocks = follow(str(path), Format.WORDS, stop)
    assert words_of(until_idle(blocks)) == WORDS[:n_before].tolist()
    path.write_bytes(data[4_000:15_200])  # the same file, now of 1400 other words
    found = until_idle(blocks)
    assert notes_of(found) == [f"{path}: was cut short or written anew, and is read from its beginning"]
    assert words_of(found) == WORDS[500:1900].tolist()
    assert sum(block.begins for block in found) == 1
    with path.open("ab") as handle:
        handle.write(data[15_200:])
    assert words_of(until_idle(blocks)) == WORDS[1900:].tolist()
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_cannot_be_read_any_more_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "daq.dat"
    path.write_bytes(WORDS.astype("<u8").tobytes())
    blocks = follow(str(path), None, Event())
    until_idle(blocks)

    def broken(descriptor: int, size: int, offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(SourceError, match=rf"^{path}: cannot be read: Input/output error$"):
        next(blocks)


def test_what_is_written_anew_just_before_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(path), None, stop)
    until_idle(blocks)
    path.write_bytes(data[8000:16000])
    stop.set()
    assert words_of(list(blocks)) == WORDS[1000:2000].tolist()


def test_a_file_that_goes_away_and_comes_again_is_said(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(path), None, stop)
    until_idle(blocks)
    path.rename(tmp_path / "old")
    found = [*until_idle(blocks), *until_idle(blocks)]
    assert words_of(found) == []
    assert notes_of(found) == [f"{path}: is gone; one of its name is waited for"]
    path.write_bytes(data[800:1600])
    found = [*until_idle(blocks), *until_idle(blocks)]
    assert words_of(found) == WORDS[100:200].tolist()
    assert notes_of(found) == [f"{path}: is another file now, which is read from its beginning"]
    stop.set()
    list(blocks)
