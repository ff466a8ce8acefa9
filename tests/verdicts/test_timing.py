"""Verdicts on times: what passes a limit, with errors of its own."""

from __future__ import annotations

import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.timebox import Edge, TimeBox
from muonstream.verdicts.timing import judge_timing

DETECTOR = Detector.default()
MEDIUM_NS, BAD_NS = DETECTOR.thresholds.t0_shift_ns


def level_of(chamber: int, begin_ns: float, error_ns: float) -> Level:
    """Of a chamber's t0, where the others' boxes begin at 0."""
    boxes = {
        c: TimeBox(Edge(begin_ns if c == chamber else 0.0, error_ns), Edge(390.0, 0.5), 10_000)
        for c in range(len(DETECTOR.chambers))
    }
    names = [room.name for room in DETECTOR.chambers]
    found = [f for f in judge_timing(Catalogue(DETECTOR), boxes) if f.check == "t0"]
    assert [f.subject for f in found] == names
    assert all(f.level is Level.GOOD for f in found if f.subject != names[chamber])
    return found[chamber].level


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("error_ns", [0.1, 0.3, 0.5])
def test_a_time_is_not_good_when_it_passes_a_limit_by_more_than_its_error(sign: int, error_ns: float) -> None:
    for limit_ns, below, above in ((MEDIUM_NS, Level.GOOD, Level.MEDIUM), (BAD_NS, Level.MEDIUM, Level.BAD)):
        assert level_of(2, sign * (limit_ns + 0.9 * error_ns), error_ns) is below
        assert level_of(2, sign * (limit_ns + 1.1 * error_ns), error_ns) is above


def test_a_time_that_may_be_chance_is_good() -> None:
    assert level_of(1, 1.5 * BAD_NS, 0.45 * BAD_NS) is Level.GOOD
