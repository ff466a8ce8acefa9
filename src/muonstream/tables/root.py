"""Tables and histograms in a file of ROOT, by uproot. Needs the extra `root`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream.tables.columns import Arrays, Column, TableError
from muonstream.tables.files import Provenance
from muonstream.tables.histograms import rows_of

HINT: Final = "uproot is not installed, and files of ROOT need it; in a checkout: pip install '.[root]'"


class RootFile:
    """A TTree for each table, with a branch a column, histograms, and `provenance`, a TObjString of JSON.

    A TTree has no nulls: what is missing is NaN or -1.
    """

    def __init__(self, path: Path, tables: Mapping[str, Sequence[Column]]) -> None:
        """Raise TableError without the library, or OSError."""
        try:
            import uproot
        except ImportError:
            raise TableError(HINT) from None
        self._file = uproot.recreate(path)
        self._tables = tables
        self._trees = {
            name: self._file.mktree(name, {one.name: np.dtype(one.dtype) for one in columns}, title=name)
            for name, columns in tables.items()
        }

    def write(self, table: str, rows: Arrays) -> None:
        """Add rows to a table, as one cluster. Raises OSError."""
        if rows and len(next(iter(rows.values()))):
            self._trees[table].extend(rows)

    def add(self, hists: Mapping[str, Any]) -> None:
        """Add histograms, which are `hist.Hist`, as TH1D: one of several rows becomes one a row. Raises OSError."""
        for name, one in hists.items():
            for part, row in rows_of(name, one):
                # uproot takes counts as doubles, and works out the sums that ROOT has mean and RMS from
                self._file[part] = row * 1.0

    def close(self, provenance: Provenance) -> None:
        """End the file."""
        told = {
            **provenance,
            "columns": {
                name: {one.name: {"unit": one.unit, "description": one.meaning} for one in columns}
                for name, columns in self._tables.items()
            },
        }
        self._file["provenance"] = json.dumps(told, ensure_ascii=False)
        self._file.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        with suppress(Exception):  # what is wrong with it was raised already
            self._file.close()
