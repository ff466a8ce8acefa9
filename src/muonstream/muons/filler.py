"""What reconstruction adds to: entries of the catalogue of muons, for each lump of windows, and windows' rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import Shape
from muonstream.counting.muon_rates import MuonColumns


class Filler:
    """Adds to the muon part of a flat array, of which there is one for each lump of windows, and of windows' rows."""

    def __init__(self, catalogue: Catalogue, lumps: int, windows: int) -> None:
        self.base = catalogue.counted_size
        # numpy calls a part of a single row contiguous, and all kernels would be compiled again for such arrays
        self._rows = np.zeros((max(lumps, 2), catalogue.size - self.base), np.int64)
        self.data = self._rows[:lumps]
        self.columns = MuonColumns(len(catalogue.detector.chambers))
        self.rows = np.zeros((windows, self.columns.width), np.int64)
        self._flat = self._rows.reshape(-1)
        self._shapes: dict[str, Shape] = {shape.name: shape for shape in catalogue.muon_shapes}
        self._offsets = {name: catalogue.entries[name].offset - self.base for name in self._shapes}

    def add(
        self,
        name: str,
        lump: NDArray[np.int64],
        row: NDArray[np.int64] | int,
        values: NDArray[np.generic],
        weights: NDArray[np.int64] | int = 1,
    ) -> None:
        """Add each value's weight to its bin."""
        shape = self._shapes[name]
        where = lump * self.data.shape[1] + np.asarray(row) * shape.width + shape.bin_of(values)
        np.add.at(self._flat, where + self._offsets[name], weights)

    def part(self, name: str) -> NDArray[np.int64]:
        """An entry of all lumps, int64[lumps, rows, bins] (a view); with one lump it has a second row, of zeros."""
        shape, first = self._shapes[name], self._offsets[name]
        size = shape.rows * shape.width
        return self._rows[:, first : first + size].reshape(len(self._rows), shape.rows, shape.width)

    def count(
        self, window: NDArray[np.int64], column: NDArray[np.int64] | int, weights: NDArray[np.int64] | int = 1
    ) -> None:
        """Add to a column of windows' rows."""
        np.add.at(self.rows.reshape(-1), window * self.columns.width + column, weights)
