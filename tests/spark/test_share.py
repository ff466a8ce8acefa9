from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_messages import RUN, as_frames, as_hits, ends, frames_of
from record_batches import batch

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.kafka.columns import Rows
from muonstream.run.monitor import Monitor
from muonstream.simulation.telescope import simulate_words
from muonstream.spark.share import PIECE_WORDS, TaskResult, TaskSpec, merged, read_shares
from muonstream.spark.task import Task, worker
from muonstream.words import Words

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR)
ACCUMULATE = Accumulator(CATALOGUE)
# 60 s of data: more than the last 30 s that are kept apart
WORDS = simulate_words(12_000, rate_hz=200)
FRAMES = frames_of(WORDS)


def order(windows: int = 0) -> TaskSpec:
    return TaskSpec(DETECTOR.model_dump_json(), windows, RUN, False, {})


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))


def state(contributions: Any) -> dict[str, Any]:
    monitor = Monitor(CATALOGUE)
    for contribution in contributions:
        monitor.add(contribution)
    found = monitor.state()
    del found["data_wall_time"], found["begun_wall_time"]
    return found


def pieces(frames: Frames, edges: list[int]) -> list[Frames]:
    found = []
    for first, last in pairwise(edges):
        begin, end = int(frames.starts[first]), int(frames.starts[last])
        found.append(Frames(frames.words[begin:end], frames.starts[first : last + 1] - begin, frames.keys[first:last]))
    return found


@given(st.lists(st.integers(1, len(FRAMES) - 1), min_size=1, max_size=6, unique=True), st.randoms())
def test_merged_contributions_are_what_they_were_one_by_one(cuts: list[int], random: Any) -> None:
    several = [ACCUMULATE(piece) for piece in pieces(FRAMES, [0, *sorted(cuts), len(FRAMES)])]
    random.shuffle(several)
    assert same(state([merged(several)]), state(several))
    assert same(state([merged(several)]), state([ACCUMULATE(FRAMES)]))


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="found none"):
        merged([])


def test_shares_travel_as_rows() -> None:
    words: Words = np.arange(2 * PIECE_WORDS + 3, dtype=np.uint64)
    one = TaskResult(words={3: [words[:5], words[5:]], 1: [words[:2]]}, frames=7, run=RUN)
    rows = [*one.rows(), *TaskResult(ended=[4]).rows()]
    assert len(rows) == 4 + 1 + 1
    first, second = read_shares(rows)
    assert {p: np.concatenate(several).tolist() for p, several in first.words.items()} == {
        3: words.tolist(),
        1: [0, 1],
    }
    assert (first.frames, first.run, second.ended, second.words) == (7, RUN, [4], {})


def test_a_worker_gives_the_share_of_its_partitions() -> None:
    sent = sorted([*as_frames(WORDS, 3), *ends(3)], key=lambda one: one[0])
    batches = []
    for partition in range(3):
        mine = [one for one in sent if one[0] == partition]
        batches += [batch(mine[at : at + 50], at) for at in range(0, len(mine), 50)]
    (share,) = read_shares(row for out in worker(order())(iter(batches)) for row in out.column(0).to_pylist())
    assert share.frames == len(WORDS)
    assert sorted(share.ended) == [0, 1, 2]
    assert same(state(share.contributions), state([ACCUMULATE(FRAMES)]))


def test_a_worker_without_messages_gives_nothing() -> None:
    assert list(worker(order())(iter([batch([])]))) == []


def test_contributions_are_of_one_interval_each_where_that_is_asked() -> None:
    task = Task(order(windows=55))
    task.take(Rows(batch(as_frames(WORDS))))
    share = task.share()
    numbers = [np.unique((contribution.keys % (1 << 22)) // 55).tolist() for contribution in share.contributions]
    assert all(len(found) == 1 for found in numbers)
    assert len(numbers) > 5
    assert same(state(share.contributions), state([ACCUMULATE(FRAMES)]))


def test_loose_words_come_back_as_they_were() -> None:
    task = Task(order())
    task.take(Rows(batch(as_hits(WORDS))))
    assert np.concatenate(task.share().words[0]).tolist() == WORDS.tolist()
