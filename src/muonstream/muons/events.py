"""Recent muons for an event display: their hits with both lateral images, segments and tracks, in both views.

A ring of the newest is kept, whose content depends on the data alone, not on the order in which parts arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Contribution
from muonstream.detector.channels import BLOCK_CELLS
from muonstream.detector.geometry import (
    VIEWS,
    depths_mm,
    distance_mm,
    from_frame,
    half_width_mm,
    middle_mm,
    time_offsets_ns,
)
from muonstream.detector.model import Chamber
from muonstream.detector.relation import steepness
from muonstream.frames import Frames
from muonstream.words import CHANNEL_SHIFT, NS_PER_TDC, ORBIT_SHIFT, TDC_PER_ORBIT, WINDOW_ORBITS, time_tdc

if TYPE_CHECKING:
    # so that a monitor without reconstruction does not load its kernels
    from muonstream.muons.segments import Segments
    from muonstream.muons.tracks import Tracked, Tracks

RING: Final = 24
"""Number of muons that are kept."""
BEFORE_NS: Final = 50.0
AFTER_NS: Final = 500.0
"""Hits within this time of a muon's t0 are shown with it."""
MOST_HITS: Final = 256
"""Most hits shown with one muon: its own and those nearest to its t0; the others are counted."""


@dataclass(frozen=True, slots=True)
class EventHit:
    """A hit, in its chamber's view: where the track may have been on either side of the wire, across and in height.

    chamber: its number; cell: in it; drift_ns: after t0, its segment's where it is in one
    side: +1 or -1 for the image that a segment took (+1: the one at larger x), 0 for a hit of no segment
    """

    chamber: int
    cell: int
    drift_ns: float
    low_x_mm: float
    high_x_mm: float
    z_mm: float
    side: int


@dataclass(frozen=True, slots=True)
class EventLine:
    """A segment (of a chamber, by its number) or a track (chamber 0): position at a height, and slope, in its view."""

    chamber: int
    view: str
    x_mm: float
    z_mm: float
    tan: float
    chi2: float


@dataclass(frozen=True, slots=True)
class MuonEvent:
    """One muon. key: its window's key; orbit: the orbit counter; t0_ns: since the orbit's beginning.

    hits_left_out: hits near it in time that are not among its hits, past `MOST_HITS`
    """

    key: int
    orbit: int
    t0_ns: float
    hits: tuple[EventHit, ...]
    segments: tuple[EventLine, ...]
    tracks: tuple[EventLine, ...]
    hits_left_out: int = 0

    @property
    def order(self) -> tuple[int, int, float]:
        """The key by which muons are ordered in time."""
        return self.key, self.orbit, self.t0_ns

    @property
    def zenith_deg(self) -> float | None:
        """The zenith angle, None for a muon with a track in one view alone."""
        if len(self.tracks) < 2:
            return None
        return float(np.degrees(np.arctan(np.hypot(self.tracks[0].tan, self.tracks[1].tan))))

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> MuonEvent:
        """From what `as_dict` gave. Raises KeyError or TypeError for anything else."""
        return cls(
            key=table["key"],
            orbit=table["orbit"],
            t0_ns=table["t0_ns"],
            hits=tuple(EventHit(**hit) for hit in table["hits"]),
            segments=tuple(EventLine(**line) for line in table["segments"]),
            tracks=tuple(EventLine(**line) for line in table["tracks"]),
            hits_left_out=table.get("hits_left_out", 0),
        )


@dataclass(frozen=True, slots=True)
class MuonContribution(Contribution):
    """What some windows add to a run, and the newest muons in them."""

    events: tuple[MuonEvent, ...]


def newest(events: Iterable[MuonEvent], most: int = RING) -> tuple[MuonEvent, ...]:
    """The newest of some muons, each once, in order of time."""
    by_order = {event.order: event for event in events}
    return tuple(by_order[order] for order in sorted(by_order)[-most:])


@dataclass(frozen=True, slots=True)
class _Muon:
    """A muon that is to be shown: its tracks and segments by their places, and what its segments took.

    taken: for words, by their places in the frames: the side (+1 or -1), the t0 that the segment's drift times count
        from, and its slope
    """

    frame: int
    orbit: int
    t0_ns: float
    tracks: list[int]
    segments: list[int]
    taken: dict[int, tuple[int, float, float]]


