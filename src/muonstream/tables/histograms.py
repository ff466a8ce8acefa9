"""Histograms as files: UHI's JSON and CSV, of `hist.Hist` objects."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream.tables.files import Provenance

CSV_HEADER: Final = ("histogram", "row", "low", "high", "count", "axis")


def rows_of(name: str, histogram: Any) -> Iterator[tuple[str, Any]]:
    """A histogram as those of one axis: itself, or one for each category of its first axis, with names for them."""
    if histogram.ndim == 1:
        yield name, histogram
        return
    for index, category in enumerate(histogram.axes[0]):
        row = histogram[index, :]
        row.name, row.label = name, f"{histogram.label}, {category}"
        yield f"{name}/{_plain(str(category))}", row


def _plain(text: str) -> str:
    """A text as part of the name of an object in a file of ROOT."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_") or "row"


def write_uhi(path: Path, hists: Mapping[str, Any], provenance: Provenance) -> None:
    """Write histograms as UHI's serialization has them: `histograms` by name, beside `muonstream`. Raises OSError."""
    import uhi.io.json

    told = {"muonstream": provenance, "histograms": dict(hists)}
    path.write_text(json.dumps(told, default=uhi.io.json.default, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, hists: Mapping[str, Any], provenance: Provenance) -> None:
    """Write a row a bin, with under- and overflow as bins without an end. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(f"# muonstream: {json.dumps(provenance, ensure_ascii=False)}\n")
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        for name, histogram in hists.items():
            for part, row in rows_of(name, histogram):
                axis = row.axes[0]
                edges = np.concatenate([[-np.inf], axis.edges, [np.inf]]).tolist()
                category = part.partition("/")[2]
                for (low, high), n in zip(pairwise(edges), row.view(flow=True).tolist(), strict=True):
                    if n or (np.isfinite(low) and np.isfinite(high)):
                        writer.writerow((name, category, low, high, n, axis.label))
