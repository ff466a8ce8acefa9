"""Tracks: straight lines through the segments that parallel chambers have in one orbit, and chambers' efficiency.

Chambers of one view are parallel. Two segments belong together when their t0, their slopes, and the line between them
agree within generous limits, so that chambers need not be aligned. The best segments, with more hits and smaller chi2,
look for their partners first, and a segment is used once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.detector.geometry import VIEWS, from_frame, half_width_mm, middle_mm
from muonstream.detector.model import Detector
from muonstream.muons.agreement import LOOSE, MOST_SEGMENTS, agree
from muonstream.muons.segments import SegmentFinder, Segments
from muonstream.muons.tags import tagged


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """What belongs together. Raises ValueError naming the key, what was found and what is allowed.

    most_t0_ns: largest difference of t0 between segments of a track, and between the two views of a muon
    most_bend: largest difference of slopes; most_miss_mm: how far a segment may be from the line of another
    inside_mm: how far inside a chamber a line must cross it to count in its efficiency
    """

    most_t0_ns: float = 50.0
    most_bend: float = 0.25
    most_miss_mm: float = 40.0
    inside_mm: float = 80.0

    def __post_init__(self) -> None:
        """Check every value."""
        for key, high in (("most_t0_ns", 1e4), ("most_bend", 10), ("most_miss_mm", 1e4), ("inside_mm", 1e4)):
            value = getattr(self, key)
            if not 0 < value <= high:
                raise ValueError(f"{key}: found {value}, expected more than 0, up to {high:g}")


@dataclass(frozen=True, slots=True)
class Lines:
    """Segments as lines of their views, arrays of one length: where chambers stand, how they are turned and tilted.

    x_mm: float64, across the wires at the height z_mm; tan: float64, how far x goes for each step down
    var_x, cov, var_tan: float64, mm2, mm and 1, for the configured resolution; view: int64, 0 for x, 1 for y
    full: bool, a hit in every layer of the chamber
    """

    x_mm: NDArray[np.float64]
    z_mm: NDArray[np.float64]
    tan: NDArray[np.float64]
    var_x: NDArray[np.float64]
    cov: NDArray[np.float64]
    var_tan: NDArray[np.float64]
    view: NDArray[np.int64]
    full: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracks of one view, as arrays of one length n, in order of window and orbit.

    frame, orbit: int64, as of segments; view: int64, 0 for x, 1 for y; t0_ns: float64, the mean of its segments'
    x_mm: float64, at the telescope's middle height; tan: float64; chi2: float64; degrees: int64, of freedom
    segment: int64[n, C], the place of each chamber's segment, -1 for none; partner: int64, the track of the other view
    that is the same muon's, -1 for none
    """

    frame: NDArray[np.int64]
    orbit: NDArray[np.int64]
    view: NDArray[np.int64]
    t0_ns: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    tan: NDArray[np.float64]
    chi2: NDArray[np.float64]
    degrees: NDArray[np.int64]
    segment: NDArray[np.int64]
    partner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frame)


@compiled
def _fit(chosen: Any, x: Any, z: Any, tan: Any, var: Any, middle: float) -> tuple[float, float, float]:
    """Least squares of a line through segments, -1 for none: position at the middle's height, slope, chi2."""
    var_x, cov, var_tan = var
    a, b, c, p, q = 0.0, 0.0, 0.0, 0.0, 0.0
    for s in chosen:
        if s >= 0:
            # the segment's position, brought to the middle by its own slope
            d = z[s] - middle
            det = var_x[s] * var_tan[s] - cov[s] * cov[s]
            wxx, wxt, wtt = var_tan[s] / det, -cov[s] / det, var_x[s] / det
            # derivatives of (x, tan) by (position, slope) are (1, -d) and (0, 1)
            a += wxx
            b += wxt - d * wxx
            c += wtt - 2 * d * wxt + d * d * wxx
            p += wxx * x[s] + wxt * tan[s]
            q += (wxt - d * wxx) * x[s] + (wtt - d * wxt) * tan[s]
    det = a * c - b * b
    position, slope = (c * p - b * q) / det, (a * q - b * p) / det
    chi2 = 0.0
    for s in chosen:
        if s >= 0:
            d = z[s] - middle
            dx, dt = x[s] - position + d * slope, tan[s] - slope
            det = var_x[s] * var_tan[s] - cov[s] * cov[s]
            chi2 += (var_tan[s] * dx * dx - 2 * cov[s] * dx * dt + var_x[s] * dt * dt) / det
    return position, slope, chi2


