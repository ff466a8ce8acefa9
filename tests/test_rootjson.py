from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.analysis.histograms import Axis, Catalogue, Entry
from muonstream.dashboard.rootjson import root_json
from muonstream.detector import Detector

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
