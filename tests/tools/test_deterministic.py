from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from muonstream.counting.rates import RateBins
from tools.deterministic.__main__ import main, played
from tools.deterministic.scene import Scene

SEEDS = 40
WORDS = 2000


def test_whatever_goes_wrong_the_summary_is_that_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", str(SEEDS), "--words", str(WORDS)]) == 0, capsys.readouterr().out
    assert f"{SEEDS} seeds from 1 on: 0 with differences" in capsys.readouterr().out


def resident_mb() -> float:
    """The memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory in use")
def test_any_number_of_seeds_takes_the_memory_of_one() -> None:
    """Engines are cycles: what an unfound one holds is ten megabytes a seed."""
    seeds = ["--seeds", "12", "--words", str(WORDS)]
    assert main(seeds) == 0
    before = resident_mb()
    assert main(seeds) == 0
    assert resident_mb() < before + 50


def test_a_seed_plays_the_same_scene_again() -> None:
    seed = next(seed for seed in range(1, 100) if "engine" in Scene.of(seed, WORDS).faults)
    assert played(seed, WORDS) == played(seed, WORDS)


def test_scenes_have_more_counter_resets_than_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bins that are merged in pairs, and never across epochs, double until no integer holds their width."""

    def pairs_alone(bins: RateBins) -> bool:
        if len(bins.begins) <= bins.max_bins:
            return False
        bins.windows_per_bin *= 2
        return True

    def few(bins: RateBins, *args: Any, max_bins: int = 4096, **rest: Any) -> None:
        made(bins, *args, max_bins=max_bins, **rest)
        bins.max_bins = max_bins

    made = RateBins.__init__
    monkeypatch.setattr(RateBins, "__init__", few)
    monkeypatch.setattr(RateBins, "_too_many", pairs_alone)
    small = (seed for seed in range(1, 51) if Scene.of(seed, WORDS).bounds.bins is not None)
    assert any("OverflowError" in line for seed in small for line in played(seed, WORDS).differences)
