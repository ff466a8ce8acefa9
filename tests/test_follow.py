from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from decoding import WORDS

from muonstream.commands.simulate import table_of
from muonstream.sources.block import Block, SourceError
from muonstream.sources.follow import follow
from muonstream.sources.formats import ENOUGH_BYTES, Format


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
    assert [block.begins for block in found if len(block.words)] == [True]
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_is_not_recognised_is_refused_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"nothing to see\n" * 1000)
    with pytest.raises(SourceError, match=r"notes.txt: found text that is no table"):
        list(follow(str(path), None, Event()))
    path.write_bytes(WORDS.astype("<u8").tobytes()[:ENOUGH_BYTES])
    with pytest.raises(SourceError, match="which is not the format json that was named"):
        list(follow(str(path), Format.JSON, Event()))


def test_what_was_never_recognised_is_malformed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"hello")
    stop = Event()
    stop.set()
    found = list(follow(str(path), None, stop))
    assert sum(block.malformed for block in found) == 1
    assert [fault for block in found for fault in block.faults] == [f"{path}: byte 0: found 5 bytes of no format"]


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


def test_a_file_grows_until_the_next_one_is_there(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "2.dat").write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:100].tolist()
    with (tmp_path / "2.dat").open("ab") as handle:
        handle.write(data[800:1600])
    (tmp_path / "1.dat").write_bytes(data[1600:2400])  # an earlier name, but later
    found = until_idle(blocks)
    assert words_of(found) == WORDS[100:300].tolist()
    assert sum(block.begins for block in found) == 1
    stop.set()
    assert words_of(list(blocks)) == []


class Writer(Event):
    """An event whose reader is between his last read and his look at the folder whenever he asks; then once writes."""

    def __init__(self) -> None:
        super().__init__()
        self.write: Callable[[], None] | None = None

    def is_set(self) -> bool:
        write, self.write = self.write, None
        if write is not None:
            write()
        return super().is_set()


@pytest.mark.parametrize("how", ["next", "replaced"])
def test_what_is_written_just_before_the_next_file_is_read(tmp_path: Path, how: str) -> None:
    data = WORDS[:600].astype("<u8").tobytes()
    path = tmp_path / "1.dat"
    path.write_bytes(data[:1600])
    stop = Writer()

    def write() -> None:
        with path.open("ab") as handle:
            handle.write(data[1600:3200])
        if how == "replaced":
            path.rename(tmp_path / ".1.dat")
        (tmp_path / ("1.dat" if how == "replaced" else "2.dat")).write_bytes(data[3200:])

    stop.write = write
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    assert words_of(found) == WORDS[:600].tolist()
    assert sum(block.begins for block in found) == 2
    stop.set()
    assert words_of(list(blocks)) == []


def test_what_is_written_anew_is_no_end_of_what_was_truncated(tmp_path: Path) -> None:
    data = WORDS[:300].astype("<u8").tobytes()
    path = tmp_path / "1.dat"
    path.write_bytes(data[:1600])
    stop = Writer()

    def write() -> None:
        path.write_bytes(data[1600:2000])
        (tmp_path / "2.dat").write_bytes(data[2000:])

    stop.write = write
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    assert words_of(found) == WORDS[:300].tolist()
    assert sum(block.begins for block in found) == 3
    stop.set()
    assert words_of(list(blocks)) == []
