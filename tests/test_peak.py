from __future__ import annotations

import numpy as np
import pytest

from muonstream.analysis.peak import FEWEST, fitted_peak

CENTRES = np.arange(-1.99, 2.0, 0.02)


def counted(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts, _ = np.histogram(values, np.append(CENTRES - 0.01, CENTRES[-1] + 0.01))
    return counts.astype(np.int64)


def test_pulls_are_standard_normal() -> None:
    rng = np.random.default_rng(3)
    pulls, chances = [], []
    for _ in range(400):
        peak = fitted_peak(CENTRES, counted(rng.normal(0.1, 0.25, 2000)))
        assert peak is not None
        pulls.append(((peak.mean - 0.1) / peak.mean_error, (peak.sigma - 0.25) / peak.sigma_error))
        chances.append(peak.chi2 / peak.degrees)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.2
    assert np.std(pulls, axis=0) == pytest.approx(1, abs=0.15)
    assert np.mean(chances) == pytest.approx(1, abs=0.1)


def test_tails_do_not_pull_the_core() -> None:
    rng = np.random.default_rng(4)
    peak = fitted_peak(CENTRES, counted(np.concatenate([rng.normal(0, 0.1, 20_000), rng.uniform(-2, 2, 4000)])))
    assert peak is not None
    assert peak.sigma == pytest.approx(0.1, abs=0.004)
    curve = peak.counts(CENTRES)
    assert np.nanmax(curve) == pytest.approx(peak.height, rel=0.01)
    assert np.isnan(curve[[0, -1]]).all()
    assert np.nansum(curve) == pytest.approx(0.9545 * (20_000 + 4000 * 0.2 * 1.26), rel=0.05)


@pytest.mark.parametrize(
    "counts",
    [
        np.zeros(200, np.int64),
        np.eye(1, 200, 100, dtype=np.int64)[0] * 10_000,
        np.eye(1, 200, 100, dtype=np.int64)[0] * (FEWEST - 1),
        np.arange(200),
    ],
)
def test_what_has_no_core_has_no_peak(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    assert fitted_peak(CENTRES, counts) is None
