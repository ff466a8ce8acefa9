from __future__ import annotations

import numpy as np

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.muons.bundles import fill_bundles
from muonstream.muons.filler import Filler
from muonstream.muons.segments import Segments

CATALOGUE = Catalogue(Detector.default(), muons=True)


def counted(rows: list[tuple[int, int, float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Of segments with orbit, chamber, t0, x and slope: segments at one time, and distances of parallel ones."""
    orbit, chamber, t0, x, tan = (np.array(column) for column in zip(*rows, strict=True))
    n, none = len(rows), np.zeros((len(rows), 4))
    s = Segments(
        frame=np.zeros(n, np.int64), orbit=orbit.astype(np.int64), chamber=chamber.astype(np.int64),
        layers=np.full(n, 15), sides=np.zeros(n, np.int64), x_mm=x.astype(np.float64), tan=tan.astype(np.float64),
        t0_ns=t0.astype(np.float64), chi2=np.zeros(n), cell=none.astype(np.int64), word=none.astype(np.int64),
        drift_ns=none, residual_mm=none, added_mm=none,
    )  # fmt: skip
    filler = Filler(CATALOGUE, 1, 1)
    fill_bundles(filler, s, np.zeros(1, np.int64))
    return filler.part("at_once")[0], filler.part("parallel_apart")[0]


def test_parts_have_one_layout_for_any_number_of_lumps_so_that_kernels_are_compiled_once() -> None:
    for lumps in (1, 2, 3):
        filler = Filler(CATALOGUE, lumps, 1)
        assert len(filler.data) == lumps
        for shape in CATALOGUE.muon_shapes:
            part = filler.part(shape.name)
            assert not part.flags.c_contiguous
            assert np.shares_memory(part[:lumps], filler.data)


def test_segments_at_one_time_are_counted_by_chamber_and_parallel_ones_by_distance() -> None:
    at_once, apart = counted(
        [
            # a later one first: three at one time, two of them parallel; one alone
            (7, 1, 520.0, 130.0, 0.12),
            (7, 1, 500.0, 0.0, 0.1),
            (7, 1, 510.0, 5.0, 0.9),
            (7, 1, 525.0, 0.0, 0.1),
            # other chambers, other orbits
            (7, 2, 500.0, 0.0, 0.1),
            (8, 2, 500.0, 0.0, 0.1),
            (8, 2, 500.0, 5000.0, 0.1),
        ]
    )
    assert np.argwhere(at_once).tolist() == [[1, 1], [1, 3], [2, 1], [2, 2]]
    assert at_once.sum() == 4
    assert np.argwhere(apart).tolist() == [[1, 6], [2, 39]]


def test_an_orbit_with_very_many_segments_is_in_the_last_bin() -> None:
    at_once, apart = counted([(7, 0, 500.0, 0.0, 0.1)] * 65)
    assert at_once[0].tolist() == [0] * 15 + [1]
    assert apart.sum() == 0
    at_once, apart = counted([(7, 0, 500.0, 0.0, 0.1)] * 64)
    assert at_once[0].tolist() == [0] * 15 + [1]
    assert apart[0, 0] == 64 * 63 // 2
