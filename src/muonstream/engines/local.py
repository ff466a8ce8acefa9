"""The local engine: blocks of a source through a pipeline, snapshots out, all in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.run.monitor import Snapshot
from muonstream.sources.delivery import announced

PIECE_WORDS: Final = 1 << 21
"""Blocks are pushed in pieces of at most so many words, so that snapshots come on time."""


def run_blocks(
    pipeline: Pipeline,
    blocks: Iterable[Block],
    *,
    publish: Callable[[Snapshot], None] | None = None,
    interval_s: float = 0.5,
    progress: Callable[[int], None] | None = None,
    say: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Snapshot:
    """Run all blocks through the pipeline and give the final snapshot.

    publish: gets a snapshot each interval_s by the clock, at least at the beginning and at the end
    progress: gets the number of words pushed, piece by piece
    say: gets what is reported of the source, a line each, as it comes
    A KeyboardInterrupt or an error of the source ends the run as the source's end does, and is raised again afterwards.
    """
    try:
        _feed(pipeline, blocks, publish, interval_s, progress, say, clock)
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
) -> None:
    due = clock()
    for block in announced(blocks, pipeline):
        if say is not None:
            for line in (*block.notes, *block.faults):
                say(line)
        for first in range(0, max(len(block.words), 1), PIECE_WORDS):
            piece = block.words[first : first + PIECE_WORDS]
            if len(piece):
                pipeline.push(piece, block.source)
                if progress is not None:
                    progress(len(piece))
            if publish is not None and clock() >= due:
                publish(pipeline.snapshot())
                due = clock() + interval_s