@compiled
def _probe(
    first: int,
    last: int,
    chamber: Any,
    view: Any,
    full: Any,
    lines: Any,
    chambers: Any,
    limits: Any,
    inside: float,
    expected: Any,
    found: Any,
) -> None:
    """Chambers crossed for sure by what others saw, and whether they saw it, for one orbit's segments.

    The line is given by two chambers of the view, or, where the view has two in all, by the other one with hits in all
    layers. Along its wires a segment in the other view says that the chamber was crossed; in a telescope of one view,
    only that it is between the two others. A muon crosses a chamber once, however many pairs of others saw it.
    """
    x, z, tan, t0 = lines
    chamber_view, chamber_z, chamber_half, in_view, origin = chambers
    for c in range(len(chamber_view)):
        v = chamber_view[c]
        for a in range(first, last):
            if view[a] != v or chamber[a] == c or not full[a]:
                continue
            if in_view[v] > 2:
                seen = False
                for e in range(first, last):
                    before = view[e] == v and chamber[e] < chamber[a] and chamber[e] != c and full[e]
                    seen = seen or (before and agree(e, a, x, z, tan, t0, limits))
                if seen:
                    continue
            for b in range(first, last):
                if in_view[v] > 2:
                    if chamber[b] <= chamber[a] or chamber[b] == c or view[b] != v or not full[b]:
                        continue
                    if not agree(a, b, x, z, tan, t0, limits):
                        continue
                elif b != a:
                    continue
                slope = (x[b] - x[a]) / (z[a] - z[b]) if in_view[v] > 2 else tan[a]
                at = x[a] + slope * (z[a] - chamber_z[c])
                if abs(at - origin[c]) > chamber_half[c] - inside:
                    continue
                # so chambers at the ends of a telescope of one view are not judged: muons may pass beside their wires
                along = in_view[1 - v] == 0 and (z[a] - chamber_z[c]) * (z[b] - chamber_z[c]) < 0
                for s in range(first, last):
                    if view[s] == 1 - v and full[s] and abs(t0[s] - t0[a]) <= limits[0]:
                        far = abs(x[s] + tan[s] * (z[s] - chamber_z[c]))
                        along = along or far <= chamber_half[c] - inside
                if not along:
                    continue
                expected[c] += 1
                for s in range(first, last):
                    if chamber[s] == c and abs(t0[s] - t0[a]) <= LOOSE * limits[0] and abs(x[s] - at) <= inside:
                        found[c] += 1
                        break
                break


@compiled
def _track(
    frame: Any,
    orbit: Any,
    chamber: Any,
    hits: Any,
    chi2: Any,
    view: Any,
    full: Any,
    lines: Any,
    var: Any,
    chambers: Any,
    limits: Any,
    inside: float,
    middle: float,
    out: Any,
    numbers: Any,
    expected: Any,
    found: Any,
    tags: Any,
    has: Any,
    given_up: Any,
) -> int:
    x, z, tan, t0 = lines
    chamber_view, chamber_z, chamber_half, in_view, origin = chambers
    crossed, seen = tags
    to_tag = (chamber_view, chamber_z, chamber_half, in_view, origin, has)
    fewest = has.sum() - 1
    n, done, first = len(orbit), 0, 0
    used = np.zeros(n, np.bool_)
    while first < n:
        last = first + 1
        while last < n and orbit[last] == orbit[first] and frame[last] == frame[first]:
            last += 1
        begin, k = done, frame[first]
        if last - first > MOST_SEGMENTS:
            given_up[k] += last - first
            first = last
            continue
        if last - first > 1:
            _probe(first, last, chamber, view, full, lines, chambers, limits, inside, expected[k], found[k])
        if last - first >= fewest and fewest > 1:
            of_orbit = (chamber, view, full)
            tagged(first, last, of_orbit, lines, to_tag, limits, inside, crossed[k], seen[k])
        while True:
            seed = -1
            for s in range(first, last):
                if not used[s] and (
                    seed < 0 or hits[s] > hits[seed] or (hits[s] == hits[seed] and chi2[s] < chi2[seed])
                ):
                    seed = s
            if seed < 0:
                break
            used[seed] = True
            chosen = out[done, 4:]
            chosen[:] = -1
            chosen[chamber[seed]] = seed
            many = 1
            for s in range(first, last):
                c = chamber[s]
                if used[s] or view[s] != view[seed] or c == chamber[seed]:
                    continue
                if not agree(seed, s, x, z, tan, t0, limits):
                    continue
                other = chosen[c]
                if other < 0:
                    many += 1
                elif hits[other] > hits[s] or (hits[other] == hits[s] and chi2[other] <= chi2[s]):
                    continue
                chosen[c] = s
            if many < 2 and in_view[view[seed]] > 1:
                continue
            position, slope, miss = _fit(chosen, x, z, tan, var, middle)
            total = 0.0
            for s in chosen:
                if s >= 0:
                    used[s] = True
                    total += t0[s]
            out[done, 0], out[done, 1], out[done, 2], out[done, 3] = seed, view[seed], 2 * many - 2, -1
            numbers[done, 0], numbers[done, 1], numbers[done, 2] = total / many, position, slope
            numbers[done, 3] = miss
            done += 1
        # the two views of a muon, those with the nearest t0 first come first
        for a in range(begin, done):
            best = -1
            for b in range(a + 1, done):
                if out[a, 3] < 0 and out[b, 3] < 0 and out[a, 1] != out[b, 1]:
                    apart = abs(numbers[a, 0] - numbers[b, 0])
                    if apart <= limits[0] and (best < 0 or apart < abs(numbers[a, 0] - numbers[best, 0])):
                        best = b
            if best >= 0:
                out[a, 3], out[best, 3] = best, a
        first = last
    return done


