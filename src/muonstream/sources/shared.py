"""The words of a ring in shared memory as blocks: `shm:NAME`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from threading import Event
from typing import Final

import numpy as np

from muonstream.buffers import Buffers
from muonstream.formats.block import Block, SourceError, counted
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.sources.files import ASK_S, BUFFERS, SLICE_BYTES
from muonstream.sources.gathered import gathered
from muonstream.sources.reader import InputReader
from muonstream.sources.ring import RingReader
from muonstream.words import WORD_BYTES

LOOK_S: Final = 0.002
"""An empty ring is looked at again after this long; an idle block comes each `IDLE_LOOKS` times."""
IDLE_LOOKS: Final = 25
SLICE_WORDS: Final = SLICE_BYTES // WORD_BYTES
GATHERED_WORDS: Final = 1 << 20
"""Words that are waiting are counted in blocks of up to this size, which is faster; an idle block ends one."""


def ring_blocks(
    name: str,
    *,
    expected: Expected,
    stop: Event,
    format: Format = Format.WORDS,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Block]:
    """Blocks of a ring's words, from the first that is still there, until its writer says that the run has ended.

    A ring that is not there yet is waited for, and so is another one in place of one that was read to its end before.
    Words that were overwritten before they could be read are counted as lost. A ring that was read to its end is
    removed. Raises SourceError for what is not a ring, and for a writer that went away without ending the run.
    """
    return gathered(_blocks(name, Wanted(expected, format), stop, clock), GATHERED_WORDS)


def _blocks(name: str, wanted: Wanted, stop: Event, clock: Callable[[], float]) -> Iterator[Block]:
    with ExitStack() as stack:
        ring = yield from _found(name, stop, clock)
        if ring is None:
            return
        stack.callback(ring.close)
        reader = InputReader(name, wanted)
        if ring.earlier:
            yield Block(notes=[f"{name}: begins at word {ring.earlier + 1:,}: earlier ones are no longer there"])
        yield from _read(ring, reader, stop)
        whole = ring.ended and not ring.waiting
        if reader.raw_bytes:
            yield from reader.finish()
        if whole:
            ring.remove()
        elif not stop.is_set():
            after = counted(ring.position, "word")
            raise SourceError(f"{name}: its writer is gone and did not end the run, after {after}")


def _found(name: str, stop: Event, clock: Callable[[], float]) -> Generator[Block, None, RingReader | None]:
    """Idle blocks until there is a ring with something to read, or a writer; returns its reader."""
    began, said = clock(), False
    while not stop.is_set():
        try:
            ring = RingReader(name)
        except FileNotFoundError:
            ring = None
        if ring is not None:
            if ring.waiting or (ring.has_writer and not ring.ended):
                return ring
            ring.close()
        notes = []
        if not said and clock() - began > ASK_S:
            said = True
            notes = [f"{name}: no program has created this ring yet; waiting for one"]
        yield Block(idle=True, notes=notes)
        stop.wait(IDLE_LOOKS * LOOK_S)
    return None


def _read(ring: RingReader, reader: InputReader, stop: Event) -> Iterator[Block]:
    """Blocks until the ring is empty and no more comes, or `stop` is set."""
    buffers, room, looks = Buffers(BUFFERS), np.empty(0, np.uint64), 0
    while not stop.is_set():
        last = ring.ended or not ring.has_writer
        if len(room) < SLICE_WORDS:
            room = np.empty(0, np.uint64)  # the old one may be free by now
            room = buffers.room(8 * SLICE_WORDS)
        before = ring.position
        words, lost = ring.read(room[:SLICE_WORDS])
        if lost:
            yield reader.lose(lost, f"words {before + 1:,} to {before + lost:,} were overwritten before they were read")
        if len(words):
            looks = 0
            room = room[-(-(ring.position - before) // 8) * 8 :] if not lost else room[SLICE_WORDS:]
            yield from reader.feed(words.view(np.uint8).data)
        elif last and not lost:
            return
        elif not lost:
            looks += 1
            if looks % IDLE_LOOKS == 0:
                yield Block(idle=True)
            stop.wait(LOOK_S)
