"""Good runs that verdicts compare with: which are chosen, and how much they differ among themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archived_runs import PROVENANCE, counted

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.archive.people import Flag
from muonstream.commands.alarms import AlarmOptions, Alarms
from muonstream.commands.archiving import Archiving, Origin
from muonstream.commands.common import CommandError
from muonstream.commands.references import of_rows, resolved
from muonstream.detector.model import Detector

DETECTOR = Detector.default()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path)
    for seed in (1, 2, 3):
        made.save(counted(seed), replace(PROVENANCE, id=f"id{seed}", number=590 + seed))
    return made


def test_the_newest_runs_that_are_flagged_good_are_chosen(archive: Archive) -> None:
    with pytest.raises(CommandError, match=r"last:10: found no run of .* flagged good"):
        resolved(["last:10"], archive.folder, DETECTOR)
    for run, flag in (
        ("591", Flag("good")),
        ("592", Flag("good")),
        ("593", Flag("good")),
        ("592", Flag("bad")),
        ("593", Flag("bad", part="Chamber 2")),
    ):
        archive.flag(run, flag)
    chosen = resolved(["last:10"], archive.folder, DETECTOR)
    assert chosen is not None
    assert [run.name for run in chosen.runs] == ["sim1", "sim3"]
    newest = resolved(["last:1"], archive.folder, DETECTOR)
    assert newest is not None
    assert [run.name for run in newest.runs] == ["sim3"]


def test_several_runs_are_named_in_any_way_and_counted_together(archive: Archive) -> None:
    file = str(archive.path(archive.find("591")))
    chosen = resolved([file, "sim2", "593"], archive.folder, DETECTOR)
    assert chosen is not None
    catalogue = counted(1).catalogue
    exposure = chosen.exposure(catalogue)
    assert exposure.seconds == pytest.approx(sum(counted(seed).live_time_s for seed in (1, 2, 3)))
    assert exposure.counts.tolist() == np.sum([counted(seed).total for seed in (1, 2, 3)], axis=0).tolist()
    assert len(exposure.runs) == 3
    assert chosen.together().run == "3 runs: sim1, sim2, sim3"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["last:3"], "found last:3 without --archive"),
        (["moon.musn"], "moon.musn: cannot be read"),
    ],
)
def test_what_cannot_be_a_reference_is_said_in_one_line(given: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        resolved(given, None, DETECTOR)


def test_a_reference_that_is_set_holds_for_the_engine_and_stands_in_the_file(archive: Archive, tmp_path: Path) -> None:
    alarms = Alarms(AlarmOptions(), DETECTOR, "run")
    catalogue = counted(1).catalogue
    timeline = alarms.timeline(catalogue)
    assert not timeline.reference
    alarms.refer(of_rows(archive, archive.find_all(["591", "592"]), DETECTOR, by="ann", since=5.0))
    assert timeline.reference is not None
    assert len(timeline.reference.runs) == 2
    alarms.refer(of_rows(archive, archive.find_all(["593"]), DETECTOR, by="ben", since=9.0))
    path = Archiving(tmp_path / "new", Origin(references=lambda: alarms.references)).finish(counted(3))
    assert path is not None
    found = container.read_header(path)[0]["provenance"]["references"]
    keys = ("name", "id", "by", "since_wall_time", "until_wall_time")
    assert [tuple(one[key] for key in keys) for one in found] == [
        ("sim1", "id1", "ann", 5.0, 9.0),
        ("sim2", "id2", "ann", 5.0, 9.0),
        ("sim3", "id3", "ben", 9.0, 0.0),
    ]
