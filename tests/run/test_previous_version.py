"""What the version before wrote is read, or refused in one line: its store, its snapshot, its summary."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import muonstream
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.errors import MuonstreamError
from muonstream.run.checkpoint import CheckpointError, check_identity, identity
from muonstream.sinks.store import Store, StoreError

PREVIOUS = Path(__file__).parents[1] / "data" / "previous"
DETECTOR = Detector.default()


def test_its_store_is_refused_in_one_line_since_every_column_has_a_check_sum_now(tmp_path: Path) -> None:
    path = Path(shutil.copy(PREVIOUS / "store.db", tmp_path))
    with pytest.raises(StoreError) as raised:
        Store(path)
    assert str(raised.value) == f"{path}: found a store of version 1, expected 2"
    assert path.read_bytes() == (PREVIOUS / "store.db").read_bytes()


def test_a_snapshot_is_refused_in_one_line_since_it_does_not_say_which_histograms_it_has() -> None:
    with pytest.raises(MuonstreamError) as raised:
        muonstream.open(PREVIOUS / "snapshot.musn")
    assert "another version counted more or less, and its snapshot does not say what" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_summary_opens() -> None:
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
