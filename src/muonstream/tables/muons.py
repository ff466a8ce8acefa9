"""Frames as rows of segments, tracks and muons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.frames import KEY_WINDOW_BITS, Frames
from muonstream.muons.events import MuonEvent
from muonstream.muons.segments import SegmentFinder
from muonstream.muons.tracks import TrackFinder
from muonstream.tables.columns import MUONS, TRACKS, Arrays, segment_columns

NEWEST: Final = tuple(one for one in MUONS if one.name not in ("degrees", "track_x", "track_y"))
"""The columns of muons that a run keeps without their tracks."""


class MuonRows:
    """Makes the tables of segments, tracks and muons of whole windows, which are given in order.

    Rows of one table name those of another by their numbers, which count from the run's beginning.
    """

    def __init__(self, detector: Detector) -> None:
        self.columns = {"segments": segment_columns(detector), "tracks": TRACKS, "muons": MUONS}
        self._numbers = np.array([chamber.number for chamber in detector.chambers], np.int16)
        self._find_segments = SegmentFinder(detector)
        self._find_tracks = TrackFinder(self._find_segments)
        self._segments = self._tracks = self._muons = 0

    def __call__(self, frames: Frames) -> dict[str, Arrays]:
        """The rows of whole windows, by table."""
        found = self._find_segments(frames)
        segments = found.segments
        tracks = self._find_tracks(segments).tracks
        epochs = (frames.keys >> KEY_WINDOW_BITS).astype(np.int32)

        # a muon is known by its track in x; both its tracks have its number
        in_x = np.flatnonzero((tracks.partner >= 0) & (tracks.view == 0))
        in_y = tracks.partner[in_x]
        muon_of_track = np.full(len(tracks), -1, np.int64)
        muon = self._muons + np.arange(len(in_x))
        muon_of_track[in_x] = muon_of_track[in_y] = muon
        track = self._tracks + np.arange(len(tracks))
        track_of_segment = np.full(len(segments), -1, np.int64)
        its_track, its_chamber = np.nonzero(tracks.segment >= 0)
        track_of_segment[tracks.segment[its_track, its_chamber]] = track[its_track]

        rows: Arrays = {
            "segment": self._segments + np.arange(len(segments)),
            "epoch": epochs[segments.frame],
            "orbit": segments.orbit.astype(np.uint32),
            "chamber": self._numbers[segments.chamber],
            "hits": segments.hits.astype(np.int8),
            "x_mm": segments.x_mm,
            "tan": segments.tan,
            "t0_ns": segments.t0_ns,
            "chi2": segments.chi2,
            "passage_ns": found.passage_ns,
            "track": track_of_segment,
        }
        for layer in range(segments.cell.shape[1]):
            cell = segments.cell[:, layer]
            hit = cell >= 0
            rows[f"cell_{layer}"] = cell.astype(np.int16)
            rows[f"side_{layer}"] = np.where(hit, (segments.sides >> layer) & 1, -1).astype(np.int8)
            rows[f"drift_ns_{layer}"] = np.where(hit, segments.drift_ns[:, layer], np.nan)
            rows[f"residual_mm_{layer}"] = np.where(hit, segments.residual_mm[:, layer], np.nan)

        tan_x, tan_y = tracks.tan[in_x], tracks.tan[in_y]
        made = {
            "segments": rows,
            "tracks": {
                "track": track,
                "epoch": epochs[tracks.frame],
                "orbit": tracks.orbit.astype(np.uint32),
                "view": tracks.view.astype(np.int8),
                "segments": (tracks.segment >= 0).sum(axis=1).astype(np.int8),
                "t0_ns": tracks.t0_ns,
                "at_mm": tracks.x_mm,
                "tan": tracks.tan,
                "chi2": tracks.chi2,
                "degrees": tracks.degrees.astype(np.int16),
                "muon": muon_of_track,
            },
            "muons": {
                "muon": muon,
                "epoch": epochs[tracks.frame[in_x]],
                "orbit": tracks.orbit[in_x].astype(np.uint32),
                "t0_ns": (tracks.t0_ns[in_x] + tracks.t0_ns[in_y]) / 2,
                "x_mm": tracks.x_mm[in_x],
                "y_mm": tracks.x_mm[in_y],
                "z_mm": np.full(len(in_x), self._find_tracks.middle_mm),
                "tan_x": tan_x,
                "tan_y": tan_y,
                "zenith_deg": np.degrees(np.arctan(np.hypot(tan_x, tan_y))),
                "azimuth_deg": np.degrees(np.arctan2(-tan_y, -tan_x)),
                "chi2": tracks.chi2[in_x] + tracks.chi2[in_y],
                "degrees": (tracks.degrees[in_x] + tracks.degrees[in_y]).astype(np.int16),
                "track_x": track[in_x],
                "track_y": track[in_y],
            },
        }
        self._segments += len(segments)
        self._tracks += len(tracks)
        self._muons += len(in_x)
        return made


def newest_muons(events: Iterable[MuonEvent]) -> Arrays:
    """The muons of a run that have a track in both views, as rows of `NEWEST`, the oldest first."""
    both = [event for event in events if len(event.tracks) == 2]
    pairs = [{track.view: track for track in event.tracks} for event in both]

    def numbers(values: Iterable[float]) -> NDArray[np.float64]:
        return np.array(list(values), dtype=np.float64)

    tan_x, tan_y = (numbers(pair[view].tan for pair in pairs) for view in ("x", "y"))
    rows: dict[str, Any] = {
        "muon": np.arange(len(both)),
        "epoch": [event.key >> KEY_WINDOW_BITS for event in both],
        "orbit": [event.orbit for event in both],
        "t0_ns": numbers(event.t0_ns for event in both),
        "x_mm": numbers(pair["x"].x_mm for pair in pairs),
        "y_mm": numbers(pair["y"].x_mm for pair in pairs),
        "z_mm": numbers(pair["x"].z_mm for pair in pairs),
        "tan_x": tan_x,
        "tan_y": tan_y,
        "zenith_deg": np.degrees(np.arctan(np.hypot(tan_x, tan_y))),
        "azimuth_deg": np.degrees(np.arctan2(-tan_y, -tan_x)),
        "chi2": numbers(pair["x"].chi2 + pair["y"].chi2 for pair in pairs),
    }
    return {one.name: np.asarray(rows[one.name], dtype=one.dtype) for one in NEWEST}
