"""The local engine: blocks of a source through a pipeline, snapshots out, all in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import Final

from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.run.monitor import Snapshot
from muonstream.sources.delivery import announced

PIECE_WORDS: Final = 1 << 21
"""Blocks are pushed in pieces of at most this many words, so that snapshots come on time."""
FEWEST_WORDS: Final = 1 << 12
PIECE_S: Final = 0.5
"""A piece that took longer makes the next ones smaller, so that a signal and a snapshot wait no longer than this."""


def run_blocks(
    pipeline: Pipeline,
    blocks: Iterable[Block],
    *,
    publish: Callable[[Snapshot], None] | None = None,
    interval_s: float = 0.5,
    progress: Callable[[int], None] | None = None,
    say: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    stop: Event | None = None,
) -> Snapshot:
    """Run all blocks through the pipeline and give the final snapshot.

    publish: gets a snapshot each interval_s by the clock, at least at the beginning and at the end
    progress: gets the number of words pushed, piece by piece
    say: gets what is reported of the source, a line each, as it comes
    stop: once it is set, what is left of a block is not counted, and a line says how many words that are
    A KeyboardInterrupt or an error of the source ends the run as the source's end does, and is raised again afterwards.
    """
    try:
        _feed(pipeline, blocks, publish, interval_s, progress, say, clock, stop or Event())
    finally:
        pipeline.finish()
        last = pipeline.snapshot("ended")
        if publish is not None:
            publish(last)
    return last


def _feed(
    pipeline: Pipeline,
    blocks: Iterable[Block],
    publish: Callable[[Snapshot], None] | None,
    interval_s: float,
    progress: Callable[[int], None] | None,
    say: Callable[[str], None] | None,
    clock: Callable[[], float],
    stop: Event,
) -> None:
    due = clock()
    most = PIECE_WORDS
    for block in announced(blocks, pipeline):
        if say is not None:
            for line in (*block.notes, *block.faults):
                say(line)
        done = 0
        while True:
            began = clock()
            piece = block.words[done : done + most]
            if len(piece):
                pipeline.push(piece, block.source)
                done += len(piece)
                if progress is not None:
                    progress(len(piece))
            if clock() - began > PIECE_S:
                most = max(most // 2, FEWEST_WORDS)
            elif clock() - began < PIECE_S / 4:
                most = min(2 * most, PIECE_WORDS)
            if publish is not None and clock() >= due:
                publish(pipeline.snapshot())
                due = clock() + interval_s
            if done == len(block.words):
                break
            if stop.is_set():
                pipeline.remarks.append(
                    f"ended by a signal: {len(block.words) - done:,} words were read and not counted"
                )
                return
