from __future__ import annotations

import numpy as np
import pytest

from muonstream.statistics.peak import FEWEST, fitted_peaks

CENTRES = np.arange(-1.99, 2.0, 0.02)


def counted(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts, _ = np.histogram(values, np.append(CENTRES - 0.01, CENTRES[-1] + 0.01))
    return counts.astype(np.int64)


def test_pulls_are_standard_normal() -> None:
    rng = np.random.default_rng(3)
    peaks = fitted_peaks(CENTRES, np.stack([counted(rng.normal(0.1, 0.25, 2000)) for _ in range(400)]))
    good = [peak for peak in peaks if peak is not None]
    assert len(good) == 400
    pulls = [((peak.mean - 0.1) / peak.mean_error, (peak.sigma - 0.25) / peak.sigma_error) for peak in good]
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.2
    assert np.std(pulls, axis=0) == pytest.approx(1, abs=0.15)
    assert np.mean([peak.chi2 / peak.degrees for peak in good]) == pytest.approx(1, abs=0.1)


def test_tails_do_not_pull_the_core() -> None:
    rng = np.random.default_rng(4)
    (peak,) = fitted_peaks(
        CENTRES, counted(np.concatenate([rng.normal(0, 0.1, 20_000), rng.uniform(-2, 2, 4000)]))[None]
    )
    assert peak is not None
    assert peak.sigma == pytest.approx(0.1, abs=0.004)
    curve = peak.counts(CENTRES)
    assert np.nanmax(curve) == pytest.approx(peak.height, rel=0.01)
    assert np.isnan(curve[[0, -1]]).all()
    assert np.nansum(curve) == pytest.approx(0.9545 * (20_000 + 4000 * 0.2 * 1.26), rel=0.05)


def test_what_has_no_core_has_no_peak_and_troubles_no_other() -> None:
    rng = np.random.default_rng(5)
    good = counted(rng.normal(-0.3, 0.2, 5000))
    spike = np.eye(1, 200, 100, dtype=np.int64)[0]
    rows = [np.zeros(200, np.int64), good, spike * 10_000, spike * (FEWEST - 1), np.arange(200)]
    peaks = fitted_peaks(CENTRES, np.stack(rows))
    assert [peak is not None for peak in peaks] == [False, True, False, False, False]
    (alone,) = fitted_peaks(CENTRES, good[None])
    assert peaks[1] is not None
    assert alone is not None
    assert peaks[1].sigma == pytest.approx(alone.sigma, rel=1e-6)
    assert peaks[1].degrees == alone.degrees


def test_of_no_histograms_there_are_no_peaks() -> None:
    assert fitted_peaks(CENTRES, np.zeros((0, 200), np.int64)) == []
