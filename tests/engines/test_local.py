from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np

from muonstream.commands.signals import StopSignal
from muonstream.detector.model import Detector
from muonstream.engines.local import FEWEST_WORDS, PIECE_WORDS, run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.simulation.telescope import simulate_words

TELESCOPE = Detector.default()
WORDS = simulate_words(20_000, seed=9)


class Clock:
    """Each look at it takes so many seconds."""

    def __init__(self, step_s: float) -> None:
        self.now, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def lengths(blocks: Iterator[Block], step_s: float) -> list[int]:
    """How many words each push had when every look at the clock takes so long."""
    found: list[int] = []
    with Pipeline(TELESCOPE, workers=0, pairs=False) as pipeline:
        run_blocks(pipeline, blocks, progress=found.append, clock=Clock(step_s))
    return found


def test_pieces_that_take_long_make_the_next_ones_smaller_down_to_the_fewest_words() -> None:
    zeros = np.zeros(PIECE_WORDS, np.uint64)
    found = lengths(iter([Block(words=zeros), Block(words=zeros)]), 1.0)
    assert sum(found) == 2 * PIECE_WORDS
    assert found[:4] == [PIECE_WORDS, PIECE_WORDS // 2, PIECE_WORDS // 4, PIECE_WORDS // 8]
    assert min(found) == FEWEST_WORDS
    assert lengths(iter([Block(words=zeros), Block(words=zeros)]), 0.0) == [PIECE_WORDS, PIECE_WORDS]


def test_ctrl_c_within_a_block_ends_the_run_and_says_what_was_not_counted() -> None:
    stop = StopSignal()

    def blocks() -> Iterator[Block]:
        yield Block(words=np.zeros(PIECE_WORDS, np.uint64))
        yield Block(words=np.zeros(PIECE_WORDS, np.uint64))
        raise AssertionError("nothing more is read")

    def progress(n: int) -> None:
        if n < PIECE_WORDS:
            signal.raise_signal(signal.SIGINT)

    with stop.listening(), Pipeline(TELESCOPE, workers=0, pairs=False) as pipeline:
        last = run_blocks(pipeline, blocks(), progress=progress, clock=Clock(1.0), stop=stop)
    assert last.account.balanced
    assert last.account.words == PIECE_WORDS + PIECE_WORDS // 2
    assert f"ended by a signal: {PIECE_WORDS // 2:,} words were read and not counted" in last.faults


def test_words_are_the_same_whatever_the_pieces() -> None:
    totals = []
    for step_s in (0.0, 1.0):
        with Pipeline(TELESCOPE, workers=0, pairs=False) as pipeline:
            totals.append(run_blocks(pipeline, iter([Block(words=WORDS)]), clock=Clock(step_s)).total)
    assert np.array_equal(totals[0], totals[1])
