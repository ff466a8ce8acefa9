from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muonstream.detector.model import Detector
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation, simulate_words
from muonstream.words import Head, decode, time_tdc


def test_a_seed_gives_the_same_words_in_blocks_of_any_size() -> None:
    config = SimulationConfig(seed=5, words=20_000)
    whole = simulate_words(20_000, seed=5)
    blocks = list(Simulation(config, Detector.default()).blocks(777))
    assert {len(block) for block in blocks[:-1]} == {777}
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert not np.array_equal(whole, simulate_words(20_000, seed=6))


@pytest.mark.parametrize("rate_hz", [2_000.0, 1e6])
def test_the_rate_is_what_was_asked_for(rate_hz: float) -> None:
    n = 100_000
    times = time_tdc(simulate_words(n, rate_hz=rate_hz))
    seconds = float(times.max() - times.min()) * 25e-9 / 30
    # muons bring several words each, so fluctuations are larger than of single words
    assert n / seconds == pytest.approx(rate_hz, rel=0.03)


def test_the_dead_cell_is_silent_and_the_hot_cell_is_hottest() -> None:
    f = decode(simulate_words(100_000, dead_cell=(3, 40), hot_cell=(2, 17)))
    hits = np.bincount((f.fpga * 512 + f.channel)[f.head == Head.HIT], minlength=1024)
    chambers = np.concatenate([hits[0:128], hits[512:640]])
    assert hits[512 + 40] == 0
    assert np.count_nonzero(chambers == 0) == 1
    assert int(np.argmax(chambers)) == 64 + 17


def test_boards_send_blocks_whose_order_is_violated_as_asked() -> None:
    words = simulate_words(100_000, rate_hz=1e6, disorder=0.08)
    fpga = decode(words).fpga
    changes = np.flatnonzero(np.diff(fpga)) + 1
    lengths = np.diff(changes)
    assert np.mean(lengths % 4 == 0) > 0.99
    for board in (0, 1):
        bx = time_tdc(words[fpga == board]) // 30
        assert np.mean(np.diff(bx) < 0) == pytest.approx(0.08, abs=0.01)


def test_the_orbit_counter_wraps() -> None:
    orbit = decode(simulate_words(5_000, start_orbit=2**32 - 1000)).orbit
    assert orbit[:100].min() >= 2**32 - 1000
    assert orbit[-100:].max() < 2**31


@pytest.mark.parametrize("key", ["dead_cell", "hot_cell"])
def test_cells_that_are_not_there_are_named(key: str) -> None:
    options: dict[str, Any] = {key: (9, 3)}
    with pytest.raises(ValueError, match=f"{key}: found chamber 9 cell 3, expected chambers 1 "):
        Simulation(SimulationConfig(**options), Detector.default())
