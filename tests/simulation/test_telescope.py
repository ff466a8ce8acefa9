from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muonstream.detector.geometry import half_width_mm, middle_mm
from muonstream.detector.model import Detector
from muonstream.simulation.drift import Origin
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation, simulate_words
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import NS_PER_TDC, Head, decode, time_tdc


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


def test_the_way_and_wires_make_hits_late() -> None:
    detector = Detector.default()
    options = {"seed": 3, "rate_hz": 4000.0, "muon_rate_hz": 80.0, "duration_s": 10.0, "deltas": 0.0}
    options |= {"afterpulses": 0.0, "drift_smearing_ns": 0.0, "scintillator_jitter_ns": 0.0}
    times = {}
    for name, more in (("none", {}), ("way", {"flight_ns_per_m": 100.0}), ("wire", {"wire_ns_per_m": 100.0})):
        truth = Truth.joined(list(with_truth(Simulation(SimulationConfig(**options, **more), detector))))  # type: ignore[arg-type]
        at = truth.origin == Origin.MUON
        order = np.lexsort((truth.cell[at], truth.chamber[at], truth.muon[at]))
        keys = np.stack([truth.muon[at], truth.chamber[at], truth.cell[at]], axis=1)[order]
        times[name] = (keys, (time_tdc(truth.words[at]) * NS_PER_TDC)[order], truth.tan[at][order])
    keys, before, _ = times["none"]
    assert np.array_equal(keys, times["way"][0])
    late = times["way"][1] - before
    heights = [middle_mm(chamber) for chamber in detector.chambers]
    for chamber, height in zip(detector.chambers, heights, strict=True):
        here = keys[:, 1] == chamber.number
        # 0.1 ns for each millimetre down; what a muon goes along the wires makes its way longer
        least = 0.1 * (np.mean([min(heights), max(heights)]) - height) * np.hypot(1, times["way"][2][here])
        longer = late[here] * np.sign(least) - abs(least)
        assert longer.min() > -1.5  # a TDC count more or less
        assert np.median(longer) < 0.1 * abs(least).mean() + 1
    late = times["wire"][1] - before
    assert abs(late.mean()) < 2
    assert abs(late).max() <= 100 * half_width_mm(detector.chambers[0]) / 1000 + 1
    assert late.std() > 10
