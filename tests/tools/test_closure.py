from __future__ import annotations

import re

from tools.closure import EFFICIENT, intensity, lifetime


def test_the_lifetime_comes_back() -> None:
    pull = re.search(r"\(([-+][\d.]+) sigma\)", lifetime(2))
    assert pull is not None
    assert abs(float(pull[1])) < 4


def test_all_muons_that_cross_enough_layers_are_found_but_for_a_few() -> None:
    percent, error = re.findall(r"[\d.]+", intensity(2, **EFFICIENT))
    assert 93 - 3 * float(error) < float(percent) < 100
