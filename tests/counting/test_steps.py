"""Steps of data time: together they are the run, and they do not depend on how its words came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import SLOT_WINDOWS, Accumulator
from muonstream.counting.steps import STEPS_AT_ONCE, Step, Steps, parts_of
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.monitor import Intake, Monitor
from muonstream.simulation.telescope import simulate_words

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR)
ANALYSE = Accumulator(CATALOGUE, every_slot=True)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Half a minute, with a pause in it."""
    words = simulate_words(60_000, seed=3, rate_hz=2000.0)
    builder = FrameBuilder(DETECTOR.boards)
    early, late = words[:30_000], words[45_000:]
    return Frames.join([builder.push(early), builder.push(late), builder.finish()])


def same(one: list[Step], other: list[Step]) -> bool:
    return len(one) == len(other) and all(
        a.number == b.number
        and (a.live_s, a.data_time_s, a.late, a.stray) == (b.live_s, b.data_time_s, b.late, b.stray)
        and np.array_equal(a.counts, b.counts)
        for a, b in zip(one, other, strict=True)
    )


def stepped(frames: Frames, edges: list[int]) -> list[Step]:
    steps, out = Steps(CATALOGUE), []
    for first, last in pairwise([0, *sorted({edge for edge in edges if 0 < edge < len(frames)}), len(frames)]):
        steps.add(ANALYSE(frames.part(first, last)))
        out += steps.take()
    steps.finish()
    return out + steps.take()


def test_all_steps_together_are_the_run(frames: Frames) -> None:
    monitor = Monitor(CATALOGUE)
    monitor.add(ANALYSE(frames))
    whole = monitor.snapshot(Intake(words=len(frames.words)))
    steps = stepped(frames, [])
    assert np.array_equal(sum(step.counts for step in steps), whole.total)
    assert (steps[-1].live_s, steps[-1].data_time_s) == (whole.live_time_s, whole.data_time_s)
    assert [step.number for step in steps] == np.unique(frames.keys // SLOT_WINDOWS).tolist()
    assert whole.gaps == 1


@settings(deadline=None, max_examples=20)
@given(edges=st.lists(st.integers(1, 400), max_size=12))
def test_steps_do_not_depend_on_how_windows_were_counted(frames: Frames, edges: list[int]) -> None:
    assert same(stepped(frames, edges), stepped(frames, []))


@settings(deadline=None, max_examples=20)
@given(order=st.randoms(use_true_random=False), n=st.integers(2, 9))
def test_nor_on_the_order_of_parts_of_windows_that_are_complete(frames: Frames, order: object, n: int) -> None:
    steps = Steps(CATALOGUE, in_order=False)
    parts = [frames.part(a, b) for a, b in pairwise(np.linspace(0, len(frames), n + 1).astype(int).tolist())]
    order.shuffle(parts)  # type: ignore[attr-defined]
    for part in parts:
        steps.add(ANALYSE(part))
    assert steps.take() == []
    steps.close(int(frames.keys[-1]))
    found = steps.take()
    steps.finish()
    assert same(found + steps.take(), stepped(frames, []))


def test_a_kernel_gets_few_steps_at_once(frames: Frames) -> None:
    sparse = Frames(frames.words, frames.starts, frames.keys * 50)
    for whole in (sparse, sparse.scattered()):
        parts = list(parts_of(whole))
        assert len(parts) > 3
        assert all(len(np.unique(part.keys // SLOT_WINDOWS)) <= STEPS_AT_ONCE for part in parts)
        assert np.array_equal(np.concatenate([part.keys for part in parts]), sparse.keys)


def test_steps_go_on_from_a_state(frames: Frames) -> None:
    half = len(frames) // 2
    first, second = Steps(CATALOGUE), Steps(CATALOGUE)
    first.add(ANALYSE(frames.part(0, half)))
    first.lose(int(frames.keys[0]), 3, 4)
    found = first.take()
    second.restore(first.state())
    for steps in (first, second):
        steps.add(ANALYSE(frames.part(half, len(frames))))
        steps.finish(5, 6)
    rest = first.take()
    assert same(rest, second.take())
    assert len(found + rest) == len(stepped(frames, []))


def test_what_was_lost_counts_from_the_step_on_in_which_its_window_closed(frames: Frames) -> None:
    steps = Steps(CATALOGUE)
    slot = int(frames.keys[0]) // SLOT_WINDOWS
    for number, late in ((slot, 2), (slot + 1, 5), (slot + 1, 6)):
        steps.lose(number * SLOT_WINDOWS, late, late // 2)
    steps.add(ANALYSE(frames))
    steps.finish(9, 4)
    found = [(step.late, step.stray) for step in steps.take()]
    assert found[:3] == [(2, 1), (6, 3), (6, 3)]
    assert found[-1] == (9, 4)
