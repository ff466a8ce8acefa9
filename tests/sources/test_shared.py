"""Blocks of a ring: waited for, read to its end, and what was lost or broke off is counted and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from muonstream.formats.block import Block, SourceError
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.sources import shared
from muonstream.sources.ring import RingReader, RingWriter
from muonstream.sources.shared import ring_blocks
from muonstream.words import Words

WORDS = simulate_words(3000, rate_hz=1e6)


def blocks_of(name: str, stop: Event | None = None) -> Iterator[Block]:
    return ring_blocks(name, expected=Expected.any(), stop=stop or Event())


def words_of(blocks: list[Block]) -> Words:
    return np.concatenate([np.empty(0, np.uint64), *(block.words for block in blocks)])


def test_all_words_of_a_ring_that_ends_are_read_and_the_ring_is_removed(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    with RingWriter(name, 1 << 13) as writer:
        writer.write(WORDS)
        writer.end()
        blocks = list(blocks_of(name))
    assert words_of(blocks).tolist() == WORDS.tolist()
    report = blocks[-1].report
    assert report is not None
    assert (report.size, report.lost, report.balanced) == (8 * len(WORDS), 0, True)
    assert not (tmp_path / "ring").exists()


def test_a_ring_is_waited_for_and_one_that_was_read_before_is_no_reason_to_begin(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    with RingWriter(name, 1 << 13) as writer, RingReader(name) as reader:
        writer.write(WORDS)
        reader.read(np.empty(len(WORDS), np.uint64))
        writer.end()
    blocks = blocks_of(name)
    assert next(blocks).idle
    with RingWriter(name, 1 << 13) as writer:
        writer.write(WORDS)
        writer.end()
        assert words_of(list(blocks)).tolist() == WORDS.tolist()


def test_words_overwritten_before_they_were_read_are_counted_and_said(tmp_path: Path) -> None:
    name, stop = f"shm:{tmp_path}/ring", Event()
    with RingWriter(name, 1 << 10) as writer:
        writer.write(WORDS[:10])
        blocks = blocks_of(name, stop)
        read = [next(blocks)]
        for begin in range(10, len(WORDS), 700):
            writer.write(WORDS[begin : begin + 700])
        writer.end()
        read += blocks
    report = read[-1].report
    assert report is not None
    assert report.lost + len(words_of(read)) == len(WORDS)
    assert report.lost > 0
    assert any("were overwritten before they were read" in note for block in read for note in block.notes)
    assert set(words_of(read).tolist()) <= set(WORDS.tolist())


def test_a_writer_that_goes_away_without_an_end_ends_the_run_with_an_error(tmp_path: Path) -> None:
    name = f"shm:{tmp_path}/ring"
    writer = RingWriter(name, 1 << 13)
    writer.write(WORDS)
    blocks = blocks_of(name)
    read = [next(blocks)]
    writer.close()
    with pytest.raises(SourceError, match="gone and did not end the run, after 3,000 words"):
        read += blocks


def test_a_run_that_is_stopped_ends_without_an_error(tmp_path: Path) -> None:
    name, stop = f"shm:{tmp_path}/ring", Event()
    with RingWriter(name, 1 << 13) as writer:
        writer.write(WORDS)
        blocks = blocks_of(name, stop)
        next(blocks)
        stop.set()
        assert all(not len(block.words) for block in blocks), "what is left is not read"


def test_it_is_said_that_no_program_has_made_the_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "ASK_S", -1.0)
    blocks = blocks_of(f"shm:{tmp_path}/ring")
    assert next(blocks).notes == [f"shm:{tmp_path}/ring: no program has created this ring yet; waiting for one"]
    assert next(blocks).notes == []