@dataclass(frozen=True, slots=True)
class Tracked:
    """Tracks, and the lines they were made of.

    expected, found: int64[k, C], by window and chamber, how often it should have seen a line, and did
    tagged, tagged_found: int64[k, C], how often a muon crossed it that all others saw, in both views, and it did
    given_up: int64[k], by window, segments of orbits with too many
    """

    tracks: Tracks
    lines: Lines
    expected: NDArray[np.int64]
    found: NDArray[np.int64]
    tagged: NDArray[np.int64]
    tagged_found: NDArray[np.int64]
    given_up: NDArray[np.int64]


class TrackFinder:
    """Makes tracks of segments; safe to call from several threads at once."""

    def __init__(self, finder: SegmentFinder, config: TrackConfig | None = None) -> None:
        self.detector: Detector = finder.detector
        self.config = config or TrackConfig()
        chambers = self.detector.chambers
        self._view = np.array([VIEWS.index(c.view) for c in chambers], np.int64)
        self._z_mm = np.array([middle_mm(c) for c in chambers])
        self.middle_mm = float((self._z_mm.min() + self._z_mm.max()) / 2)
        """The height at which tracks have their position."""
        in_view = np.bincount(self._view[finder.layers > 0], minlength=2).astype(np.int64)
        half = np.array([half_width_mm(c) for c in chambers])
        self._has_segments = np.asarray(finder.layers > 0)
        nowhere = np.zeros(1)
        origin = np.array([from_frame(c, nowhere, nowhere)[0][0] for c in chambers])
        self._chambers = (self._view, self._z_mm, half, in_view, origin)
        self._covariance = [
            finder.patterns(c).covariance * finder.config.resolution_mm**2 if finder.layers[c] else np.zeros((1, 3, 3))
            for c in range(len(chambers))
        ]

    def lines(self, segments: Segments) -> Lines:
        """Segments as lines of their views."""
        n = len(segments)
        x, tan, full = np.empty(n), np.empty(n), np.zeros(n, np.bool_)
        covariance = np.empty((n, 3, 3))
        for c, chamber in enumerate(self.detector.chambers):
            here = np.flatnonzero(segments.chamber == c)
            x[here], tan[here] = from_frame(chamber, segments.x_mm[here], segments.tan[here])
            covariance[here] = self._covariance[c][segments.layers[here] << chamber.layers | segments.sides[here]]
            full[here] = segments.layers[here] == (1 << chamber.layers) - 1
        return Lines(
            x_mm=x,
            z_mm=self._z_mm[segments.chamber],
            tan=tan,
            var_x=covariance[:, 0, 0].copy(),
            cov=covariance[:, 0, 1].copy(),
            var_tan=covariance[:, 1, 1].copy(),
            view=self._view[segments.chamber],
            full=full,
        )

    def __call__(self, segments: Segments) -> Tracked:
        """The tracks of segments, which are in the order in which they are found."""
        n, chambers = len(segments), len(self.detector.chambers)
        lines = self.lines(segments)
        out = np.empty((n, 4 + chambers), np.int64)
        numbers = np.empty((n, 4))
        windows = int(segments.frame[-1]) + 1 if n else 0
        expected, found, crossed, seen = np.zeros((4, windows, chambers), np.int64)
        given_up = np.zeros(windows, np.int64)
        config = self.config
        done = _track(
            segments.frame,
            segments.orbit,
            segments.chamber,
            segments.hits,
            segments.chi2,
            lines.view,
            lines.full,
            (lines.x_mm, lines.z_mm, lines.tan, segments.t0_ns),
            (lines.var_x, lines.cov, lines.var_tan),
            self._chambers,
            (config.most_t0_ns, config.most_bend, config.most_miss_mm),
            config.inside_mm,
            self.middle_mm,
            out,
            numbers,
            expected,
            found,
            (crossed, seen),
            self._has_segments,
            given_up,
        )
        out, numbers = out[:done], numbers[:done]
        seed = out[:, 0]
        tracks = Tracks(
            frame=segments.frame[seed],
            orbit=segments.orbit[seed],
            view=out[:, 1].copy(),
            t0_ns=numbers[:, 0].copy(),
            x_mm=numbers[:, 1].copy(),
            tan=numbers[:, 2].copy(),
            chi2=numbers[:, 3].copy(),
            degrees=out[:, 2].copy(),
            segment=out[:, 4:].copy(),
            partner=out[:, 3].copy(),
        )
        return Tracked(tracks, lines, expected, found, crossed, seen, given_up)
