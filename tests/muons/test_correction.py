"""Fits by a relation that is not straight: against least squares, against the truth, and with a straight one for 0."""

from __future__ import annotations

import numpy as np
import pytest

from muonstream.detector.geometry import depths_mm, distance_mm
from muonstream.detector.model import Detector
from muonstream.detector.relation import DriftRelation, steepness
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.segments import SegmentConfig, SegmentFinder, Segments
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth

PLAIN = Detector.default()
RELATION = DriftRelation(
    time_ns=(0.0, 20.0, 45.0, 80.0, 150.0, 250.0, 385.0),
    add_mm=(0.05, 0.1, 0.03, -0.02, -0.08, 0.2, -0.3),
    add_tan_mm=(0.0, -0.4, 0.2, 0.7, 0.3, -0.1, -0.2),
    t0_tan_ns=6.0,
)


def changed(**values: object) -> Detector:
    """The telescope with values that all chambers share."""
    return PLAIN.model_copy(update={"chambers": tuple(c.model_copy(update=values) for c in PLAIN.chambers)})


CURVED = changed(drift=RELATION)
CONFIG = SimulationConfig(
    seed=4, duration_s=20, rate_hz=6000, muon_rate_hz=150, deltas=0, afterpulses=0, drift_smearing_ns=2.0
)
TRUTH = Truth.joined(list(with_truth(Simulation(CONFIG, CURVED))))


def framed(truth: Truth) -> Frames:
    builder = FrameBuilder(PLAIN.boards)
    return Frames.join([builder.push(truth.words), builder.finish()])


FRAMES = framed(TRUTH)


def found(detector: Detector, **options: bool) -> Segments:
    return SegmentFinder(detector, SegmentConfig(**options))(FRAMES).segments


def test_each_segment_is_that_of_least_squares_through_its_hits_by_the_relation() -> None:
    s = found(CURVED)
    full = s.chosen((s.hits == 4) & (np.abs(s.tan) < 1))
    assert len(full) > 4000
    for i in range(0, len(full), 97):
        chamber = CURVED.chambers[int(full.chamber[i])]
        drift, tan = full.drift_ns[i, :4], full.tan[i]
        away = distance_mm(chamber, drift, np.array(tan))
        assert full.added_mm[i, :4] == pytest.approx(away - drift * 0.0538, abs=1e-9)
        wires = (chamber.wire_x_mm() - 336)[full.cell[i, :4]]
        sign = np.where((int(full.sides[i]) >> np.arange(4)) & 1, 1.0, -1.0)
        design = np.stack([np.ones(4), depths_mm(chamber), sign], axis=1)
        solved, squares, *_ = np.linalg.lstsq(design, wires + sign * away)
        # at the end of the fits another one moves little
        assert solved == pytest.approx([full.x_mm[i], tan, 0.0], abs=0.06)
        assert (full.residual_mm[i, :4] ** 2).sum() == pytest.approx(float(squares[0]), abs=0.02)
        assert full.chi2[i] == pytest.approx(4 * float(squares[0]), abs=0.1)


def test_with_the_relation_that_is_true_segments_are_as_good_as_hits_are() -> None:
    straight, curved = found(PLAIN), found(CURVED)
    widths = []
    for s in (straight, curved):
        full = s.chosen(s.hits == 4)
        misfit = np.sqrt(full.chi2) / 2
        widths.append(float(np.median(misfit)) / 0.6745)
    # 2 ns and a TDC count
    assert widths[1] == pytest.approx(np.hypot(2.0, 0.24) * 0.0538, rel=0.06)
    assert widths[0] > 1.5 * widths[1]
    order = np.argsort(TRUTH.words, kind="stable")
    for s, limit in ((straight, 3.0), (curved, 0.6)):
        full = s.chosen((s.hits == 4) & (np.abs(s.tan) > 0.4) & (np.abs(s.tan) < 1))
        rows = order[np.searchsorted(TRUTH.words[order], FRAMES.words[full.word[:, 0]])]
        late = full.t0_ns - TRUTH.passage_ns[rows]
        assert abs(float(np.median(late[np.abs(late) < 40]))) < limit or s is straight
    assert abs(float(np.median(late[np.abs(late) < 40]))) < 1.0


def test_a_relation_that_adds_nothing_changes_nothing() -> None:
    nothing = DriftRelation((0.0, 300.0), (0.0, 0.0), (0.0, 0.0))
    straight, same = found(PLAIN), found(changed(drift=nothing))
    assert np.array_equal(straight.word, same.word)
    assert np.array_equal(straight.sides, same.sides)
    for name in ("x_mm", "tan", "t0_ns", "chi2", "drift_ns", "residual_mm"):
        np.testing.assert_allclose(getattr(same, name), getattr(straight, name), atol=1e-6, err_msg=name)


def test_a_known_passage_is_the_passage() -> None:
    s = found(CURVED, use_passage=True)
    known = SegmentFinder(CURVED, SegmentConfig(use_passage=True))(FRAMES)
    at_passage = np.abs(s.t0_ns - known.passage_ns) < 1e-6
    assert at_passage.mean() > 0.1
    own = s.chosen(np.flatnonzero(at_passage & (s.hits == 4)))
    earlier = own.t0_ns - RELATION.t0_tan_ns * steepness(own.tan)
    hits = own.drift_ns[:, 0] + earlier
    words = FRAMES.words[own.word[:, 0]]
    offset = np.array([c.time_offset_ns for c in CURVED.chambers])[own.chamber]
    time = ((words >> np.uint64(5)) & np.uint64(0xFFF)).astype(float) * 25 + (words & np.uint64(31)).astype(
        float
    ) * 25 / 30
    assert hits == pytest.approx(time + offset, abs=1.5)


def test_times_of_cells_are_added_to_their_hits() -> None:
    times = np.zeros(64)
    times[16] = 7.0
    one = PLAIN.chambers[0].model_copy(update={"cell_time_offset_ns": tuple(times.tolist())})
    moved = found(PLAIN.model_copy(update={"chambers": (one, *PLAIN.chambers[1:])}))
    s = found(PLAIN)
    words, first = np.intersect1d(s.word[:, 0], moved.word[:, 0], return_indices=True)[:2]
    assert len(words) > 0.95 * len(s)
    later = {int(w): moved.drift_ns[i, 0] + moved.t0_ns[i] for i, w in enumerate(moved.word[:, 0])}
    for i in first[::50].tolist():
        at = s.drift_ns[i, 0] + s.t0_ns[i]
        is_it = s.chamber[i] == 0 and s.cell[i, 0] == 16
        if s.word[i, 0] >= 0:
            assert later[int(s.word[i, 0])] - at == pytest.approx(7.0 if is_it else 0.0, abs=1e-6)
