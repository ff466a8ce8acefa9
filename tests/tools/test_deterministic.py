from __future__ import annotations

import pytest

from tools.deterministic.__main__ import main, played
from tools.deterministic.scene import Scene

SEEDS = 40
WORDS = 2000


def test_whatever_goes_wrong_the_summary_is_that_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", str(SEEDS), "--words", str(WORDS)]) == 0, capsys.readouterr().out
    assert f"{SEEDS} seeds from 1 on: 0 with differences" in capsys.readouterr().out


def test_a_seed_plays_the_same_scene_again() -> None:
    seed = next(seed for seed in range(1, 100) if "engine" in Scene.of(seed, WORDS).faults)
    assert played(seed, WORDS) == played(seed, WORDS)
