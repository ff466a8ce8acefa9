from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator
from muonstream.detector.model import Detector
from muonstream.engines import pipeline as pipeline_module
from muonstream.engines.pipeline import GatewayLosses, Pipeline
from muonstream.formats.block import FAULTS_KEPT
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.checkpoint import CheckpointError
from muonstream.run.intervals import Intervals
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.words import encode

TELESCOPE = Detector.default()
WORDS = simulate_words(20_000, seed=9)
CATALOGUE = Catalogue(TELESCOPE)
ACCUMULATE = Accumulator(CATALOGUE)


def all_frames() -> Frames:
    builder = FrameBuilder(TELESCOPE.boards)
    return Frames.join([builder.push(WORDS), builder.finish()])


WHOLE = ACCUMULATE(all_frames()).total


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with Pipeline(TELESCOPE, run="one", source="test", workers=0) as made:
        yield made


def same(snapshot: Snapshot) -> None:
    """The snapshot of a run of all words."""
    assert np.array_equal(snapshot.total, WHOLE)
    assert snapshot.account.balanced
    assert snapshot.account.words == len(WORDS)


@settings(max_examples=25)
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(WORDS)), st.booleans()), max_size=6).map(sorted),
    workers=st.sampled_from([0, 1, 2]),
)
def test_any_pieces_and_any_snapshots_between_give_the_same(cuts: list[tuple[int, bool]], workers: int) -> None:
    with Pipeline(TELESCOPE, workers=workers) as pipeline:
        for piece, (at, look) in zip(np.split(WORDS, [at for at, _ in cuts]), [*cuts, (0, False)], strict=True):
            pipeline.push(piece)
            if look:
                snapshot = pipeline.snapshot()
                # what is held is counted provisionally, so nothing is behind
                assert snapshot.account.balanced
                assert snapshot.account.words == at
                assert snapshot.total[: CATALOGUE.kernel_size].sum() > 0 or not at
        pipeline.finish()
        same(pipeline.snapshot("ended"))


def test_more_held_words_than_a_snapshot_may_cost_are_shown_as_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "PROVISIONAL_WORDS", 100)
    held = encode(fpga=0, channel=5, orbit=np.zeros(101, np.int64), bx=7, tdc=3)
    with Pipeline(TELESCOPE, workers=0) as pipeline:
        for words, counted in ((held[:100], 100), (held[100:], 0)):
            pipeline.push(words)
            account = pipeline.snapshot().account
            assert account.balanced
            assert (account.hits, account.held) == (counted, 0 if counted else 101)
        pipeline.finish()
        assert pipeline.snapshot("ended").account.hits == 101


def test_a_provisional_snapshot_has_every_word(pipeline: Pipeline) -> None:
    pipeline.push(WORDS)
    snapshot = pipeline.snapshot()
    assert pipeline.builder.counts.held > 0
    same(snapshot)
    pipeline.finish()
    same(pipeline.snapshot("ended"))


def test_a_run_without_words_is_balanced(pipeline: Pipeline) -> None:
    pipeline.push(encode(fpga=[], channel=[], orbit=[], bx=[], tdc=[]))
    pipeline.boundary()
    pipeline.idle([0])
    pipeline.end()
    pipeline.finish()
    snapshot = pipeline.snapshot("ended")
    assert (snapshot.account.words, snapshot.account.balanced, snapshot.total.sum()) == (0, True, 0)
    assert (snapshot.run, snapshot.source, snapshot.state) == ("one", "test", "ended")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=8))
def test_what_could_not_be_words_is_counted_and_the_newest_described(table: list[tuple[int, int]]) -> None:
    with Pipeline(TELESCOPE, workers=0) as pipeline:
        pipeline.notes = ("a note",)
        said: list[str] = []
        for i, (n, described) in enumerate(table):
            lines = [f"{i}.{k}" for k in range(min(described, n))]
            pipeline.count_malformed(n, lines)
            said += lines
        snapshot = pipeline.snapshot()
    malformed = sum(n for n, _ in table)
    assert snapshot.account.malformed == snapshot.account.words == malformed
    assert snapshot.account.balanced
    assert snapshot.faults == ("a note", *said[-FAULTS_KEPT:])


