"""Runs that follow one another in an archive: the next begins with the alarms that were known, and says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.archive.contents import anonymous, snapshot_of
from muonstream.commands.alarms import AlarmOptions, Alarms
from muonstream.commands.archiving import Archiving, Origin
from muonstream.commands.process import ProcessOptions, process_files
from muonstream.commands.remembered import remembered
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.verdicts import Spell, Verdicts
from muonstream.words import Words

DETECTOR = Detector.default()
CELL = "Chamber 3 cell 20"
DEAD = ("dead cell", CELL)


@cache
def words(*, dead: bool, seed: int = 3) -> Words:
    return simulate_words(100_000, seed=seed, dead_cell=(3, 20) if dead else None)


def live(folder: Path, run: str, begun: float, made: Words, *, acknowledge: bool = False) -> tuple[Alarms, Snapshot]:
    """A live run with an archive, in which somebody may acknowledge the dead cell."""
    alarms = Alarms(AlarmOptions(archive=folder), DETECTOR, run)
    with Pipeline(DETECTOR, run=run, source=run, workers=0, timeline=alarms.timeline) as pipeline:
        pipeline.push(made)
        pipeline.finish()
        snapshot = replace(pipeline.snapshot("ended"), begun_wall_time=begun, wall_time=begun + 20)
    alarms.board.update(snapshot)
    if acknowledge:
        assert alarms.board.acknowledge(*DEAD, "wire cut", begun + 10, "Ann")
    archiving = Archiving(folder, Origin(remembered=lambda: alarms.remembered))
    assert archiving.finish(alarms.board.on(snapshot)) is not None
    return alarms, snapshot


def spells(verdicts: Verdicts | None) -> dict[tuple[str, str], Spell]:
    assert verdicts is not None
    return {(one.check, one.subject): one for one in verdicts.spells}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with the same dead cell; it was acknowledged in the first."""
    folder = tmp_path_factory.mktemp("archive")
    live(folder, "Run 1", 1.7e9, words(dead=True), acknowledge=True)
    live(folder, "Run 2", 1.7e9 + 90_000, words(dead=True, seed=4))
    return folder


def test_an_acknowledgement_is_in_the_file_and_holds_for_the_run_after(followed: Path) -> None:
    archive = Archive(followed)
    first, second = (snapshot_of(archive.path(archive.find(name))).verdicts for name in ("Run 1", "Run 2"))
    assert first is not None
    assert second is not None
    assert spells(first)[DEAD].known == ""
    assert spells(second)[DEAD].known.startswith("wire cut (Ann, since 20")
    for verdicts in (first, second):
        (status,) = [one for one in verdicts.alarms if one.finding.key == DEAD]
        assert status.acknowledged is not None
        assert (status.acknowledged.why, status.acknowledged.name) == ("wire cut", "Ann")
    header, _ = container.read_header(archive.path(archive.find("Run 2")))
    (entry,) = header["provenance"]["remembered"]
    assert (entry["check"], entry["subject"], entry["why"], entry["name"], entry["run"]) == (
        *DEAD,
        "wire cut",
        "Ann",
        "Run 1",
    )
    assert "known: wire cut" in header["verdict"]["headline"]
    assert [(one.run, one.name) for one in remembered(followed, DETECTOR)] == [("Run 1", "Ann")]


def test_the_board_shows_it_as_known_and_lets_it_be_taken_back(followed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(followed, folder)
    alarms, snapshot = live(folder, "Run 3", 1.7e9 + 180_000, words(dead=True))
    assert [one.acknowledged.why for one in alarms.board.verdicts.alarms if one.acknowledged] == ["wire cut"]
    assert alarms.board.retract(*DEAD)
    assert not alarms.board.retract(*DEAD)
    Archiving(folder, Origin(remembered=lambda: alarms.remembered)).finish(alarms.board.on(snapshot))
    assert remembered(folder, DETECTOR) == ()


def test_a_cell_that_was_repaired_is_forgotten_and_a_run_too_short_to_tell_is_not_asked(
    followed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(followed, folder)
    live(folder, "Run 3", 1.7e9 + 180_000, words(dead=False)[:2_000])
    assert [one.key for one in remembered(folder, DETECTOR)] == [DEAD]
    live(folder, "Run 4", 1.7e9 + 270_000, words(dead=False))
    assert remembered(folder, DETECTOR) == ()


def test_the_same_words_and_archive_give_the_same_verdicts(followed: Path, tmp_path: Path) -> None:
    file = tmp_path / "Run000009.dat"
    words(dead=True).astype("<u8").tofile(file)
    found = []
    for name in ("one", "other"):
        folder = tmp_path / name
        shutil.copytree(followed, folder)
        process_files([str(file)], ProcessOptions(detector_name="telescope", verdicts=True, archive=folder))
        archive = Archive(folder)
        entries = container.read(archive.path(archive.find("Run000009")))
        summary = json.loads(entries[container.SUMMARY])["verdicts"]
        found.append(summary)
        (known,) = [one["known"] for one in summary["alarms"] if one["subject"] == CELL]
        assert known.startswith("wire cut (Ann, since 20")
        assert json.loads(entries[container.RUN])["provenance"]["remembered"]
    assert found[0] == found[1]


def test_a_run_that_cannot_be_read_is_reported_and_the_one_before_taken(
    followed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(followed, folder)
    archive = Archive(folder)
    path = archive.path(archive.find("Run 2"))
    container.write(path, {**container.read(path), container.SNAPSHOT: b"cut"})
    assert [one.run for one in remembered(folder, DETECTOR)] == ["Run 1"]
    assert "known alarms are taken from an earlier run" in caplog.text
    assert remembered(tmp_path / "none", DETECTOR) == ()
    assert remembered(None, DETECTOR) == ()


def test_a_copy_without_names_has_neither_names_nor_reasons(followed: Path) -> None:
    archive = Archive(followed)
    path = archive.path(archive.find("Run 2"))
    bare = anonymous(container.read(path), path)
    for name, content in bare.items():
        if name != container.SNAPSHOT:
            assert b"wire cut" not in content, name
            assert b"Ann" not in content, name
    assert json.loads(bare[container.RUN])["provenance"]["remembered"][0]["subject"] == CELL
