from __future__ import annotations

import json
from math import isclose
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from muonstream.counting.catalogue import Axis, Catalogue, Entry
from muonstream.dashboard.rootjson import root_json
from muonstream.detector.model import Detector
from tools.jsroot import JsrootError, statistics_boxes
from tools.machine import in_ci

CATALOGUE = Catalogue(Detector.default(), muons=True)


@given(st.integers(1, 6), st.integers(0, 3), st.booleans(), st.integers(0, 2**32 - 1))
def test_root_finds_every_bin_where_it_looks_for_it(bins: int, rows: int, flow: bool, seed: int) -> None:
    """Bin i of row j is at j * (bins + 2) + i, counted from 1; 0 and the last are under- and overflow."""
    shape = (rows, bins + 2 * flow) if rows else (bins + 2 * flow,)
    values = np.random.default_rng(seed).integers(0, 1000, shape)
    entry = Entry("name", "A title", shape, Axis("time", "ns", bins, -5.0, 2.5, flow=flow), "chamber", 0)
    made = json.loads(json.dumps(root_json(entry, values), allow_nan=False))
    array, x, y = made["fArray"], made["fXaxis"], made["fYaxis"]
    assert (made["_typename"], made["fName"], made["fTitle"]) == ("TH2D" if rows else "TH1D", "name", "A title")
    assert (x["fNbins"], x["fXmin"], x["fXmax"], x["fTitle"]) == (bins, -5.0, -5.0 + 2.5 * bins, "time [ns]")
    assert (y["fNbins"], y["fXmax"], y["fTitle"]) == ((rows, rows, "chamber") if rows else (1, 1, ""))
    assert made["fNcells"] == len(array) == (bins + 2) * (rows + 2 if rows else 1)
    inside = 0
    for place, n in enumerate(array):
        row, column = divmod(place, bins + 2)
        row -= bool(rows)
        if not 0 <= row < max(rows, 1) or (not flow and column in (0, bins + 1)):
            assert n == 0
            continue
        assert n == np.atleast_2d(values)[row, column - (not flow)]
        inside += n if 0 < column <= bins else 0
    assert made["fEntries"] == values.sum()
    assert made["fTsumw"] == made["fTsumw2"] == inside


def test_every_entry_of_the_catalogue_is_an_object_of_its_size() -> None:
    for name, entry in CATALOGUE.entries.items():
        made = root_json(entry, CATALOGUE.view(CATALOGUE.zeros(), name))
        assert made["fName"] == name
        assert len(made["fArray"]) == made["fNcells"]
        assert made["fXaxis"]["fTitle"].endswith("]") == bool(entry.axis.unit)


def made_of(values: np.ndarray, *, flow: bool) -> dict[str, Any]:
    bins = values.shape[-1] - 2 * flow
    entry = Entry("name", "A title", values.shape, Axis("time", "ns", bins, -5.0, 2.5, flow=flow), "chamber", 0)
    made: dict[str, Any] = json.loads(json.dumps(root_json(entry, values), allow_nan=False))
    return made


def histograms(bins: int, rows: int, flow: bool, seed: int) -> np.ndarray:
    shape = (rows, bins + 2 * flow) if rows else (bins + 2 * flow,)
    return np.random.default_rng(seed).integers(0, 1000, shape)


@given(st.integers(1, 6), st.integers(0, 3), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_moments_are_those_that_uproot_makes_of_the_bins(bins: int, rows: int, flow: bool, seed: int) -> None:
    values = histograms(bins, rows, flow, seed)
    made = made_of(values, flow=flow)
    inside = values[..., 1:-1] if flow else values
    edges = [-5.0 + 2.5 * np.arange(bins + 1), *([np.arange(rows + 1.0)] if rows else [])]
    expected = uproot.writing.identify.to_writable((inside.T, *edges))
    names = [name for name in made if name.startswith("fTsum")]
    assert len(names) == (7 if rows else 4)
    for name in names:
        # uproot gives no errors of its own to counts, for which fTsumw2 is the sum of their squares
        if name != "fTsumw2":
            assert isclose(made[name], expected.member(name), rel_tol=1e-12), name
    assert made["fTsumw2"] == inside.sum()


def test_jsroot_shows_mean_and_width() -> None:
    """The statistics box, drawn by JSROOT itself, of histograms with one axis and with two, empty ones too."""
    cases = [(12, 0, True), (7, 0, False), (12, 3, True), (3, 2, False)]
    values = [histograms(*case, seed) for seed, case in enumerate(cases)]
    values.append(np.zeros(9, np.int64))
    flows = [*(flow for *_, flow in cases), False]
    try:
        boxes = statistics_boxes([made_of(one, flow=flow) for one, flow in zip(values, flows, strict=True)])
    except JsrootError as error:
        if in_ci():
            raise
        pytest.skip(str(error))
    for one, flow, box in zip(values, flows, boxes, strict=True):
        inside = np.atleast_2d(one[..., 1:-1] if flow else one)
        x = -5.0 + 2.5 * (np.arange(inside.shape[1]) + 0.5)
        means = {"": x} if one.ndim == 1 else {" x": x, " y": np.arange(len(inside)) + 0.5}
        assert box["Entries"] == one.sum()
        for axis, centres in means.items():
            weights = inside.sum(axis=1 if axis == " y" else 0)
            mean = np.average(centres, weights=weights) if one.any() else 0
            width = np.sqrt(np.average((centres - mean) ** 2, weights=weights)) if one.any() else 0
            assert isclose(box[f"Mean{axis}"], mean, rel_tol=1e-9, abs_tol=1e-9)
            assert isclose(box[f"Std Dev{axis}"], width, rel_tol=1e-9, abs_tol=1e-9)
