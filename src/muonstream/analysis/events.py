"""Recent muons for an event display: their hits with both lateral images, segments and tracks, in both views.

Kept is a ring of the newest; which they are depends on the data alone, not on the order in which parts of it come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.accumulate import Contribution
from muonstream.analysis.histograms import Catalogue
from muonstream.detector import Chamber
from muonstream.frames import Frames
from muonstream.geometry import VIEWS, depths_mm, from_frame, half_width_mm, middle_mm
from muonstream.words import NS_PER_TDC, ORBIT_MASK, TDC_PER_ORBIT, WINDOW_ORBITS, decode, time_tdc

if TYPE_CHECKING:
    # a monitor without reconstruction does not wait for its kernels to load
    from muonstream.analysis.segments import Segments
    from muonstream.analysis.tracks import Tracked, Tracks

RING: Final = 24
"""Muons that are kept."""
BEFORE_NS: Final = 50.0
AFTER_NS: Final = 500.0
"""Hits this much before and after a muon's t0 are shown with it."""


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
    """One muon. key: its window's key; orbit: the orbit counter; t0_ns: since the orbit's beginning."""

    key: int
    orbit: int
    t0_ns: float
    hits: tuple[EventHit, ...]
    segments: tuple[EventLine, ...]
    tracks: tuple[EventLine, ...]

    @property
    def order(self) -> tuple[int, int, float]:
        """By which muons are new."""
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
        )


@dataclass(frozen=True, slots=True)
class MuonContribution(Contribution):
    """What some windows add to a run, and the newest muons in them."""

    events: tuple[MuonEvent, ...]


def newest(events: Iterable[MuonEvent], most: int = RING) -> tuple[MuonEvent, ...]:
    """The newest of some muons, each once, the oldest of them first."""
    by_order = {event.order: event for event in events}
    return tuple(by_order[order] for order in sorted(by_order)[-most:])


def events_of(
    frames: Frames, catalogue: Catalogue, segments: Segments, tracked: Tracked, middle_height_mm: float
) -> tuple[MuonEvent, ...]:
    """The newest muons of some frames: those with a track, counted once where both views have one."""
    tracks = tracked.tracks
    # of a muon's two tracks the first stands for both; they are in order of window and orbit, the newest last
    heads = np.flatnonzero((tracks.partner < 0) | (tracks.partner > np.arange(len(tracks))))
    return newest(_event(frames, catalogue, segments, tracked, int(head), middle_height_mm) for head in heads[-RING:])


def _event(
    frames: Frames, catalogue: Catalogue, s: Segments, tracked: Tracked, head: int, middle_height_mm: float
) -> MuonEvent:
    tracks, lines, detector = tracked.tracks, tracked.lines, catalogue.detector
    both = [head] if tracks.partner[head] < 0 else [head, int(tracks.partner[head])]
    t0_ns = float(np.mean(tracks.t0_ns[both]))
    places = [int(place) for one in both for place in tracks.segment[one] if place >= 0]
    frame = int(tracks.frame[head])
    taken = {
        int(s.word[place, layer]): (1 if (int(s.sides[place]) >> layer) & 1 else -1, float(s.t0_ns[place]))
        for place in places
        for layer in np.flatnonzero(s.word[place] >= 0).tolist()
    }
    return MuonEvent(
        key=int(frames.keys[frame]),
        orbit=int(tracks.orbit[head]),
        t0_ns=t0_ns,
        hits=tuple(_hits(frames, catalogue, frame, int(tracks.orbit[head]), t0_ns, taken)),
        segments=tuple(
            EventLine(
                chamber=detector.chambers[int(s.chamber[place])].number,
                view=VIEWS[int(lines.view[place])],
                x_mm=float(lines.x_mm[place]),
                z_mm=float(lines.z_mm[place]),
                tan=float(lines.tan[place]),
                chi2=float(s.chi2[place]),
            )
            for place in places
        ),
        tracks=tuple(_track(tracks, one, middle_height_mm) for one in both),
    )


def _track(tracks: Tracks, one: int, middle_height_mm: float) -> EventLine:
    return EventLine(
        chamber=0,
        view=VIEWS[int(tracks.view[one])],
        x_mm=float(tracks.x_mm[one]),
        z_mm=middle_height_mm,
        tan=float(tracks.tan[one]),
        chi2=float(tracks.chi2[one]),
    )


def _hits(
    frames: Frames, catalogue: Catalogue, frame: int, orbit: int, t0_ns: float, taken: dict[int, tuple[int, float]]
) -> Iterable[EventHit]:
    """The hits of an orbit that are near a t0, chamber by chamber."""
    begin = int(frames.starts[frame])
    words = frames.window(frame)
    same = (decode(words).orbit & (WINDOW_ORBITS - 1)) == (orbit & ORBIT_MASK & (WINDOW_ORBITS - 1))
    place = np.flatnonzero(same)
    inside_ns = (time_tdc(words[place]) % TDC_PER_ORBIT) * NS_PER_TDC
    channel_map = catalogue.channel_map
    code = channel_map.codes[words[place] >> np.uint64(49)].astype(np.int64)
    for c, chamber in enumerate(catalogue.detector.chambers):
        cell = code - int(channel_map.cell_base[c])
        drift_ns = inside_ns + chamber.time_offset_ns - t0_ns
        near = (cell >= 0) & (cell < chamber.cells) & (drift_ns > -BEFORE_NS) & (drift_ns < AFTER_NS)
        for i in np.flatnonzero(near).tolist():
            # a segment's hits drift from its own t0, so that its line goes through their images
            side, own_t0_ns = taken.get(begin + int(place[i]), (0, t0_ns))
            yield _hit(chamber, int(cell[i]), float(drift_ns[i]) + t0_ns - own_t0_ns, side)


def _hit(chamber: Chamber, cell: int, drift_ns: float, side: int) -> EventHit:
    """A hit with its images, in the chamber's view; the tilt moves heights by too little to be seen."""
    wire_mm = float(chamber.wire_x_mm()[cell]) - half_width_mm(chamber)
    distance_mm = min(max(drift_ns * chamber.drift_velocity_um_per_ns / 1000, 0.0), chamber.cell_width_mm / 2)
    images, _ = from_frame(chamber, np.array([wire_mm - distance_mm, wire_mm + distance_mm]), np.zeros(2))
    return EventHit(
        chamber=chamber.number,
        cell=cell,
        drift_ns=drift_ns,
        low_x_mm=float(images[0]),
        high_x_mm=float(images[1]),
        z_mm=float(_heights_mm(chamber)[cell]),
        side=side,
    )


def _heights_mm(chamber: Chamber) -> NDArray[np.float64]:
    """Height of each cell's wire, float64[cells]."""
    return np.asarray(middle_mm(chamber) - depths_mm(chamber)[chamber.layer_of_cell()], dtype=np.float64)


def cell_places_mm(chamber: Chamber) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a chamber's wires are, across in its view and in height, float64[cells] each."""
    wires_mm = np.asarray(chamber.wire_x_mm() - half_width_mm(chamber), dtype=np.float64)
    across_mm, _ = from_frame(chamber, wires_mm, np.zeros(chamber.cells))
    return across_mm, _heights_mm(chamber)