class EventMaker:
    """Makes the newest muons of frames for an event display.

    All their hits are taken together, since this is Python code, which threads run one at a time.
    """

    def __init__(self, catalogue: Catalogue, middle_height_mm: float) -> None:
        self._map = catalogue.channel_map
        self._chambers = catalogue.detector.chambers
        self._middle_height_mm = middle_height_mm
        self._offset_ns = time_offsets_ns(catalogue.detector)
        self._wires_mm = [chamber.wire_x_mm() - half_width_mm(chamber) for chamber in self._chambers]
        self._heights_mm = [_heights_mm(chamber) for chamber in self._chambers]

    def __call__(self, frames: Frames, segments: Segments, tracked: Tracked) -> tuple[MuonEvent, ...]:
        """The newest muons: those with a track, counted once where both views have one."""
        tracks, lines = tracked.tracks, tracked.lines
        # of a muon's two tracks the first stands for both; they are in order of window and orbit, the newest last
        heads = np.flatnonzero((tracks.partner < 0) | (tracks.partner > np.arange(len(tracks))))
        muons = [self._muon(segments, tracks, head) for head in heads[-RING:].tolist()]
        return newest(
            MuonEvent(
                key=int(frames.keys[muon.frame]),
                orbit=muon.orbit,
                t0_ns=muon.t0_ns,
                hits=tuple(hits),
                segments=tuple(
                    EventLine(
                        chamber=self._chambers[int(segments.chamber[place])].number,
                        view=VIEWS[int(lines.view[place])],
                        x_mm=float(lines.x_mm[place]),
                        z_mm=float(lines.z_mm[place]),
                        tan=float(lines.tan[place]),
                        chi2=float(segments.chi2[place]),
                    )
                    for place in muon.segments
                ),
                tracks=tuple(_track(tracks, one, self._middle_height_mm) for one in muon.tracks),
                hits_left_out=left_out,
            )
            for muon, hits, left_out in zip(muons, *self._hits(frames, muons), strict=True)
        )

    def _muon(self, s: Segments, tracks: Tracks, head: int) -> _Muon:
        both = [head] if tracks.partner[head] < 0 else [head, int(tracks.partner[head])]
        places = [int(place) for one in both for place in tracks.segment[one] if place >= 0]
        taken: dict[int, tuple[int, float, float]] = {}
        for place in places:
            relation, tan = self._chambers[int(s.chamber[place])].drift, float(s.tan[place])
            # drift times count from the t0 that was fitted
            later_ns = 0.0 if relation is None else relation.t0_tan_ns * float(steepness(s.tan[place]))
            for layer in np.flatnonzero(s.word[place] >= 0).tolist():
                side = 1 if (int(s.sides[place]) >> layer) & 1 else -1
                taken[int(s.word[place, layer])] = side, float(s.t0_ns[place]) - later_ns, tan
        t0_ns = float(np.mean(tracks.t0_ns[both]))
        return _Muon(int(tracks.frame[head]), int(tracks.orbit[head]), t0_ns, both, places, taken)

    def _hits(self, frames: Frames, muons: list[_Muon]) -> tuple[list[list[EventHit]], list[int]]:
        """For each muon the hits of its orbit that are near its t0, chamber by chamber, and how many are left out."""
        found: list[list[EventHit]] = [[] for _ in muons]
        left_out = [0 for _ in muons]
        if not muons:
            return found, left_out
        orbits: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = {}
        chosen: list[NDArray[np.int64]] = []
        for one, its in enumerate(muons):
            where = its.frame, its.orbit
            if where not in orbits:
                orbits[where] = self._of_orbit(frames, *where)
            at, code, time_ns = orbits[where]
            apart = time_ns - its.t0_ns
            near = np.flatnonzero((apart > -BEFORE_NS) & (apart < AFTER_NS))
            if len(near) > MOST_HITS:
                left_out[one] = len(near) - MOST_HITS
                others = ~np.isin(at[near], list(its.taken))
                near = np.sort(near[np.lexsort((np.abs(apart[near]), others))[:MOST_HITS]])
            chosen.append(np.stack([np.full(len(near), one), at[near], code[near]]))
        muon, at, code = np.concatenate(chosen, axis=1)
        chamber = self._map.chamber_of_block[code // BLOCK_CELLS]
        t0_ns = np.array([one.t0_ns for one in muons])[muon]
        inside_ns = (time_tdc(frames.words[at]) % TDC_PER_ORBIT) * NS_PER_TDC
        drift_ns = inside_ns + self._offset_ns[code] - t0_ns
        # a segment's hits drift from its own t0, so that its line goes through their images
        taken = [
            muons[one].taken.get(place, (0, muons[one].t0_ns, 0.0))
            for one, place in zip(muon, at.tolist(), strict=True)
        ]
        side, own_t0_ns, tan = np.array(taken, np.float64).reshape(-1, 3).T
        for c in range(len(self._chambers)):
            here = np.flatnonzero(chamber == c)
            own_drift_ns = drift_ns[here] + t0_ns[here] - own_t0_ns[here]
            sides = side[here].astype(np.int64)
            made = self._hits_in(c, code[here] - self._map.cell_base[c], own_drift_ns, tan[here], sides)
            for one, hit in zip(muon[here].tolist(), made, strict=True):
                found[one].append(hit)
        return found, left_out

    def _of_orbit(
        self, frames: Frames, frame: int, orbit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The hits of an orbit of a window: where they are in the frames, their codes, their times in ns."""
        at = _of_orbit(frames, frame, orbit)
        code = self._map.codes[frames.words[at] >> np.uint64(CHANNEL_SHIFT)].astype(np.int64)
        in_cell = code < self._map.n_cell_codes
        at, code = at[in_cell], code[in_cell]
        inside_ns = (time_tdc(frames.words[at]) % TDC_PER_ORBIT) * NS_PER_TDC
        return at, code, inside_ns + self._offset_ns[code]

    def _hits_in(
        self,
        c: int,
        cells: NDArray[np.int64],
        drift_ns: NDArray[np.float64],
        tan: NDArray[np.float64],
        sides: NDArray[np.int64],
    ) -> Iterator[EventHit]:
        """Hits of a chamber with their images, in its view; the tilt moves heights by too little to be seen."""
        chamber, wires_mm = self._chambers[c], self._wires_mm[c][cells]
        away_mm = np.clip(distance_mm(chamber, drift_ns, tan), 0.0, chamber.cell_width_mm / 2)
        images = [from_frame(chamber, wires_mm + way * away_mm, np.zeros(len(cells)))[0].tolist() for way in (-1, 1)]
        heights_mm = self._heights_mm[c][cells].tolist()
        for cell, drift, low, high, height, side in zip(
            cells.tolist(), drift_ns.tolist(), *images, heights_mm, sides.tolist(), strict=True
        ):
            yield EventHit(chamber.number, cell, drift, low, high, height, side)


def _of_orbit(frames: Frames, frame: int, orbit: int) -> NDArray[np.int64]:
    """Where the words of an orbit of a window are in the frames, int64[n]."""
    inside = (frames.window(frame) >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1)
    return np.flatnonzero(inside == np.uint64(orbit & (WINDOW_ORBITS - 1))) + int(frames.starts[frame])


def _track(tracks: Tracks, one: int, middle_height_mm: float) -> EventLine:
    return EventLine(
        chamber=0,
        view=VIEWS[int(tracks.view[one])],
        x_mm=float(tracks.x_mm[one]),
        z_mm=middle_height_mm,
        tan=float(tracks.tan[one]),
        chi2=float(tracks.chi2[one]),
    )


def _heights_mm(chamber: Chamber) -> NDArray[np.float64]:
    """Height of each cell's wire, float64[cells]."""
    return np.asarray(middle_mm(chamber) - depths_mm(chamber)[chamber.layer_of_cell()], dtype=np.float64)


def cell_places_mm(chamber: Chamber) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a chamber's wires are, across in its view and in height, float64[cells] each."""
    wires_mm = np.asarray(chamber.wire_x_mm() - half_width_mm(chamber), dtype=np.float64)
    across_mm, _ = from_frame(chamber, wires_mm, np.zeros(chamber.cells))
    return across_mm, _heights_mm(chamber)
