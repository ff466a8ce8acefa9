from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from muonstream.counting.muon_entries import Quality
from muonstream.detector.geometry import middle_mm
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.agreement import CONFIRMED_NS, MOST_SEGMENTS
from muonstream.muons.quality import qualities
from muonstream.muons.segments import SegmentConfig, SegmentFinder
from muonstream.muons.tags import tagged
from muonstream.muons.tracks import TrackConfig, TrackFinder, _probe
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import encode

TELESCOPE = Detector.default()
EFFICIENCY = 0.9
CONFIG = SimulationConfig(
    seed=3, duration_s=60, rate_hz=9000, muon_rate_hz=300, hit_efficiency=EFFICIENCY, deltas=0, afterpulses=0
)
TRUTH = Truth.joined(list(with_truth(Simulation(CONFIG, TELESCOPE))))


def framed(truth: Truth, detector: Detector) -> Frames:
    builder = FrameBuilder(detector.boards)
    return Frames.join([builder.push(truth.words), builder.finish()])


FRAMES = framed(TRUTH, TELESCOPE)
FINDER = SegmentFinder(TELESCOPE, SegmentConfig(resolution_mm=4 * 0.0538))
SEGMENTS = FINDER(FRAMES).segments
TRACKED = TrackFinder(FINDER)(SEGMENTS)


