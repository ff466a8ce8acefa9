"""Histograms as the JSON of ROOT's objects, which JSROOT opens."""

from __future__ import annotations

from typing import Any

import numpy as np

from muonstream.counting.catalogue import Counts, Entry


def _object(kind: str, name: str = "", title: str = "") -> dict[str, Any]:
    return {"_typename": kind, "fUniqueID": 0, "fBits": 8, "fName": name, "fTitle": title}


def _axis(name: str, title: str, bins: int, start: float, stop: float) -> dict[str, Any]:
    return {
        **_object("TAxis", name, title),
        "fNdivisions": 510,
        "fAxisColor": 1,
        "fLabelColor": 1,
        "fLabelFont": 42,
        "fLabelOffset": 0.005,
        "fLabelSize": 0.035,
        "fTickLength": 0.03,
        "fTitleOffset": 1,
        "fTitleSize": 0.035,
        "fTitleColor": 1,
        "fTitleFont": 42,
        "fNbins": bins,
        "fXmin": start,
        "fXmax": stop,
        "fXbins": [],
        "fFirst": 0,
        "fLast": 0,
        "fBits2": 0,
        "fTimeDisplay": False,
        "fTimeFormat": "",
        "fLabels": None,
        "fModLabs": None,
    }


def _moments(inside: Counts, start: float, step: float) -> dict[str, float]:
    """The sums from which ROOT computes mean and width, over the centres of the bins in range (int64[rows, bins]).

    ROOT fills them with the values themselves, which are not kept here; from an object without them (fTsumw 0) it
    takes these sums. A row's centre along y is its number plus a half.
    """
    rows, bins = inside.shape
    x, y = start + (np.arange(bins) + 0.5) * step, np.arange(rows) + 0.5
    by_x, by_y = inside.sum(axis=0), inside.sum(axis=1)
    return {
        "fTsumw": float(by_x.sum()),
        "fTsumw2": float(by_x.sum()),
        "fTsumwx": float(by_x @ x),
        "fTsumwx2": float(by_x @ x**2),
        "fTsumwy": float(by_y @ y),
        "fTsumwy2": float(by_y @ y**2),
        "fTsumwxy": float(y @ inside @ x),
    }


def root_json(entry: Entry, values: Counts) -> dict[str, Any]:
    """One entry of the catalogue (values in its shape) as a TH1D, or as a TH2D with one row a chamber or layer."""
    axis = entry.axis
    label = f"{axis.label} [{axis.unit}]" if axis.unit else axis.label
    rows = np.atleast_2d(values)
    flow = rows if axis.flow else np.pad(rows, ((0, 0), (1, 1)))
    is_2d = values.ndim == 2
    cells = np.pad(flow, ((1, 1), (0, 0))) if is_2d else flow
    moments = _moments(flow[:, 1:-1], axis.start, axis.step)
    histogram = {
        **_object("TH2D" if is_2d else "TH1D", entry.name, entry.title),
        "fLineColor": 602,
        "fLineStyle": 1,
        "fLineWidth": 1,
        "fFillColor": 0,
        "fFillStyle": 1001,
        "fMarkerColor": 1,
        "fMarkerStyle": 1,
        "fMarkerSize": 1,
        "fNcells": int(cells.size),
        "fXaxis": _axis("xaxis", label, axis.bins, axis.start, axis.start + axis.bins * axis.step),
        "fYaxis": _axis("yaxis", entry.per if is_2d else "", len(rows) if is_2d else 1, 0.0, float(len(rows))),
        "fZaxis": _axis("zaxis", "", 1, 0.0, 1.0),
        "fBarOffset": 0,
        "fBarWidth": 1000,
        "fEntries": float(cells.sum()),
        **{name: moments[name] for name in ("fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2")},
        "fMaximum": -1111,
        "fMinimum": -1111,
        "fNormFactor": 0,
        "fContour": [],
        "fSumw2": [],
        "fOption": "",
        "fFunctions": {"_typename": "TList", "name": "TList", "arr": [], "opt": []},
        "fBufferSize": 0,
        "fBuffer": [],
        "fBinStatErrOpt": 0,
        "fStatOverflows": 2,
        "fArray": cells.ravel().tolist(),
    }
    if is_2d:
        histogram |= {"fScalefactor": 1, **{name: moments[name] for name in ("fTsumwy", "fTsumwy2", "fTsumwxy")}}
    return histogram
