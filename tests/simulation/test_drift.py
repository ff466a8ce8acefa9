from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.simulation.drift import DEAD_TIME_NS, CellResponse, DriftHits, Origin, drift_hits

CHAMBER = Detector.default().chambers[0]
ALIVE = np.ones(CHAMBER.cells, np.bool_)
CELLS = np.array([[16, 18, 17, 19], [-1, 2, 1, 3], [60, -1, -1, 63]])
DISTANCES = np.array([[5.0, -16.0, 5.0, -16.0], [0.0, 1.0, -21.0, 3.0], [0.0, 9.0, 9.0, -2.0]])
PLAIN: dict[str, float] = {"smearing_ns": 0.0, "efficiency": 1.0, "deltas": 0.0, "afterpulses": 0.0}


def made(
    seed: int = 1, *, cells: Any = CELLS, distances: Any = DISTANCES, alive: Any = ALIVE, **options: float
) -> DriftHits:
    return drift_hits(
        np.random.default_rng(seed),
        CHAMBER,
        alive,
        cells,
        distances,
        np.zeros(len(cells)),
        CellResponse(**{**PLAIN, **options}),
    )


def many(n: int = 5000) -> dict[str, Any]:
    """Muons through the middle of the chamber, 10 mm from each wire."""
    return {"cells": np.tile([[28, 30, 29, 31]], (n, 1)), "distances": np.full((n, 4), 10.0)}


def test_plain_muons_hit_every_cell_they_cross_after_their_drift() -> None:
    hits = made()
    expected = [
        (muon, cell, abs(DISTANCES[muon, layer]) * 1000 / CHAMBER.drift_velocity_um_per_ns)
        for muon in range(3)
        for layer, cell in enumerate(CELLS[muon].tolist())
        if cell >= 0
    ]
    found = sorted(zip(hits.muon.tolist(), hits.cell.tolist(), hits.late_ns.tolist(), strict=True))
    assert found == [pytest.approx(one) for one in sorted(expected)]
    assert set(hits.origin.tolist()) == {Origin.MUON}


@pytest.mark.parametrize("n", [0, 1])
def test_no_muons_and_muons_beside_the_chamber_leave_nothing(n: int) -> None:
    cells, distances = np.full((n, 4), -1), np.zeros((n, 4))
    hits = made(cells=cells, distances=distances, smearing_ns=4.0, deltas=1.0, afterpulses=1.0)
    assert len(hits.muon) == len(hits.cell) == len(hits.late_ns) == len(hits.origin) == 0


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 50))
def test_hits_are_where_and_when_they_can_be(
    seed: int, efficiency: float, deltas: float, afterpulses: float, smearing_ns: float
) -> None:
    alive = ALIVE.copy()
    alive[[18, 17, 21, 63]] = False
    hits = made(
        seed, alive=alive, efficiency=efficiency, deltas=deltas, afterpulses=afterpulses, smearing_ns=smearing_ns
    )
    assert alive[hits.cell].all()
    assert (hits.late_ns >= 0).all()
    assert set(hits.origin.tolist()) <= {Origin.MUON, Origin.DELTA, Origin.AFTERPULSE}
    for muon, cell, origin in zip(hits.muon.tolist(), hits.cell.tolist(), hits.origin.tolist(), strict=True):
        near = {-CHAMBER.layers, CHAMBER.layers} if origin == Origin.DELTA else set()
        crossed = [c for c in CELLS[muon].tolist() if c >= 0]
        assert any(cell - c in {0, *near} for c in crossed)
    for muon, cell in set(zip(hits.muon.tolist(), hits.cell.tolist(), strict=True)):
        times = np.sort(hits.late_ns[(hits.muon == muon) & (hits.cell == cell)])
        assert (np.diff(times) >= DEAD_TIME_NS - 1e-9).all()


def test_dead_cells_and_an_efficiency_of_0_leave_nothing() -> None:
    assert len(made(alive=np.zeros(CHAMBER.cells, np.bool_), deltas=1.0, afterpulses=1.0).cell) == 0
    assert len(made(efficiency=0.0, afterpulses=1.0).cell) == 0


