"""Segments beside the truth of simulated words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.patterns import Patterns
from muonstream.muons.segments import SegmentFinder, Segments
from muonstream.simulation.drift import Origin
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import NS_PER_TDC, TDC_PER_ORBIT, Words, time_tdc

FAR_MM = 1.0
"""Nearer to its wire than this, a hit's side does not matter."""
LAYERS = 4


def frames_of(words: Words, detector: Detector) -> Frames:
    """Words as the frame builder closes them."""
    builder = FrameBuilder(detector.boards)
    return Frames.join([builder.push(words), builder.finish()])


def truth_of(simulation: Simulation) -> Truth:
    """All of a simulation."""
    return Truth.joined(list(with_truth(simulation)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Muons that hit all four layers of a chamber, and the segments that are theirs.

    muons: how many; found: how many have a segment with at least three of these hits; tan: float32[muons], their slope
    full: places of the segments that have all four; rows: int64[full, 4], their hits' rows of truth
    fake: segments in which no muon has three hits; segments: all of them
    same_side: bool[muons], whether the muon passed all four wires on one side, so that hits do not tell its t0
    """

    found: NDArray[np.bool_]
    tan: NDArray[np.float32]
    same_side: NDArray[np.bool_]
    full: NDArray[np.int64]
    rows: NDArray[np.int64]
    fake: int
    segments: Segments
    truth: Truth

    @property
    def muons(self) -> int:
        return len(self.found)

    def wrong_sides(self, steepest: float, *, with_same_side: bool = True) -> tuple[int, int]:
        """Of hits far from their wire, of muons no steeper than this: how many have the wrong side, and how many."""
        distance = self.truth.distance_mm[self.rows]
        sides = (self.segments.sides[self.full][:, None] >> np.arange(LAYERS)) & 1
        far = (np.abs(distance) > FAR_MM) & (np.abs(self.truth.tan[self.rows]) < steepest)
        if not with_same_side:
            far &= (np.abs((distance > 0).sum(axis=1) - LAYERS / 2) < LAYERS / 2)[:, None]
        return int((((distance > 0) != (sides == 1)) & far).sum()), int(far.sum())

    def right(self) -> NDArray[np.bool_]:
        """Which of the full segments have every side right, and muon and hits in one orbit."""
        distance = self.truth.distance_mm[self.rows]
        sides = (self.segments.sides[self.full][:, None] >> np.arange(LAYERS)) & 1
        orbit = time_tdc(self.truth.words[self.rows[:, 0]]) // TDC_PER_ORBIT == self.truth.orbit[self.rows[:, 0]]
        return np.asarray(((distance > 0) == (sides == 1)).all(axis=1) & orbit)

    def pulls(self, patterns: Patterns, resolution_mm: float) -> dict[str, NDArray[np.float64]]:
        """Fit less truth over its error, of right segments: position, slope, t0 (in mm) and unbiased residuals."""
        right = self.right()
        s, rows = self.segments.chosen(self.full[right]), self.rows[right][:, 0]
        covariance = patterns.covariance[s.layers << LAYERS | s.sides] * resolution_mm**2
        leverage = patterns.leverage[s.layers << LAYERS | s.sides]
        told = leverage > 0.01
        velocity = 0.0538
        # boards count from 1, so that times are half a count late, a scintillator's as well
        half_ns = NS_PER_TDC / 2
        off = {
            "position": s.x_mm - self.truth.x_mm[rows],
            "slope": s.tan - self.truth.tan[rows],
            "t0": (s.t0_ns - self.truth.passage_ns[rows] - half_ns) * velocity,
        }
        pulls = {name: value / np.sqrt(covariance[:, i, i]) for i, (name, value) in enumerate(off.items())}
        pulls["residual"] = (s.residual_mm[:, :LAYERS] / np.sqrt(np.maximum(leverage, 1e-9)) / resolution_mm)[told]
        return pulls


def compare(truth: Truth, finder: SegmentFinder) -> Comparison:
    """Find segments in simulated words and set them beside their truth; chambers have four layers."""
    frames = frames_of(truth.words, finder.detector)
    segments = finder(frames).segments
    order_truth, order = np.argsort(truth.words, kind="stable"), np.argsort(frames.words, kind="stable")
    row_of_word = np.empty(len(frames.words), np.int64)
    row_of_word[order] = order_truth

    # (muon, chamber) of each hit that a muon's drift brought, and those with four of them
    visit = np.where(truth.origin == Origin.MUON, truth.muon * 256 + truth.chamber, -1)
    hits = np.flatnonzero(visit >= 0)
    visits, first, count = np.unique(visit[hits], return_index=True, return_counts=True)
    right_side = np.bincount(np.searchsorted(visits, visit[hits]), truth.distance_mm[hits] > 0)
    whole = count == LAYERS
    wanted = visits[whole]

    rows = np.where(segments.word >= 0, row_of_word[segments.word], -1)
    own = np.where(rows >= 0, visit[rows], -1)
    # the visit that most hits of a segment are of
    votes = (own[:, :, None] == own[:, None, :]).sum(axis=2) * (own >= 0)
    best = votes.argmax(axis=1)
    most = votes[np.arange(len(own)), best]
    visit_of = np.where(most >= LAYERS - 1, own[np.arange(len(own)), best], -1)
    full = np.flatnonzero(most == LAYERS)
    return Comparison(
        found=np.isin(wanted, visit_of),
        tan=truth.tan[hits[first[whole]]],
        same_side=np.isin(right_side[whole], (0, LAYERS)),
        full=full,
        rows=rows[full],
        fake=int((visit_of < 0).sum()),
        segments=segments,
        truth=truth,
    )
