"""Reconstruction of whole windows: fills histograms of muons besides those of the accumulating kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator, slots_of
from muonstream.counting.muon_entries import (
    FULL_SEGMENTS,
    GIVEN_UP,
    GIVEN_UP_SEGMENTS,
    HEIGHT_TAN,
    MISFIT_MM,
    MISS_MM,
    MUONS,
    SEGMENTS,
    TRACKS,
    VELOCITY_TIME_PS,
    VELOCITY_WIRE_UM,
)
from muonstream.counting.muon_rates import VELOCITY_SUMS
from muonstream.detector.geometry import depths_mm, half_width_mm
from muonstream.frames import Frames, ScatteredFrames
from muonstream.muons.events import EventMaker, MuonContribution
from muonstream.muons.filler import Filler
from muonstream.muons.physics import Physics, fill_full
from muonstream.muons.quality import qualities
from muonstream.muons.segments import Found, SegmentConfig, SegmentFinder, Segments
from muonstream.muons.tracks import TrackConfig, Tracked, TrackFinder

MISFIT_LAYERS: Final = 3
"""As many hits as a segment has unknowns: with more there is a misfit."""
EDGE_MM: Final = 2.0
"""Segments this near the edge of a cell do not count in its efficiency: the hit may be in the next cell."""


class Reconstruction:
    """The accumulating kernel, and segments and tracks with it; safe to call from several threads at once.

    Raises ValueError for a catalogue without muons.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        segments: SegmentConfig | None = None,
        tracks: TrackConfig | None = None,
        *,
        pairs: bool = True,
        every_slot: bool = False,
    ) -> None:
        if not catalogue.muon_shapes:
            raise ValueError("catalogue: found one without muons, expected Catalogue(detector, muons=True)")
        self.catalogue = catalogue
        self._every_slot = every_slot
        self.keep: Callable[[Found], None] | None = None
        """Gets the segments of all frames, in any order and from any thread; set before the first word."""
        self.hurried: Callable[[], bool] = lambda: False
        """Whether the time for segments is up: the hits of further frames are given up, and counted."""
        self._accumulate = Accumulator(Catalogue(catalogue.detector), pairs=pairs, every_slot=every_slot)
        self.find_segments = SegmentFinder(catalogue.detector, segments)
        self.find_tracks = TrackFinder(self.find_segments, tracks)
        self._physics = Physics(catalogue)
        self._events = EventMaker(catalogue, self.find_tracks.middle_mm)

    def __call__(self, frames: Frames | ScatteredFrames, newest: int | None = None) -> MuonContribution:
        """The contribution of whole windows, with muons; newest: see `Accumulator`."""
        if isinstance(frames, ScatteredFrames):
            frames = frames.gather()
        counted = self._accumulate(frames, newest)
        found = self.find_segments.none_of(frames) if self.hurried() else self.find_segments(frames)
        if self.keep is not None:
            self.keep(found)
        tracked = self.find_tracks(found.segments)
        _, lump = slots_of(frames.keys, newest, every=self._every_slot)
        filler = Filler(self.catalogue, len(counted.slots) + 1, len(frames))
        self._fill(filler, found, tracked, lump)
        self._physics(filler, frames, found.segments, lump)
        return MuonContribution(
            np.concatenate([counted.total, filler.data.sum(axis=0)]),
            counted.slots,
            np.concatenate([counted.recent, filler.data[1:]], axis=1),
            counted.keys,
            np.concatenate([counted.rows, filler.rows], axis=1),
            self._events(frames, found.segments, tracked),
        )

    def _fill(self, filler: Filler, found: Found, tracked: Tracked, lump: NDArray[np.int64]) -> None:
        s, lines, tracks = found.segments, tracked.lines, tracked.tracks
        at, at_track = lump[s.frame], lump[tracks.frame]
        muon = np.flatnonzero((tracks.partner >= 0) & (tracks.view == 0))

        columns = filler.columns
        filler.count(s.frame, columns.segments + s.chamber)
        filler.count(s.frame[lines.full], columns.full + s.chamber[lines.full])
        filler.count(tracks.frame, columns.tracks + tracks.view)
        filler.count(tracks.frame[muon], columns.muons)
        kinds = [(SEGMENTS, at), (FULL_SEGMENTS, at[lines.full]), (TRACKS, at_track), (MUONS, at_track[muon])]
        for kind, where in kinds:
            filler.add("muon_counts", where, 0, np.full(len(where), kind))
        for kind in range(found.given_up.shape[1]):
            filler.add("muon_counts", lump, 0, np.full(len(lump), GIVEN_UP + kind), found.given_up[:, kind])
        seen = lump[: len(tracked.given_up)]
        filler.add("muon_counts", seen, 0, np.full(len(seen), GIVEN_UP_SEGMENTS), tracked.given_up)
        filler.add("segment_hits", at, s.chamber, s.hits)
        filler.add("segment_quality", at, s.chamber, qualities(s, lines.full))
        full = np.flatnonzero(lines.full)
        filler.add("segment_chi2", at[full], s.chamber[full], s.chi2[full])
        filler.add("segment_tan", at, s.chamber, s.tan)
        filler.add("segment_x", at, s.chamber, s.x_mm)
        with_passage = np.flatnonzero(lines.full & np.isfinite(found.passage_ns))
        difference = s.t0_ns[with_passage] - found.passage_ns[with_passage]
        filler.add("t0_passage", at[with_passage], s.chamber[with_passage], difference)
        for c in range(len(self.catalogue.detector.chambers)):
            if self.find_segments.layers[c]:
                here = np.flatnonzero(lines.full & (s.chamber == c))
                self._fill_hits(filler, c, s.chosen(here), at[here])
                here = np.flatnonzero(s.chamber == c)
                self._fill_cells(filler, c, s.chosen(here), at[here])
                alone = here[~np.isfinite(found.passage_ns[here])]
                self._fill_on_segments(filler, c, s.cell[alone], at[alone])

        chambers = range(tracks.segment.shape[1])
        first = np.argmax(tracks.segment >= 0, axis=1) if len(tracks) else np.zeros(0, np.int64)
        for c in chambers:
            here = np.flatnonzero((tracks.segment[:, c] >= 0) & (first != c))
            pairs = tracks.segment[here, first[here]], tracks.segment[here, c]
            here = here[lines.full[pairs[0]] & lines.full[pairs[1]]]
            a, b = tracks.segment[here, first[here]], tracks.segment[here, c]
            middle = (lines.tan[a] + lines.tan[b]) / 2
            filler.add("t0_between", at_track[here], c, s.t0_ns[b] - s.t0_ns[a])
            filler.add("bend", at_track[here], c, lines.tan[b] - lines.tan[a])
            miss = lines.x_mm[b] - lines.x_mm[a] - (lines.z_mm[a] - lines.z_mm[b]) * middle
            filler.add("miss", at_track[here], c, miss)
            tan, off = np.rint(middle * HEIGHT_TAN).astype(np.int64), np.rint(miss * 1000).astype(np.int64)
            inside = np.abs(miss) < MISS_MM
            for kind, weight in enumerate((np.ones_like(tan), tan, off, tan * tan, tan * off)):
                filler.add("height", at_track[here[inside]], c, np.full(int(inside.sum()), kind), weight[inside])
        filler.add("track_tan", at_track, tracks.view, tracks.tan)
        several = np.flatnonzero(tracks.degrees > 0)
        each = tracks.chi2[several] / tracks.degrees[several]
        filler.add("track_chi2", at_track[several], tracks.view[several], each)
        tan = np.hypot(tracks.tan[muon], tracks.tan[tracks.partner[muon]])
        filler.add("t0_views", at_track[muon], 0, tracks.t0_ns[tracks.partner[muon]] - tracks.t0_ns[muon])
        filler.add("zenith", at_track[muon], 0, np.degrees(np.arctan(tan)))
        azimuth = np.arctan2(tracks.tan[tracks.partner[muon]], tracks.tan[muon])
        filler.add("azimuth", at_track[muon], 0, np.degrees(azimuth) % 360)
        for c in chambers:
            which = np.full(len(seen), c)
            filler.add("chamber_expected", seen, 0, which, tracked.expected[:, c])
            filler.add("chamber_found", seen, 0, which, tracked.found[:, c])
            filler.add("chamber_tagged", seen, 0, which, tracked.tagged[:, c])
            filler.add("tagged_found", seen, 0, which, tracked.tagged_found[:, c])

    def _fill_hits(self, filler: Filler, c: int, s: Segments, at: NDArray[np.int64]) -> None:
        """Residuals and velocity, of segments of one chamber with a hit in each layer."""
        chamber, patterns = self.catalogue.detector.chambers[c], self.find_segments.patterns(c)
        n = chamber.layers
        where = s.layers << n | s.sides
        sign = np.where((s.sides[:, None] >> np.arange(n)) & 1, 1.0, -1.0)
        residual = s.residual_mm[:, :n]
        lumps = np.repeat(at, n)
        filler.add("residual_biased", lumps, c, residual.ravel())
        leverage = patterns.leverage[where]
        told = leverage > 0.01
        unbiased = residual[told] / leverage[told]
        filler.add("residual_unbiased", np.repeat(at[:, None], n, axis=1)[told], c, unbiased)
        away_um = np.rint(residual * sign * 1000).astype(np.int64).ravel()
        added_mm = s.added_mm[:, :n]
        distance_mm = s.drift_ns[:, :n] * chamber.drift_velocity_um_per_ns / 1000 + added_mm
        distance = distance_mm.ravel()
        filler.add("residual_count", lumps, c, distance)
        filler.add("residual_sum_um", lumps, c, distance, away_um)
        filler.add("residual_sum2_um2", lumps, c, distance, away_um**2)

        wires = (chamber.wire_x_mm() - half_width_mm(chamber))[s.cell[:, :n]]
        normal = patterns.normal[where, 0]
        # the relation's part of a distance counts as known, so that the velocity is fitted to the rest
        wires = wires + sign * added_mm
        hits_mm = wires + sign * s.drift_ns[:, :n] * (chamber.drift_velocity_um_per_ns / 1000)
        first = (patterns.normal[where, 0] * hits_mm).sum(axis=1) if n > MISFIT_LAYERS else None
        fill_full(filler, c, s, at, distance_mm, first)
        for k in range(n - 3):
            # their errors are those of single hits, and independent
            misfit = (patterns.normal[where, k] * hits_mm).sum(axis=1)
            filler.add("misfit", at, c, misfit)
            if k == 0:
                near = np.abs(misfit) < MISFIT_MM
                um = np.rint(misfit[near] * 1000).astype(np.int64)
                for kind, weight in enumerate((np.ones_like(um), um, um * um)):
                    filler.add("misfit_side", at[near], c, 3 * s.sides[near].astype(np.int64) + kind, weight)
        a = np.rint((normal * wires).sum(axis=1) * 1000 / VELOCITY_WIRE_UM).astype(np.int64)
        b = np.rint((normal * sign * s.drift_ns[:, :n]).sum(axis=1) * 1000 / VELOCITY_TIME_PS).astype(np.int64)
        for kind, weight in enumerate(((a != 0).astype(np.int64), a * a, a * b, b * b * (a != 0))):
            filler.add("velocity", at, c, np.full(len(at), kind), weight)
            filler.count(s.frame, filler.columns.velocity + VELOCITY_SUMS * c + kind, weight)

    def _fill_on_segments(self, filler: Filler, c: int, cell: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Hits on segments, int64[n, layers] with -1 where a layer has none, by cell: they are not noise."""
        layers = self.catalogue.detector.chambers[c].layers
        base = int(self.catalogue.channel_map.cell_base[c])
        segment, layer = np.nonzero(cell[:, :layers] >= 0)
        filler.add("cell_on_segment", at[segment], 0, base + cell[segment, layer])

    def _fill_cells(self, filler: Filler, c: int, s: Segments, at: NDArray[np.int64]) -> None:
        """Efficiency of cells: of segments with hits in all other layers, which have one in the cell they cross."""
        chamber = self.catalogue.detector.chambers[c]
        base = int(self.catalogue.channel_map.cell_base[c])
        n, every = chamber.layers, (1 << chamber.layers) - 1
        number_of_layer = np.argsort(np.asarray(chamber.layer_of_channel))
        for layer in range(n):
            here = np.flatnonzero((s.layers | 1 << layer) == every)
            across = s.x_mm[here] + s.tan[here] * depths_mm(chamber)[layer] + half_width_mm(chamber)
            across = across - chamber.layer_shift_mm[layer]
            column = np.floor(across / chamber.cell_width_mm).astype(np.int64)
            from_wire = np.abs(across - (column + 0.5) * chamber.cell_width_mm)
            inside = (column >= 0) & (column < chamber.cells_per_layer)
            inside &= from_wire < chamber.cell_width_mm / 2 - EDGE_MM
            here, column = here[inside], column[inside]
            code = base + column * n + int(number_of_layer[layer])
            hit = np.flatnonzero(s.cell[here, layer] >= 0)
            filler.add("cell_expected", at[here], 0, code)
            filler.add("cell_found", at[here[hit]], 0, code[hit])
