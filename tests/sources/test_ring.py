"""Rings of words: whatever writer and reader do, each word is read once, as it was written, or counted as lost."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.formats.block import SourceError
from muonstream.sources.ring import HEADER_BYTES, RingReader, RingWriter, ring_path
from muonstream.words import Words

SIZE = 1 << 10


def numbered(first: int, n: int) -> Words:
    """Words that say which they are."""
    return np.arange(first, first + n, dtype=np.uint64)


class Reading:
    """Reads a ring of numbered words and checks each against its number."""

    def __init__(self, name: str) -> None:
        self.reader = RingReader(name)
        self.read = self.lost = 0

    def take(self, most: int) -> None:
        position = self.reader.position
        words, lost = self.reader.read(np.empty(most, np.uint64))
        assert words.tolist() == list(range(position + lost, position + lost + len(words)))
        self.read += len(words)
        self.lost += lost


@settings(max_examples=40)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 3 * SIZE // 2)), max_size=20))
def test_each_word_is_read_as_it_was_written_or_counted_as_lost(
    steps: list[tuple[bool, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"shm:{tmp_path_factory.mktemp('ring')}/ring"
    with RingWriter(name, SIZE) as writer:
        reading = Reading(name)
        for write, n in steps:
            if write:
                writer.write(numbered(writer.written, n))
            else:
                reading.take(n)
        while reading.reader.waiting:
            reading.take(100)
        assert reading.read + reading.lost == writer.written == reading.reader.position
        written = sum(n for write, n in steps if write)
        assert reading.lost <= max(written - SIZE // 4, 0)
        reading.reader.close()


def test_a_writer_that_waits_for_nothing_is_read_without_torn_words(tmp_path: Path) -> None:
    name, total = f"shm:{tmp_path}/ring", 1 << 21
    with RingWriter(name, 1 << 13) as writer, ThreadPoolExecutor(1) as pool:
        reading = Reading(name)

        def write() -> None:
            for first in range(0, total, 1 << 10):
                writer.write(numbered(first, 1 << 10))
            writer.end()

        writing = pool.submit(write)
        while not reading.reader.ended or reading.reader.waiting:
            reading.take(1 << 12)
        writing.result()
        assert reading.read + reading.lost == total
        assert reading.read > 0
        reading.reader.close()


def test_a_writer_that_looks_for_room_loses_nothing(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    with RingWriter(name, SIZE) as writer:
        reading = Reading(name)
        for _ in range(50):
            writer.write(numbered(writer.written, min(writer.room, 300)))
            reading.take(200)
        assert reading.lost == 0
        assert reading.read == 50 * 200
        reading.reader.close()


def test_a_reader_that_comes_late_begins_away_from_the_writers_heels(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    with RingWriter(name, SIZE) as writer:
        for _ in range(10):
            writer.write(numbered(writer.written, SIZE))
        with RingReader(name) as reader:
            assert reader.earlier == reader.position == 10 * SIZE - SIZE // 2
        with RingReader(name) as again:
            assert again.position == 10 * SIZE - SIZE // 2


def test_writers_and_readers_are_one_each_and_known_to_be_alive(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    writer = RingWriter(name, SIZE)
    with pytest.raises(SourceError, match="another program is writing"):
        RingWriter(name, SIZE)
    with RingReader(name) as reader:
        with pytest.raises(SourceError, match="another program is reading"):
            RingReader(name)
        before = reader.has_writer
        writer.close()
        assert (before, reader.has_writer) == (True, False)
        with RingWriter(name, SIZE):
            assert reader.replaced
        reader.remove()
    assert Path(ring_path(name)).exists(), "a ring that has taken the name is not removed"


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, 7, "something other than a ring"),
        (1, 2, "found a ring of version 2, expected 1"),
        (2, 1000, "a ring of 1,000 words, expected a power of two"),
        (2, 1 << 40, "a ring of 1,099,511,627,776 words"),
        (2, 1 << 11, "for a ring of 2,048 words"),
    ],
)
def test_what_is_no_such_ring_is_refused_in_one_line(at: int, value: int, said: str, tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    RingWriter(name, SIZE).close()
    with (tmp_path / "ring").open("r+b") as file:
        file.seek(8 * at)
        file.write(struct.pack("<Q", value))
    with pytest.raises(SourceError, match=said) as raised:
        RingReader(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0, 5, 200, HEADER_BYTES])
def test_files_that_are_too_short_are_refused(size: int, tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    RingWriter(name, SIZE).close()
    os.truncate(tmp_path / "ring", size)
    with pytest.raises(SourceError, match="found"):
        RingReader(name)


@pytest.mark.parametrize(("reserved", "written"), [(0, 5), (SIZE + 6, 5), (1 << 63, 1 << 63)])
def test_cursors_that_no_writer_sets_are_refused(reserved: int, written: int, tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    with RingWriter(name, SIZE) as writer, RingReader(name) as reader:
        writer.write(numbered(0, 100))
        reader.read(np.empty(50, np.uint64))
        with (tmp_path / "ring").open("r+b") as file:
            file.seek(64)
            file.write(struct.pack("<QQ", reserved, written))
        with pytest.raises(SourceError, match="its writer does not keep to the layout"):
            reader.read(np.empty(50, np.uint64))


@pytest.mark.parametrize("name", ["shm:", "shm:."])
def test_a_name_is_required(name: str) -> None:
    with pytest.raises(SourceError, match="found no name"):
        ring_path(name)


@pytest.mark.parametrize("capacity", [0, 512, 1500, 1 << 33])
def test_sizes_are_powers_of_two(capacity: int, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a power of two"):
        RingWriter(f"shm:{tmp_path}/ring", capacity)
