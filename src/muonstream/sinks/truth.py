"""The truth of simulated words as a Parquet table: one row a word, in the order in which they were sent."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from muonstream.simulation.drift import Origin
from muonstream.simulation.truth import Truth

HINT = "a truth table needs the extra: in a checkout, pip install '.[parquet]'"


class TruthFile:
    """A Parquet file with the columns of `Truth`; `origin` is text, and what a word has not is null.

    Raises ImportError, saying what to install, without the library, and OSError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ImportError(HINT) from error
        self._arrow = pyarrow
        self._names = pyarrow.array([origin.name.lower() for origin in Origin])
        types = {
            np.dtype(name): getattr(pyarrow, name)() for name in ("uint64", "int64", "int16", "float32", "float64")
        }
        columns: list[Any] = []
        for field in fields(Truth):
            if field.name == "origin":
                columns.append(("origin", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())))
            else:
                columns.append((field.name, types[np.dtype(COLUMN_TYPES[field.name])]))
        self._schema = pyarrow.schema(columns)
        self._writer = pyarrow.parquet.ParquetWriter(str(path), self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, truth: Truth) -> None:
        """Add the rows of some words."""
        arrow = self._arrow
        no_cell, no_muon = truth.cell < 0, truth.muon < 0
        absent = {"muon": no_muon, "chamber": no_cell, "cell": no_cell, "passage_ns": no_muon, "orbit": no_muon}
        absent |= dict.fromkeys(("distance_mm", "x_mm", "tan"), no_cell | no_muon)
        arrays = []
        for field in self._schema:
            values = getattr(truth, field.name)
            if field.name == "origin":
                arrays.append(arrow.DictionaryArray.from_arrays(arrow.array(values), self._names))
            else:
                arrays.append(arrow.array(values, field.type, mask=absent.get(field.name)))
        self._writer.write_table(arrow.table(arrays, schema=self._schema))


COLUMN_TYPES = {
    "words": "uint64",
    "muon": "int64",
    "chamber": "int16",
    "cell": "int16",
    "distance_mm": "float32",
    "x_mm": "float32",
    "tan": "float32",
    "passage_ns": "float64",
    "orbit": "int64",
}
"""The columns apart from `origin`, and their types."""
