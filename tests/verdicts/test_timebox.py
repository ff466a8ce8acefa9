from __future__ import annotations

import numpy as np
import pytest

from muonstream.verdicts.timebox import fit_time_box, newest_time_box

EDGES_NS = np.arange(-512, 1537) * 25 / 30


def box(seed: int, n: int, begin_ns: float, end_ns: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rng = np.random.default_rng(seed)
    drift_ns = rng.uniform(begin_ns, end_ns, n) + rng.normal(0, 4, n)
    noise_ns = rng.uniform(EDGES_NS[0], EDGES_NS[-1], n // 20)
    return np.histogram(np.concatenate([drift_ns, noise_ns]), EDGES_NS)[0]


@pytest.mark.parametrize("begin_ns", [-30.0, 0.0, 7.5, 60.0])
@pytest.mark.parametrize("width_ns", [370.0, 390.0, 398.0])
def test_edges_are_found_within_their_errors(begin_ns: float, width_ns: float) -> None:
    found = fit_time_box(EDGES_NS, box(3, 20_000, begin_ns, begin_ns + width_ns), 390.0)
    assert found is not None
    assert abs(found.begin.position_ns - begin_ns) < 4 * found.begin.error_ns
    assert abs(found.width_ns - width_ns) < 4 * found.width_error_ns
    assert found.width_error_ns < 2


def test_too_few_hits_or_no_box_are_none() -> None:
    assert fit_time_box(EDGES_NS, box(1, 100, 0.0, 390.0), 390.0) is None
    flat = np.random.default_rng(1).poisson(20, len(EDGES_NS) - 1).astype(np.int64)
    assert fit_time_box(EDGES_NS, flat, 390.0) is None


def test_a_mixture_of_before_and_after_is_not_taken() -> None:
    new, old = box(1, 3000, 25.0, 415.0), box(2, 20_000, 0.0, 390.0)
    found, number = newest_time_box(EDGES_NS, [box(5, 10, 25.0, 415.0), new, new + old], 390.0)
    assert found is not None
    # what the second and those before it have is of after
    assert number == 1
    assert abs(found.begin.position_ns - 25) < 4 * found.begin.error_ns
    same, number = newest_time_box(EDGES_NS, [box(4, 3000, 0.0, 390.0), old], 390.0)
    assert same is not None
    assert number is None
    assert same.hits > 15_000