def rows_of(words: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Where in the truth words are."""
    order = np.argsort(TRUTH.words, kind="stable")
    return np.asarray(order[np.searchsorted(TRUTH.words[order], words)])


def test_each_segment_is_in_one_track_at_most_and_chambers_are_their_own() -> None:
    used = TRACKED.tracks.segment[TRACKED.tracks.segment >= 0]
    assert len(np.unique(used)) == len(used) > 1000
    for c in range(4):
        mine = TRACKED.tracks.segment[:, c]
        mine = mine[mine >= 0]
        assert np.all(SEGMENTS.chamber[mine] == c)
        assert np.all(TRACKED.lines.view[mine] == (1 if c == 1 else 0))
    tracks = TRACKED.tracks
    several = (tracks.segment >= 0).sum(axis=1)
    assert np.all(tracks.degrees == 2 * several - 2)
    assert np.all(several[tracks.view == 0] >= 2)
    muons = np.flatnonzero(tracks.partner >= 0)
    assert np.array_equal(tracks.partner[tracks.partner[muons]], muons)
    assert np.all(tracks.view[tracks.partner[muons]] == 1 - tracks.view[muons])


def test_the_line_is_that_of_least_squares() -> None:
    lines, tracks = TRACKED.lines, TRACKED.tracks
    finder = TrackFinder(FINDER)
    for i in range(0, len(tracks), 37):
        design, y, weights = [], [], []
        for s in tracks.segment[i][tracks.segment[i] >= 0]:
            fall = lines.z_mm[s] - finder.middle_mm
            design.append([[1.0, -fall], [0.0, 1.0]])
            y.append([lines.x_mm[s], lines.tan[s]])
            covariance = [[lines.var_x[s], lines.cov[s]], [lines.cov[s], lines.var_tan[s]]]
            weights.append(np.linalg.cholesky(np.linalg.inv(covariance)).T)
        whitened = np.concatenate([w @ d for w, d in zip(weights, design, strict=True)])
        target = np.concatenate([w @ v for w, v in zip(weights, y, strict=True)])
        solved, *_ = np.linalg.lstsq(whitened, target)
        assert (tracks.x_mm[i], tracks.tan[i]) == pytest.approx(tuple(solved), abs=1e-6)
        assert tracks.chi2[i] == pytest.approx(((target - whitened @ solved) ** 2).sum(), abs=1e-5)


def test_tracks_are_the_muons_that_were_simulated() -> None:
    tracks = TRACKED.tracks
    x = np.flatnonzero((tracks.view == 0) & ((tracks.segment >= 0).sum(axis=1) == 3) & (np.abs(tracks.tan) < 0.5))
    first = SEGMENTS.word[tracks.segment[x, 0]].max(axis=1)
    truth = rows_of(FRAMES.words[first])
    a_muon = TRUTH.muon[truth] >= 0
    assert a_muon.mean() > 0.99
    x, truth = x[a_muon], truth[a_muon]
    finder = TrackFinder(FINDER)
    fall = middle_mm(TELESCOPE.chambers[0]) - finder.middle_mm
    off_mm = tracks.x_mm[x] + tracks.tan[x] * -fall - TRUTH.x_mm[truth]
    assert np.median(np.abs(off_mm)) < 0.5
    assert np.median(np.abs(tracks.tan[x] - TRUTH.tan[truth])) < 0.001


def test_efficiency_of_chambers_is_what_that_of_cells_makes_it() -> None:
    expected, found = TRACKED.expected.sum(axis=0), TRACKED.found.sum(axis=0)
    # at least three of four layers
    wanted = EFFICIENCY**4 + 4 * EFFICIENCY**3 * (1 - EFFICIENCY)
    for c in (0, 2, 3):
        assert expected[c] > 200
        assert found[c] / expected[c] == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / expected[c]))
    # the only chamber of its view has nobody to say that it was crossed
    assert expected[1] == 0


def test_without_another_view_chambers_at_the_ends_are_not_judged() -> None:
    """Nothing says where along the wires a muon passed; one that crossed two others crossed what is between them."""
    given = TELESCOPE.model_dump(mode="json")
    chambers = [
        given["chambers"][0] | {"number": n + 1, "name": f"C{n + 1}", "board": n, "z_mm": 300.0 * n} for n in range(4)
    ]
    detector = Detector.model_validate(given | {"boards": list(range(4)), "chambers": chambers})
    config = replace(CONFIG, duration_s=10, hit_efficiency=1.0)
    finder = SegmentFinder(detector, SegmentConfig(resolution_mm=4 * 0.0538))
    truth = Truth.joined(list(with_truth(Simulation(config, detector))))
    tracked = TrackFinder(finder)(finder(framed(truth, detector)).segments)
    expected, found = tracked.expected.sum(axis=0), tracked.found.sum(axis=0)
    assert expected[[0, 3]].tolist() == [0, 0]
    assert (expected[1:3] > 100).all()
    assert (found[1:3] > 0.95 * expected[1:3]).all()


def test_tags_by_all_other_chambers_give_the_same_efficiency() -> None:
    tagged, found = TRACKED.tagged.sum(axis=0), TRACKED.tagged_found.sum(axis=0)
    wanted = EFFICIENCY**4 + 4 * EFFICIENCY**3 * (1 - EFFICIENCY)
    for c in (0, 2, 3):
        assert 100 < tagged[c] <= TRACKED.expected.sum(axis=0)[c]
        assert found[c] / tagged[c] == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / tagged[c]))
    # where no chamber is parallel to it nobody says where it was crossed
    assert tagged[1] == 0


def test_a_chamber_is_tagged_only_by_all_others() -> None:
    # chambers 0 and 2 in view x, 1 and 3 in view y, one vertical muon; there: which have a segment
    heights, ones = np.array([400.0, 300.0, 200.0, 100.0]), np.ones(4, np.bool_)
    chambers = (np.array([0, 1, 0, 1]), heights, np.full(4, 350.0), np.array([2, 2]), np.zeros(4), ones)
    for there in ([0, 1, 2, 3], [1, 2, 3], [0, 2, 3], [2, 3]):
        at = np.array(there)
        zeros = np.zeros(len(at))
        crossed, found = np.zeros(4, np.int64), np.zeros(4, np.int64)
        segments = (at, chambers[0][at], np.ones(len(at), np.bool_))
        lines = (zeros, chambers[1][at], zeros, zeros)
        tagged(0, len(at), segments, lines, chambers, (50.0, 0.25, 40.0), 80.0, crossed, found)
        wanted = [int(set(range(4)) - {c} <= set(there)) for c in range(4)]
        assert crossed.tolist() == wanted
        assert found.tolist() == [n * (c in there) for c, n in enumerate(wanted)]


def test_settings_that_are_not_allowed_are_named() -> None:
    with pytest.raises(ValueError, match=r"most_bend: found 0, expected more than 0, up to 10"):
        TrackConfig(most_bend=0)


def test_no_segments_make_no_tracks() -> None:
    tracked = TrackFinder(FINDER)(FINDER(Frames.empty()).segments)
    assert len(tracked.tracks) == 0


@pytest.mark.parametrize("chambers", [3, 4, 6])
@pytest.mark.parametrize("missing", [None, 0, 1, 2])
def test_a_muon_crosses_each_chamber_once(chambers: int, missing: int | None) -> None:
    # one vertical muon, with a full segment in each of so many parallel chambers but perhaps one; no other view
    z = 100.0 * np.arange(chambers, 0, -1)
    there = np.array([c for c in range(chambers) if c != missing])
    n, zeros = len(there), np.zeros(len(there))
    expected, found = np.zeros(chambers, np.int64), np.zeros(chambers, np.int64)
    of_chambers = (
        np.zeros(chambers, np.int64),
        z,
        np.full(chambers, 350.0),
        np.array([chambers, 0]),
        np.zeros(chambers),
    )
    lines = (zeros, z[there], zeros, zeros)
    limits = (50.0, 0.25, 40.0)
    _probe(0, n, there, np.zeros(n, np.int64), np.ones(n, np.bool_), lines, of_chambers, limits, 80.0, expected, found)
    sure = np.array([there.min() < c < there.max() for c in range(chambers)])
    assert expected.tolist() == sure.astype(int).tolist()
    assert found.tolist() == (sure & (np.arange(chambers) != (-1 if missing is None else missing))).astype(int).tolist()


def test_the_better_the_class_of_a_segment_the_more_are_right() -> None:
    finder = SegmentFinder(TELESCOPE)
    s = finder(FRAMES).segments
    classes = qualities(s, TrackFinder(finder).lines(s).full)
    rows = rows_of(FRAMES.words[s.word.max(axis=1)])
    layer = s.word.argmax(axis=1)
    own = TRUTH.muon[rows] >= 0
    late = s.t0_ns - TRUTH.passage_ns[rows]
    side = (s.sides >> layer) & 1
    away = TRUTH.distance_mm[rows]
    right = own & (np.abs(late) < 50) & ((np.abs(away) < 1) | ((away > 0) == side))
    share = [right[classes == one].mean() for one in Quality]
    assert share[Quality.FULL_CONFIRMED] > 0.98
    assert share[Quality.FULL_CONFIRMED] > share[Quality.CONFIRMED] > share[Quality.ALONE]
    assert share[Quality.FULL_CONFIRMED] > share[Quality.FULL_ALONE] > share[Quality.ALONE]
    assert (classes == Quality.FULL_CONFIRMED).mean() > 0.3
    # one by one: another chamber's segment of the same orbit within a bunch crossing
    for i in range(0, len(s), 211):
        same = (s.orbit == s.orbit[i]) & (s.chamber != s.chamber[i]) & (np.abs(s.t0_ns - s.t0_ns[i]) < CONFIRMED_NS)
        confirmed = classes[i] in (Quality.FULL_CONFIRMED, Quality.CONFIRMED)
        assert confirmed == bool(same.any())


@pytest.mark.parametrize(("muons", "given_up"), [(3, False), (MOST_SEGMENTS, True)])
def test_orbits_with_too_many_segments_have_no_tracks_and_their_segments_are_counted(
    muons: int, given_up: bool
) -> None:
    """Which are too many, their number alone says; other orbits of the window are not touched."""
    finder = SegmentFinder(Detector.default())
    hits = [(16, 1112), (18, 1357), (17, 1110), (19, 1357)]
    table = [
        (board, 64 * half + cell, orbit, tdc + 800 * muon)
        for orbit, many in ((5, muons), (9, 1))
        for muon in range(many)
        for board in (0, 1)
        for half in (0, 1)
        for cell, tdc in hits
    ]
    board, channel, orbit, tdc = np.array(table).T
    words = encode(fpga=board, channel=channel, orbit=orbit, bx=(tdc - 1) // 30, tdc=1 + (tdc - 1) % 30)
    frames = Frames(words, np.array([0, len(words)]), np.array([0]))
    segments = finder(frames).segments
    crowded = int((segments.orbit == 5).sum())
    assert (crowded > MOST_SEGMENTS) == given_up
    tracked = TrackFinder(finder)(segments)
    assert tracked.given_up.tolist() == [crowded if given_up else 0]
    orbits = tracked.tracks.orbit.tolist()
    assert (9 in orbits, 5 in orbits) == (True, not given_up)
