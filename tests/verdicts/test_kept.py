"""The ends of steps that are kept are few, and come back from a state as they were."""

from __future__ import annotations

import numpy as np
import pytest

from muonstream.run.checkpoint import pack, unpack
from muonstream.verdicts.kept import FINE_S, LONG_S, Ends, Kept

SIZE = 40
STEP_S = 3.0


def ends_of(hours: float) -> Ends:
    """The ends of so many hours; some counts go down, as sums of signed numbers do."""
    rng = np.random.default_rng(2)
    ends = Ends(np.zeros(SIZE, np.int64))
    counts = np.zeros(SIZE, np.int64)
    for i in range(round(hours * 3600 / STEP_S)):
        counts = counts + rng.integers(-3, 1 << 20, SIZE)
        ends.keep(Kept((i + 1) * STEP_S, counts, i // 7, i // 11))
    return ends


def test_a_run_of_days_keeps_each_of_the_newest_and_few_of_the_old_ones() -> None:
    ends = ends_of(12)
    times = np.array([end.live_s for end in ends])
    assert len(ends) < 95
    assert times[0] == 0
    age = times[-1] - times
    assert np.diff(age[age <= FINE_S]).tolist() == [-STEP_S] * 5
    assert -np.diff(age[age <= LONG_S]).min() < 10
    assert (-np.diff(age)[age[1:] > LONG_S] < 0.25 * age[1:][age[1:] > LONG_S] + 10).all()


def test_ends_come_back_from_a_state_bit_for_bit() -> None:
    ends = ends_of(1)
    state = unpack(pack(ends.state()))
    again = Ends(np.zeros(SIZE, np.int64))
    again.restore(state)
    assert len(again) == len(ends)
    for mine, other in zip(ends, again, strict=True):
        assert (mine.live_s, mine.late, mine.stray) == (other.live_s, other.late, other.stray)
        np.testing.assert_array_equal(mine.counts, other.counts)
    assert pack(again.state()) == pack(state)


@pytest.mark.parametrize("damage", ["cut", "other bytes"])
def test_a_state_of_something_else_is_refused(damage: str) -> None:
    state = ends_of(0.02).state()
    packed = state["packed"][-1]
    state["packed"][-1] = packed[:-8] if damage == "cut" else np.zeros(20, np.uint8)
    with pytest.raises(ValueError, match=r"reshape|compress"):
        Ends(np.zeros(SIZE, np.int64)).restore(state)
