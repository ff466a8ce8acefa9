from __future__ import annotations

from typing import Any

import pytest

from muonstream.simulation.scenario import SimulationConfig


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rate_hz": 0.0}, "rate_hz: found 0.0, expected 1 to 4e\\+07"),
        ({"rate_hz": float("nan")}, "rate_hz: found nan"),
        ({"seed": -1}, "seed: found -1"),
        ({"block_words": 0}, "block_words: found 0, expected whole numbers 1 to 4096"),
        ({"words": 0}, "words: found 0"),
        ({"duration_s": 0.0}, "duration_s: found 0.0"),
        ({"hit_efficiency": 1.5}, "hit_efficiency: found 1.5, expected 0 to 1"),
        ({"muon_rate_hz": 1e6 + 1}, "muon_rate_hz: found 1000001.0, expected 0 to 1e\\+06"),
        ({"disorder": 0.51}, "disorder: found 0.51, expected 0 to 0.5"),
        ({"seed": 1.5}, "seed: found 1.5, expected whole numbers 0 to "),
        ({"start_orbit": 2**32}, "start_orbit: found 4294967296, expected whole numbers 0 to 4294967295"),
        ({"words": 2.5}, "words: found 2.5, expected whole numbers from 1"),
        ({"duration_s": float("inf")}, "duration_s: found inf, expected more than 0, up to 1e9"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        SimulationConfig(**options)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("rate_hz", (1, 4e7)),
        ("disorder", (0, 0.5)),
        ("hit_efficiency", (0, 1)),
        ("seed", (0, 2**63 - 1)),
        ("start_orbit", (0, 2**32 - 1)),
        ("block_words", (1, 4096)),
        ("words", (1, None)),
        ("duration_s", (1e-9, 1e9, None)),
    ],
)
def test_limits_themselves_are_allowed(key: str, values: tuple[Any, ...]) -> None:
    for value in values:
        assert getattr(SimulationConfig(**{key: value}), key) == value


def test_what_is_simulated_does_not_change() -> None:
    with pytest.raises(AttributeError):
        SimulationConfig().seed = 2  # type: ignore[misc]
