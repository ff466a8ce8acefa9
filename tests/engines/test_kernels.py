from __future__ import annotations

import signal
from itertools import pairwise
from threading import Event, current_thread, main_thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import RECENT_SLOTS, SLOT_WINDOWS, Accumulator, Contribution
from muonstream.detector.model import Detector
from muonstream.engines import kernels as kernels_module
from muonstream.engines import pipeline as pipeline_module
from muonstream.engines.kernels import PIECES_AHEAD, Kernels
from muonstream.engines.pipeline import Pipeline
from muonstream.frames import Frames, ScatteredFrames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.monitor import Intake, Monitor
from muonstream.simulation.telescope import simulate_words

TELESCOPE = Detector.default()
WORDS = simulate_words(20_000, seed=9, rate_hz=200)  # over more than the slots that are recent
CATALOGUE = Catalogue(TELESCOPE)
ACCUMULATE = Accumulator(CATALOGUE)
BUILDER = FrameBuilder(TELESCOPE.boards)
FRAMES = Frames.join([BUILDER.push(WORDS), BUILDER.finish()])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "PIECE_WORDS", 500)


def batches(cuts: list[int]) -> list[Frames]:
    """The frames in as many batches, cut before these windows."""
    edges = [0, *sorted(cut % (len(FRAMES) + 1) for cut in cuts), len(FRAMES)]
    starts = FRAMES.starts
    return [
        Frames(FRAMES.words[starts[a] : starts[b]], starts[a : b + 1] - starts[a], FRAMES.keys[a:b])
        for a, b in pairwise(edges)
        if a < b
    ]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10**6), max_size=5), st.sampled_from([0, 1, 2]), st.booleans())
def test_all_is_counted_once_and_in_order(cuts: list[int], workers: int, scattered: bool) -> None:
    kernels = Kernels(ACCUMULATE, workers)
    try:
        given_out: list[Contribution] = []
        for batch in batches(cuts):
            given_out += kernels.count(batch.scattered() if scattered else batch)
        given_out += kernels.settle()
        assert list(kernels.settle()) == []
    finally:
        kernels.close()
    assert np.concatenate([part.keys for part in given_out]).tolist() == FRAMES.keys.tolist()
    assert len(np.unique(FRAMES.keys // SLOT_WINDOWS)) > 2 * RECENT_SLOTS
    whole, monitor, other = ACCUMULATE(FRAMES), Monitor(CATALOGUE), Monitor(CATALOGUE)
    monitor.add(whole)
    for part in given_out:
        other.add(part)
    one, two = monitor.snapshot(Intake()), other.snapshot(Intake())
    assert np.array_equal(one.total, two.total)
    assert np.array_equal(one.recent, two.recent)
    assert one.recent_seconds == two.recent_seconds
    assert np.array_equal(one.rates.hits_hz, two.rates.hits_hz)


class Slow:
    """A kernel that the pool's threads do not get through before `go`, and that notes who counted what."""

    def __init__(self) -> None:
        self.go = Event()
        self.entered = Event()
        self.by_caller: list[int] = []
        self.by_others: list[int] = []

    def __call__(self, frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
        if current_thread() is main_thread():
            assert self.entered.wait(60)
            self.by_caller += frames.keys.tolist()
            self.go.set()
        else:
            self.by_others += frames.keys.tolist()
            self.entered.set()
            assert self.go.wait(60)
        return ACCUMULATE(frames, newest)


def test_the_caller_helps_where_it_would_have_to_wait_and_order_stays() -> None:
    slow = Slow()
    kernels = Kernels(slow, 1)
    try:
        (batch,) = batches([])
        given_out = [*kernels.count(batch), *kernels.settle()]
    finally:
        kernels.close()
    assert slow.by_caller
    assert slow.by_others
    assert sorted(slow.by_caller + slow.by_others) == FRAMES.keys.tolist()
    assert np.concatenate([part.keys for part in given_out]).tolist() == FRAMES.keys.tolist()


def test_with_few_pieces_the_caller_goes_on() -> None:
    go = Event()

    def waits(frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
        assert current_thread() is not main_thread()
        assert go.wait(60)
        return ACCUMULATE(frames, newest)

    kernels = Kernels(waits, 1)
    try:
        starts = FRAMES.starts
        n = int(np.searchsorted(starts, 500 * (PIECES_AHEAD - 1)))
        few = Frames(FRAMES.words[: starts[n]], starts[: n + 1], FRAMES.keys[:n])
        assert list(kernels.count(few)) == []
        go.set()
    finally:
        kernels.close()
    assert sum(len(part.keys) for part in kernels.settle()) == n


def test_a_kernels_error_is_not_lost() -> None:
    def fails(frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
        raise ValueError("broken")

    for workers in (0, 1, 2):
        kernels = Kernels(fails, workers)
        try:
            with pytest.raises(ValueError, match="broken"):
                _ = [*kernels.count(FRAMES), *kernels.settle()]
        finally:
            kernels.close()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("at", range(12))
def test_after_ctrl_c_at_any_piece_the_account_balances(monkeypatch: pytest.MonkeyPatch, workers: int, at: int) -> None:
    monkeypatch.setattr(pipeline_module, "BATCH_WORDS", 4000)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Pipeline(TELESCOPE, workers=workers, pairs=False) as pipeline:
            analyse, calls = pipeline._kernels.analyse, 0

            def interrupted(frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
                nonlocal calls
                calls += 1
                if calls == at + 1 and current_thread() is main_thread():
                    signal.raise_signal(signal.SIGINT)
                return analyse(frames, newest)

            pipeline._kernels.analyse = interrupted
            pushed = 0
            try:
                for part in np.array_split(WORDS, 8):
                    pushed += len(part)
                    pipeline.push(part)
                pipeline.finish()
            except KeyboardInterrupt:
                pipeline.finish()
            account = pipeline.snapshot("ended").account
        assert account.balanced
        assert account.words == pushed
        assert account.held == 0
    finally:
        signal.signal(signal.SIGINT, before)
