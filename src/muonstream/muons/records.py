"""Structured dtypes of the search for segments: its tables of cells and chambers, and the segments it writes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import INTERPRETED
from muonstream.muons.patterns import MOST_LAYERS

CELL: Final = np.dtype(
    [
        ("layer", np.int64),
        ("wire_mm", np.float64),  # from the chamber's middle
        ("offset_ns", np.float64),  # added to times of hits
        ("own_offset", np.int64),  # the cell's offset less that of the chamber's first cell, in 1/SUBTDC of a TDC count
    ]
)
"""A row of the table of cells, by the code in the channel map."""
CHAMBER: Final = np.dtype(
    [
        ("layers", np.int64),  # 0 where no segments are looked for
        ("first_code", np.int64),  # of the chamber's first cell
        ("free_table", np.int64),  # which table of side patterns, with t0 free
        ("known_table", np.int64),  # and with t0 known
        ("velocity", np.float64),  # mm/ns
        ("half", np.float64),  # half a cell's width, mm
        ("slack", np.float64),  # the tolerance of drift times as a distance, mm
        ("pitch", np.float64),  # a cell's height, mm
        ("width", np.float64),  # a cell's width, mm
        ("has_relation", np.int64),  # whether drift times have a relation of their own: 0 or 1
        ("first_ns", np.float64),  # where the relation begins
        ("t0_tan_ns", np.float64),
    ]
)
"""A row of the table of chambers, by index."""
SEGMENT: Final = np.dtype(
    [
        ("frame", np.int64),
        ("orbit", np.int64),
        ("chamber", np.int64),
        ("layers", np.int64),
        ("sides", np.int64),
        ("x_mm", np.float64),
        ("tan", np.float64),
        ("t0_ns", np.float64),
        ("chi2", np.float64),
        ("passage_ns", np.float64),
        ("cell", np.int64, MOST_LAYERS),
        ("word", np.int64, MOST_LAYERS),
        ("drift_ns", np.float64, MOST_LAYERS),
        ("residual_mm", np.float64, MOST_LAYERS),
        ("added_mm", np.float64, MOST_LAYERS),
    ]
)
"""One segment, as the search writes it; `segments.Segments` says what each field is."""

POSITION, TAN, T0, USABLE, NORMAL = range(5)
"""Rows of a side pattern in the search's tables: weights of each layer in position, tan and v t0; in the first column
whether the pattern is usable; from NORMAL on the combinations that vanish for a straight track. See `Patterns`."""
WIRES, TIMES, PLACES = range(3)
"""Rows of a choice of hits, by layer: wires, times as v t, and the places that a side makes of both."""


def with_fields(rows: NDArray[np.void]) -> NDArray[np.void]:
    """The same rows for a kernel; one that runs as Python, not compiled, needs a recarray to reach fields by name."""
    return rows.view(np.recarray) if INTERPRETED else rows
