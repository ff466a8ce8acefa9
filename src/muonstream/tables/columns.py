"""The columns of each table: names, types, units, meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.errors import MuonstreamError
from muonstream.muons.patterns import reconstructed

Arrays = dict[str, NDArray[Any]]
"""Some rows of a table: an array of one length for each column, in the order of the columns."""

TABLES: Final = ("hits", "segments", "tracks", "muons")
"""Tables that are made of words."""


class TableError(MuonstreamError):
    """A table or a file that cannot be made, in one line."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: dtype is numpy's name for its values.

    missing: it may have no value, which arrays say by NaN or by -1, Arrow and Parquet by null
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    missing: bool = False


_EPOCH: Final = Column("epoch", "int32", "", "resets of the orbit counter before it in the run")
_ORBIT: Final = Column("orbit", "uint32", "orbits", "orbit counter, 89.1 us each")

HITS: Final = (
    _EPOCH,
    _ORBIT,
    Column("bx", "uint16", "bunch crossings", "bunch crossing in the orbit, 25 ns each"),
    Column("tdc", "uint8", "TDC counts", "fine time in the bunch crossing, 25/30 ns each"),
    Column("board", "uint8", "", "board (FPGA)"),
    Column("channel", "uint16", "", "channel of the board"),
    Column("chamber", "int16", "", "chamber, by its number"),
    Column("layer", "int8", "", "layer of the chamber, 0 is the top"),
    Column("cell", "int16", "", "cell of the chamber: channel minus the chamber's first channel"),
    Column(
        "drift_ns",
        "float32",
        "ns",
        "hit minus the earliest scintillator signal of its orbit, offsets of chamber and cell added; "
        "missing in orbits without one",
        missing=True,
    ),
)

TRACKS: Final = (
    Column("track", "int64", "", "number of the track, from 0"),
    _EPOCH,
    _ORBIT,
    Column("view", "int8", "", "0: the track is in x and z; 1: in y and z"),
    Column("segments", "int8", "", "segments that it is made of"),
    Column("t0_ns", "float64", "ns", "when the muon passed, since the beginning of the orbit; mean of its segments'"),
    Column("at_mm", "float64", "mm", "x or y at the telescope's middle height"),
    Column("tan", "float64", "", "how far x or y goes for each step down"),
    Column("chi2", "float64", "", "chi2 of the line through the segments"),
    Column("degrees", "int16", "", "degrees of freedom of chi2"),
    Column("muon", "int64", "", "the muon that it is one view of", missing=True),
)

MUONS: Final = (
    Column("muon", "int64", "", "number of the muon, from 0: one with a track in both views"),
    _EPOCH,
    _ORBIT,
    Column("t0_ns", "float64", "ns", "when it passed, since the beginning of the orbit; mean of its tracks'"),
    Column("x_mm", "float64", "mm", "x at the height z_mm"),
    Column("y_mm", "float64", "mm", "y at the height z_mm"),
    Column("z_mm", "float64", "mm", "the telescope's middle height"),
    Column("tan_x", "float64", "", "how far x goes for each step down"),
    Column("tan_y", "float64", "", "how far y goes for each step down"),
    Column("zenith_deg", "float64", "degrees", "angle to the vertical"),
    Column("azimuth_deg", "float64", "degrees", "where it came from, turned from x towards y"),
    Column("chi2", "float64", "", "sum of its tracks' chi2"),
    Column("degrees", "int16", "", "degrees of freedom of chi2"),
    Column("track_x", "int64", "", "its track in x and z"),
    Column("track_y", "int64", "", "its track in y and z"),
)


def segment_columns(detector: Detector) -> tuple[Column, ...]:
    """The columns of segments: three for each layer that a chamber of this detector has."""
    layers = max((c.layers for c in detector.chambers if reconstructed(c)), default=1)
    columns = [
        Column("segment", "int64", "", "number of the segment, from 0"),
        _EPOCH,
        _ORBIT,
        Column("chamber", "int16", "", "chamber, by its number"),
        Column("hits", "int8", "", "layers with a hit"),
        Column("x_mm", "float64", "mm", "across the wires at the chamber's middle, in its own frame"),
        Column("tan", "float64", "", "how far x goes for each step down"),
        Column("t0_ns", "float64", "ns", "when the muon passed, since the beginning of the orbit"),
        Column("chi2", "float64", "", "chi2 of the fit; 0 for three hits with t0 free"),
        Column(
            "passage_ns", "float64", "ns", "the orbit's scintillator signal, since the orbit's beginning", missing=True
        ),
        Column("track", "int64", "", "the track that it is a part of", missing=True),
    ]
    for layer in range(layers):
        columns += [
            Column(f"cell_{layer}", "int16", "", f"cell of the hit in layer {layer}", missing=True),
            Column(f"side_{layer}", "int8", "", "1: the track is at larger x than the wire; 0: at smaller", True),
            Column(f"drift_ns_{layer}", "float64", "ns", f"drift time of the hit in layer {layer}", missing=True),
            Column(f"residual_mm_{layer}", "float64", "mm", "hit minus fit; the hit is in the fit", missing=True),
        ]
    return tuple(columns)


def columns_of(table: str, detector: Detector) -> tuple[Column, ...]:
    """The columns of a table that is made of words. Raises TableError for a name that is none."""
    if table == "segments":
        return segment_columns(detector)
    found = {"hits": HITS, "tracks": TRACKS, "muons": MUONS}.get(table)
    if found is None:
        raise TableError(f"table: found {table!r}, expected {', '.join(TABLES)}")
    return found


def rate_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Columns of rates against time, whose names say their units."""
    columns = []
    for name in names:
        unit = "s" if name.endswith("_s") else "Hz" if name.endswith("_hz") else ""
        meaning = "data time since the run's first hit" if name == "time_s" else name.replace("_", " ").strip()
        if name.endswith("_hz"):
            meaning = f"rate of {name.removesuffix('_hz').replace('_', ' ')}"
        if name.endswith("_active_cells"):
            meaning = "cells with a hit, mean of the orbits with hits in the chamber"
        columns.append(Column(name, "float64", unit, meaning))
    return tuple(columns)


def no_rows(columns: Sequence[Column]) -> Arrays:
    """A table without rows."""
    return {one.name: np.empty(0, one.dtype) for one in columns}
