"""What the version before wrote is read, or refused in one line: its store, its snapshot, its summary."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import muonstream
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.checkpoint import CheckpointError, check_identity, identity
from muonstream.sinks.store import Position, Saved, Store

PREVIOUS = Path(__file__).parents[1] / "data" / "previous"
SOURCE = "kafka://lab:9092/frames"
DETECTOR = Detector.default()


def stored(folder: Path) -> Saved:
    """The run in the store, of which a copy is opened: opening writes."""
    path = Path(shutil.copy(PREVIOUS / "store.db", folder))
    with Store(path) as store:
        assert store.runs() == [(SOURCE, "Run000591", False)]
        saved = store.load(SOURCE)
    assert saved is not None
    return saved


def test_a_store_opens_with_its_runs_and_positions(tmp_path: Path) -> None:
    saved = stored(tmp_path)
    assert saved.positions == {0: Position(80, 0, 20, 0)}
    assert saved.reader["run"] == {"name": "Run000591", "number": 591}
    assert saved.state["monitor"]["total"].dtype == np.int64


def test_its_state_is_refused_in_one_line_since_thresholds_were_added(tmp_path: Path) -> None:
    with Pipeline(DETECTOR, workers=0) as pipeline, pytest.raises(CheckpointError) as raised:
        pipeline.restore(stored(tmp_path).state)
    line = str(raised.value)
    assert "this version knows more of it than the one that wrote the state" in line
    assert line.endswith("go on with the same detector file and version, or begin a new store")
    assert "\n" not in line


def test_its_frame_builder_is_refused_in_one_line_too(tmp_path: Path) -> None:
    """Also where the detector would be the same, words that waited then are not guessed at."""
    state = stored(tmp_path).state
    now = identity(Catalogue(DETECTOR))
    assert state["identity"]["catalogue_sha256"] == now["catalogue_sha256"]
    state["identity"] = now
    with (
        Pipeline(DETECTOR, workers=0) as pipeline,
        pytest.raises(CheckpointError, match=r"^found a builder's state laid"),
    ):
        pipeline.restore(state)


def test_a_snapshot_and_a_summary_open() -> None:
    run = muonstream.open(PREVIOUS / "snapshot.musn")
    assert (run.name, run.account.words, run.account.balanced) == ("Run000591", 8_000, True)
    assert run.detector.thresholds.residual_mean_mm == (0.1, 0.3)  # as they were then
    assert len(run.rates.time_s) > 0
    assert muonstream.open(PREVIOUS / "summary.json").account.words == 12_000


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"thresholds": DETECTOR.thresholds.model_copy(update={"min_hits": 7})}, False),
        ({"description": "another"}, False),
        ({"chambers": (DETECTOR.chambers[0].model_copy(update={"time_offset_ns": 1.0}), *DETECTOR.chambers[1:])}, True),
    ],
    ids=["thresholds", "description", "an offset"],
)
def test_a_state_goes_on_with_other_limits_but_not_with_other_counts(changed: dict[str, Any], refused: bool) -> None:
    other = Catalogue(DETECTOR.model_copy(update=changed))
    found = identity(Catalogue(DETECTOR))
    if not refused:
        check_identity(found, other)
        return
    with pytest.raises(CheckpointError, match="of which the file says something else; go on with the same"):
        check_identity(found, other)


def test_verdicts_go_on_with_other_limits() -> None:
    from muonstream.verdicts.timeline import Timeline

    words = muonstream.simulate_words(40_000, seed=3)
    with Pipeline(DETECTOR, workers=0, timeline=Timeline) as pipeline:
        pipeline.push(words[:30_000])
        state = pipeline.state()
    limits = DETECTOR.thresholds.model_copy(update={"noisy_cell_hz": (0.1, 0.2), "noisy_cell_factor": (1.0, 1.1)})
    with Pipeline(DETECTOR.model_copy(update={"thresholds": limits}), workers=0, timeline=Timeline) as other:
        other.restore(state)
        other.push(words[30_000:])
        other.finish()
        snapshot = other.snapshot("ended")
    assert snapshot.account.words == 40_000
    assert snapshot.account.balanced
    assert snapshot.verdicts is not None
