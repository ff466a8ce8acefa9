from __future__ import annotations

import numpy as np
import pytest

from muonstream.statistics.decay import fit_decay

EDGES = np.arange(15, 201) / 10
TOYS = 100


@pytest.mark.parametrize(("decays", "others"), [(400, 300), (2000, 1000), (2000, 0)])
def test_the_lifetime_is_unbiased_and_its_error_right(decays: int, others: int) -> None:
    rng, pulls = np.random.default_rng(5), []
    for _ in range(TOYS):
        late = EDGES[0] + rng.exponential(2.2, rng.poisson(decays))
        times = np.concatenate([late, rng.uniform(EDGES[0], EDGES[-1], rng.poisson(others))])
        fit = fit_decay(EDGES, np.histogram(times, EDGES)[0])
        assert fit is not None
        assert fit.clear
        pulls.append((fit.lifetime - 2.2) / fit.lifetime_error)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(TOYS)
    assert 0.79 < np.std(pulls) < 1.21


def test_a_constant_alone_is_no_decay() -> None:
    counts = np.random.default_rng(3).poisson(20, len(EDGES) - 1)
    fit = fit_decay(EDGES, counts)
    assert fit is not None
    assert not fit.clear
    assert fit.counts(EDGES).sum() == pytest.approx(counts.sum(), rel=1e-3)


def test_too_few_are_not_fitted() -> None:
    assert fit_decay(EDGES, np.zeros(len(EDGES) - 1, np.int64)) is None