def test_the_efficiency_is_the_share_of_cells_that_hit() -> None:
    assert len(made(**many(), efficiency=0.9).cell) / 20_000 == pytest.approx(0.9, abs=0.01)


def test_half_of_the_knock_on_electrons_are_nearer_and_half_beside() -> None:
    hits = made(**many(), deltas=1.0)
    inside = np.isin(hits.cell, [28, 29, 30, 31])
    assert inside.sum() == 20_000
    assert (hits.origin == Origin.DELTA)[inside].mean() == pytest.approx(0.5, abs=0.02)
    assert (~inside).sum() == pytest.approx(10_000, abs=400)
    assert (hits.origin == Origin.DELTA)[~inside].all()
    drift_ns = 10_000 / CHAMBER.drift_velocity_um_per_ns
    nearer = inside & (hits.origin == Origin.DELTA)
    assert hits.late_ns[nearer].max() <= drift_ns
    assert hits.late_ns[nearer].mean() == pytest.approx(drift_ns / 2, rel=0.03)
    t_max_ns = CHAMBER.cell_width_mm * 500 / CHAMBER.drift_velocity_um_per_ns
    assert 0.95 * t_max_ns < hits.late_ns[~inside].max() <= t_max_ns


def test_afterpulses_follow_their_hit_after_the_dead_time() -> None:
    hits = made(**many(), afterpulses=1.0)
    after = hits.late_ns[hits.origin == Origin.AFTERPULSE] - 10_000 / CHAMBER.drift_velocity_um_per_ns
    assert len(after) == 20_000
    assert after.min() >= DEAD_TIME_NS - 1e-9
    # a first peak near 150 ns, and a tenth near 375 ns
    first = np.histogram(after, bins=np.arange(80, 400, 20))[0]
    assert 80 + 20 * int(first.argmax()) in (100, 120, 140)
    beside, peak = ((abs(after - middle) < 15).sum() for middle in (325, 375))
    assert peak > 2 * beside


def test_the_same_seed_gives_the_same_hits() -> None:
    options = {"smearing_ns": 4.0, "deltas": 0.5, "afterpulses": 0.5}
    assert made(7, **options).late_ns.tolist() == made(7, **options).late_ns.tolist()
    assert made(7, **options).late_ns.tolist() != made(8, **options).late_ns.tolist()


def test_electrons_by_path_make_hits_early_by_what_they_reach() -> None:
    plain = made(**many())
    hits = made(**many(), deltas=0.5, delta_range_mm=1.0)
    nearer = (hits.origin == Origin.DELTA) & np.isin(hits.cell, plain.cell)
    early_mm = 10 - hits.late_ns[nearer] * CHAMBER.drift_velocity_um_per_ns / 1000
    assert early_mm.min() >= 0
    # a reach of 1 to 21 mm, as many as r^-1.58 farther than the square root of these, across by a share of it
    power = -0.58
    half = ((1 + 21**power) / 2) ** (1 / power)
    assert 0.5 * half < 2 * np.median(early_mm) < 1.5 * half
    assert nearer.sum() / len(plain.cell) == pytest.approx(0.25, abs=0.02)


def test_electrons_by_path_are_more_on_a_longer_path() -> None:
    cells = many()
    for tan in (0.0, 1.0):
        hits = drift_hits(
            np.random.default_rng(5), CHAMBER, ALIVE, cells["cells"], cells["distances"], np.full(5000, tan),
            CellResponse(**PLAIN | {"deltas": 0.1}, delta_range_mm=0.5),
        )  # fmt: skip
        share = (hits.origin == Origin.DELTA).sum() / 20_000
        beside = (~np.isin(hits.cell, cells["cells"])).sum() / 20_000
        assert share - beside == pytest.approx((1 - 0.9 ** np.hypot(1, tan)) / 2, abs=0.007)
