from __future__ import annotations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.kernel import Accumulator
from muonstream.dashboard.message.timing import edge_arrays, rate_remarks
from muonstream.detector.model import Detector
from muonstream.framing.builder import FrameBuilder
from muonstream.simulation.telescope import simulate_words

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR)


@pytest.fixture(scope="module")
def counts() -> Counts:
    builder = FrameBuilder(DETECTOR.boards)
    accumulate = Accumulator(CATALOGUE)
    return accumulate(builder.push(simulate_words(500_000))).total


def test_edges_are_where_the_simulation_has_them_for_chambers_and_layers(counts: Counts) -> None:
    arrays, remarks = edge_arrays(CATALOGUE, counts)
    for c, chamber in enumerate(DETECTOR.chambers):
        assert abs(arrays[f"begin.{c}"][0]) < 4
        assert arrays[f"end.{c}"][0] == pytest.approx(chamber.t_max_ns, abs=5)
        for layer in range(chamber.layers if c == 0 else 0):
            assert abs(arrays[f"begin.{c}.{layer}"][0]) < 5
            assert arrays[f"end.{c}.{layer}"][0] == pytest.approx(chamber.t_max_ns, abs=8)
    width = arrays["end.0"][0] - arrays["begin.0"][0]
    assert f"T_max {width:.1f} ±" in remarks["timing.drift.0"]
    assert f"drift velocity {21_000 / width:.2f} ±" in remarks["timing.drift.0"]
    assert remarks["timing.layers.0"].count("±") == 4


def test_without_hits_there_are_no_edges() -> None:
    arrays, remarks = edge_arrays(CATALOGUE, CATALOGUE.zeros())
    assert all(np.isnan(values).all() for values in arrays.values())
    assert remarks["timing.drift.2"].startswith("No time box yet")
    assert remarks["timing.layers.2"] == "T_max in ns: layer 0 none, layer 1 none, layer 2 none, layer 3 none."


def test_rates_are_hits_over_live_time() -> None:
    counts = CATALOGUE.zeros()
    CATALOGUE.hits_per_cell(counts, 1)[:] = 100
    CATALOGUE.hits_per_cell(counts, 1)[7] = 1160
    text = rate_remarks(CATALOGUE, counts, 10.0)["occupancy.cells.1"]
    assert text == "All hits: 746 Hz, median cell 10 Hz, cell 7 most, 116 Hz."
    assert rate_remarks(CATALOGUE, counts, 0.0) == {}
