"""Histograms of a catalogue in UHI's serialization, schema 1.

Source: https://uhi.readthedocs.io/en/latest/serialization.html
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts, Entry

SCHEMA: Final = 1


def histograms(catalogue: Catalogue, data: Counts, version: str) -> dict[str, dict[str, Any]]:
    """Every entry by its name, as plain JSON types; data: int64[size] by the catalogue."""
    writer = {"muonstream": {"version": version}}
    return {
        name: {
            "uhi_schema": SCHEMA,
            "writer_info": writer,
            "metadata": {"name": name, "title": entry.title, "per": entry.per},
            "axes": _axes(entry),
            "storage": {"type": "int", "values": _values(entry, catalogue.view(data, name)).tolist()},
        }
        for name, entry in catalogue.entries.items()
    }


def _axes(entry: Entry) -> list[dict[str, Any]]:
    axis = entry.axis.physical
    axes: list[dict[str, Any]] = [
        {
            "type": "regular",
            "lower": float(axis.start),
            "upper": float(axis.start + axis.bins * axis.step),
            "bins": axis.bins,
            "underflow": axis.flow,
            "overflow": axis.flow,
            "circular": False,
            "metadata": {"name": "x", "label": axis.title, "unit": axis.unit},
        }
    ]
    if len(entry.shape) == 2:
        rows = entry.shape[0]
        axes.insert(
            0,
            {
                "type": "regular",
                "lower": 0.0,
                "upper": float(rows),
                "bins": rows,
                "underflow": False,
                "overflow": False,
                "circular": False,
                "metadata": {"name": entry.per, "label": entry.per},
            },
        )
    return axes


def _values(entry: Entry, values: Counts) -> Counts:
    """Counts in the bins of the axes."""
    return np.asarray(values).reshape(entry.shape)
