from __future__ import annotations

import numpy as np

from muonstream.simulation.matter import HIGHLAND_GEV, energies_gev, scattered
from muonstream.simulation.particles import Muons

N = 20_000
HEIGHTS = np.array([200.0, 1000.0, 600.0])
PLANE = 600.0


def vertical() -> Muons:
    nothing = np.zeros(N)
    return Muons(np.zeros(N, np.int64), nothing, nothing, nothing, nothing, nothing)


def test_energies_are_those_of_cosmic_muons() -> None:
    energy = energies_gev(np.random.default_rng(1), N)
    assert energy.min() > 0.29
    # half of them are below where ((0.3 + 3.64) / (E + 3.64))^1.7 = 1/2
    assert abs(np.median(energy) - (3.94 * 2 ** (1 / 1.7) - 3.64)) < 0.1


def test_muons_are_straight_down_to_the_middle_of_the_chamber_that_turns_them() -> None:
    muons = scattered(np.random.default_rng(2), vertical(), HEIGHTS, PLANE, 0.5)
    top, middle, bottom = (muons.in_chamber(c) for c in (1, 2, 0))
    assert not top.x_mm.any()
    assert not top.tan_x.any()
    # each step down adds tan: the lines of one chamber and of the next meet in the middle of the upper one
    for upper, lower, height in ((top, middle, 1000.0), (middle, bottom, 600.0)):
        for position, slope in (("x_mm", "tan_x"), ("y_mm", "tan_y")):
            at = [getattr(one, position) + getattr(one, slope) * (PLANE - height) for one in (upper, lower)]
            assert np.allclose(*at)
    assert np.array_equal(muons.chosen(np.arange(N) < 5).in_chamber(0).tan_x, bottom.tan_x[:5])


def test_angles_are_as_wide_as_the_formula_says() -> None:
    rng = np.random.default_rng(3)
    muons = scattered(rng, vertical(), HEIGHTS, PLANE, 0.5)
    energy = energies_gev(np.random.default_rng(3), N)  # the first numbers that are drawn
    turn = muons.in_chamber(2).tan_x * energy
    assert abs(turn.std() / (HIGHLAND_GEV * np.sqrt(0.5) * (1 + 0.038 * np.log(0.5))) - 1) < 0.03
