from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.summary import CountedRun, summary, summary_of_runs, total_of
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.files import read_blocks
from muonstream.sources.identity import Run
from muonstream.words import Words

FILES = ("run000591.dat", "run000591_derived_scintillator.dat", "course_stream_first74rows.csv")


def words_of(path: Path) -> Words:
    return np.concatenate([block.words for block in read_blocks(str(path))])


def result(pieces: list[Words], *, workers: int = 0, new_files: bool = False) -> dict[str, Any]:
    with Pipeline(Detector.default(), workers=workers) as pipeline:
        for i, piece in enumerate(pieces):
            if i and new_files:
                pipeline.boundary()
            pipeline.push(piece)
        pipeline.finish()
        return summary(pipeline.snapshot("ended"))


def same(ours: dict[str, Any], answers: dict[str, Any]) -> list[str]:
    """Where our summary differs from the answers, which have fewer keys."""
    faults = []
    for key, expected in answers.items():
        if isinstance(expected, dict):
            faults += [f"{key}.{fault}" for fault in same(ours[key], expected)]
        elif ours[key] != expected:
            faults.append(f"{key}: {ours[key]} is not {expected}")
    return faults


@pytest.mark.parametrize("name", FILES)
def test_real_data_give_the_reference_answers(name: str, shared_data: Path, shared_reference: Path) -> None:
    answers = json.loads((shared_reference / f"answers_{name}.json").read_text())
    words = words_of(shared_data / name)
    whole = result([words])
    assert same(whole, answers) == []
    assert whole["account"]["balanced"]
    rng = np.random.default_rng(1)
    for workers in (0, 2):
        cuts = np.sort(rng.integers(0, len(words), 40))
        assert result(np.split(words, cuts.tolist()), workers=workers) == whole
    for cut in (1, len(words) // 3, len(words) - 2):
        assert result([words[:cut], words[cut:]], new_files=True) == whole


def test_the_2019_text_is_the_same_run(shared_data: Path) -> None:
    binary = words_of(shared_data / "run000591.dat")
    text = words_of(shared_data / "run000591_firmware2019.txt")
    assert np.array_equal(binary, text)


def test_run_591_is_31_7_seconds_with_one_gap(shared_data: Path) -> None:
    ours = result([words_of(shared_data / "run000591.dat")])
    assert ours["live_time_s"] == pytest.approx(31.66, abs=0.01)
    assert ours["gaps"] == 1


def test_the_total_of_runs_is_their_sum_and_of_one_run_itself() -> None:
    snapshots = []
    for seed in (1, 2, 3):
        with Pipeline(Detector.default(), run=f"r{seed}", source=f"{seed}.dat", workers=0) as pipeline:
            pipeline.push(simulate_words(5000, seed=seed))
            pipeline.finish()
            snapshots.append(pipeline.snapshot("ended"))
    assert total_of(snapshots[:1]) is snapshots[0]
    total = total_of(snapshots)
    assert (total.run, total.source) == ("r1, r2, r3", "1.dat, 2.dat, 3.dat")
    assert np.array_equal(total.total, sum(snapshot.total for snapshot in snapshots))
    assert total.account.words == 15_000
    assert total.account.balanced
    made = summary_of_runs([CountedRun(Run(i, one.run), (one.source,), one) for i, one in enumerate(snapshots)])
    assert {key: value for key, value in made.items() if key != "runs"} == summary(total)
    assert [run["name"] for run in made["runs"]] == ["r1", "r2", "r3"]
    assert made["runs"][1] == {"name": "r2", "number": 1, "files": ["2.dat"], **summary(snapshots[1])}
    with pytest.raises(ValueError, match="found no runs"):
        total_of([])


def test_windows_that_were_closed_early_are_told() -> None:
    pipeline = Pipeline(Detector.default(), workers=0)
    with pipeline:
        pipeline.push(simulate_words(1000))
        pipeline.finish()
        snapshot = replace(pipeline.snapshot("ended"), forced=2)
    assert summary(snapshot)["forced_windows"] == 2
    assert summary(total_of([snapshot, snapshot]))["forced_windows"] == 4
