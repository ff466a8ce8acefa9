from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.geometry import depths_mm
from muonstream.detector.model import Chamber, Detector
from muonstream.muons.patterns import build_patterns, fewest_hits, reconstructed

CHAMBER = Detector.default().chambers[0]
FREE = build_patterns(CHAMBER)


def taller(layers: int) -> Chamber:
    return CHAMBER.model_copy(
        update={
            "layers": layers,
            "layer_of_channel": tuple(range(layers)),
            "layer_shift_mm": tuple(21.0 * (i % 2) for i in range(layers)),
        }
    )


def test_the_weights_of_t0_are_the_mean_timer() -> None:
    # three neighbouring layers crossed zigzag: right, left, right of wires at 0, 21 and 0 mm
    layers, sides = 0b0111, 0b0101
    wires, sign = np.array([0.0, 21.0, 0.0, 0.0]), np.array([1.0, -1.0, 1.0, 0.0])
    times, t_max = np.array([500.0, 620.0, 530.0, 0.0]), 390.0
    velocity = 21 / t_max
    t0 = FREE.solution[layers << 4 | sides, 2] @ (wires + sign * velocity * times) / velocity
    assert t0 == pytest.approx(((times[0] + times[2]) / 2 + times[1] - t_max) / 2)


@given(
    st.integers(3, 6),
    st.integers(0, 63),
    st.integers(0, 63),
    st.floats(-300, 300),
    st.floats(-2, 2),
    st.floats(-500, 500),
    st.booleans(),
)
def test_straight_tracks_come_back(
    layers: int, chosen: int, sides: int, x: float, tan: float, tau: float, known: bool
) -> None:
    patterns = build_patterns(taller(layers), t0_known=known)
    chosen &= (1 << layers) - 1
    sides &= chosen
    where = chosen << layers | sides
    if not patterns.usable[where]:
        too_few = chosen.bit_count() < fewest_hits(layers)
        assert too_few or (not known and sides in (0, chosen))
        return
    sign = np.where((sides >> np.arange(layers)) & 1, 1.0, -1.0)
    y = x + tan * depths_mm(taller(layers)) + (0.0 if known else tau) * sign
    assert patterns.solution[where] @ y == pytest.approx([x, tan, 0.0 if known else tau], abs=1e-6)
    assert np.abs(patterns.normal[where] @ y).max() < 1e-6


def test_errors_and_leverage_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(5)
    for where in np.flatnonzero(FREE.usable):
        weights, normal = FREE.solution[where], FREE.normal[where]
        assert weights @ weights.T == pytest.approx(FREE.covariance[where])
        noise = rng.normal(size=4) * ((where >> 4 >> np.arange(4)) & 1)
        residuals = normal.T @ (normal @ noise)
        hits = int(where >> 4).bit_count()
        assert FREE.leverage[where].sum() == pytest.approx(hits - 3)
        for layer in np.flatnonzero(FREE.leverage[where] > 1e-9):
            # a hit moved by its unbiased residual lies on the track of the others
            moved = noise.copy()
            moved[layer] -= residuals[layer] / FREE.leverage[where, layer]
            assert (normal.T @ (normal @ moved))[layer] == pytest.approx(0, abs=1e-9)


def test_chambers_with_too_few_or_many_layers_have_no_segments() -> None:
    assert [reconstructed(taller(n)) for n in (1, 2, 3, 4, 6, 7)] == [False, False, True, True, True, False]