def test_no_more_faults_are_kept_than_are_shown(pipeline: Pipeline) -> None:
    pipeline.count_malformed(100, [str(i) for i in range(100)])
    assert pipeline.snapshot().faults == tuple(str(i) for i in range(100 - FAULTS_KEPT, 100))


@pytest.mark.parametrize("ready_made", [False, True])
def test_frames_and_counts_from_elsewhere_are_the_same_run(pipeline: Pipeline, ready_made: bool) -> None:
    frames = all_frames()
    if ready_made:
        pipeline.add([ACCUMULATE(part) for part in frames.split(5000)], len(frames.words))
    else:
        for part in frames.split(5000):
            pipeline.take(part)
    same(pipeline.snapshot())


def test_what_was_left_out_elsewhere_is_absolute_and_in_the_account(pipeline: Pipeline) -> None:
    first, *rest = all_frames().split(5000)
    pipeline.take(first, GatewayLosses(late=3, stray=1, malformed=2, resets=1))
    for part in rest:
        pipeline.take(part)
    pipeline.take(Frames.empty(), GatewayLosses(late=5, stray=4, malformed=2, resets=1))
    pipeline.count_malformed(1, ["one of our own"])
    snapshot = pipeline.snapshot()
    account = snapshot.account
    assert (account.late, account.stray, account.malformed, snapshot.resets) == (5, 4, 3, 1)
    assert account.words == len(WORDS) + 5 + 4 + 3
    assert account.balanced


def test_late_and_stray_words_are_in_the_account(pipeline: Pipeline) -> None:
    wild = encode(fpga=0, channel=3, orbit=[4_000_000_000], bx=1, tdc=1)
    for words in (WORDS[:15_000], wild, WORDS[:10], WORDS[15_000:]):
        pipeline.push(words)
    pipeline.finish()
    account = pipeline.snapshot("ended").account
    assert account.words == len(WORDS) + 11
    assert (account.late, account.stray) == (10, 1)
    assert account.balanced


@pytest.mark.parametrize("with_intervals", [False, True])
def test_a_run_that_goes_on_from_its_state_is_the_same(with_intervals: bool) -> None:
    def made(run: str) -> Pipeline:
        pipeline = Pipeline(TELESCOPE, run=run, workers=0)
        pipeline.intervals = Intervals(CATALOGUE, windows=5) if with_intervals else None
        return pipeline

    with made("first") as first, made("second") as second:
        first.push(WORDS[:11_111])
        first.count_malformed(2, ["bad"])
        second.restore(first.state())
        second.push(WORDS[11_111:])
        second.finish()
        snapshot = second.snapshot("ended")
    assert np.array_equal(snapshot.total, WHOLE)
    assert (snapshot.run, snapshot.restarts, snapshot.faults) == ("first", 1, ("bad",))
    assert (snapshot.account.words, snapshot.account.malformed) == (len(WORDS) + 2, 2)
    assert snapshot.account.balanced
    if second.intervals is not None:
        assert np.array_equal(sum(one.counts for one in second.intervals.take()), WHOLE)


def test_a_state_that_does_not_fit_is_refused(pipeline: Pipeline) -> None:
    state = pipeline.state()
    other = TELESCOPE.model_copy(update={"name": "another"})
    with Pipeline(other, workers=0) as second, pytest.raises(CheckpointError):
        second.restore(state)
    with Pipeline(TELESCOPE, workers=0, reconstruct=True) as second, pytest.raises(CheckpointError):
        second.restore(state)


def test_without_pairs_all_else_is_the_same() -> None:
    with Pipeline(TELESCOPE, workers=0, pairs=False) as pipeline:
        pipeline.push(WORDS)
        pipeline.finish()
        total = pipeline.snapshot("ended").total
    size = CATALOGUE.kernel_size
    assert np.array_equal(total[:size], WHOLE[:size])
    assert not total[size:].any()
    assert WHOLE[size:].any()
