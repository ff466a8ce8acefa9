"""Problems that the detector file knows of are shown apart from new ones, as long as they are not worse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import faults
import pytest

from muonstream.detector.file import detector_toml
from muonstream.detector.known import Known, known_table, why_known
from muonstream.detector.level import Level
from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.engines.pipeline import Pipeline
from muonstream.run.board import Board
from muonstream.run.snapshot_codec import decode, encode
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import (
    BY_FILE,
    Spell,
    Status,
    Verdicts,
    as_plain,
    headline,
    of_plain,
    verdicts_summary,
    with_known,
)

DEFAULT = Detector.default()
NAME = DEFAULT.chambers[faults.CHAMBER].name
CELL = f"{NAME} cell {faults.CELL}"
DEAD = Known("dead cell", CELL, "broken wire", Level.BAD)


def knowing(*known: Known) -> Detector:
    return DEFAULT.model_copy(update={"known": known})


def test_an_alarm_is_known_up_to_its_level() -> None:
    known = (Known("t0", "Chamber 1", "new cable"), DEAD)
    assert why_known(known, "t0", "Chamber 1", Level.MEDIUM) == "new cable"
    assert why_known(known, "t0", "Chamber 1", Level.BAD) == ""
    assert why_known(known, "t0", "Chamber 2", Level.MEDIUM) == ""
    assert why_known(known, "dead cell", CELL, Level.BAD) == "broken wire"
    assert why_known(known, "dead cell", CELL, Level.GOOD) == ""


def test_a_known_problem_is_acknowledged_by_the_file_and_by_nobody_else() -> None:
    statuses = [Status(Finding("t0", "Chamber 1", level, "why"), 5.0) for level in (Level.MEDIUM, Level.BAD)]
    medium, bad = with_known(statuses, (Known("t0", "Chamber 1", "new cable"),))
    assert medium.acknowledged is not None
    assert (medium.acknowledged.why, medium.acknowledged.name, medium.acknowledged.by_file) == (
        "new cable",
        BY_FILE,
        True,
    )
    assert bad.acknowledged is None
    # what the file no longer knows is new again
    assert with_known([medium], ())[0].acknowledged is None


def of_run(detector: Detector) -> tuple[Verdicts, Board]:
    """A run with a dead cell."""
    words = faults.dead_cell(faults.simulated(60.0), DEFAULT)
    board = Board()
    with Pipeline(detector, workers=0, timeline=Timeline) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        snapshot = pipeline.snapshot("ended")
    board.update(snapshot)
    assert snapshot.verdicts is not None
    # a snapshot that is shown elsewhere knows as much
    assert decode(encode(snapshot)).detector.known == detector.known
    return snapshot.verdicts, board


def test_the_summary_the_headline_and_the_board_have_it_apart() -> None:
    verdicts, board = of_run(knowing(DEAD))
    assert [(spell.check, spell.known) for spell in verdicts.spells] == [("dead cell", "broken wire")]
    assert "known: broken wire" in headline(verdicts)
    assert [one["known"] for one in verdicts_summary(verdicts)["alarms"]] == ["broken wire"]
    (alarm,) = board.verdicts.alarms
    assert alarm.acknowledged is not None
    assert alarm.acknowledged.by_file
    assert board.acknowledge_all("all", 1.0) == 0
    assert not board.retract(*alarm.finding.key)
    # a level is what it is, whoever knows of it
    unknown, other = of_run(DEFAULT)
    assert unknown.level is verdicts.level > Level.GOOD
    assert other.verdicts.alarms[0].acknowledged is None
    assert of_plain(as_plain(verdicts)) == verdicts


def test_a_restarted_board_forgets_what_the_file_no_longer_knows() -> None:
    _, board = of_run(knowing(DEAD))
    again = Board()
    again.restore(board.state())
    assert again.state() == board.state()
    assert again._known == {}


def test_the_headline_names_what_is_new_first() -> None:
    spells = (
        Spell("t0", "Chamber 1", Level.MEDIUM, 60.0),
        Spell("noise", "Chamber 2", Level.MEDIUM, 30.0),
        Spell("dead row", "Chamber 3 layer 1", Level.BAD, 3600.0, "a connector"),
    )
    verdicts = Verdicts(level=Level.BAD, reason="", worst=Level.BAD, spells=spells, judged_s=3600.0)
    assert headline(verdicts) == "Medium for 60 s of 60 min: Chamber 1: t0 (and 1 more alarm, 1 known)"
    cell = (Spell("noisy cell", "Chamber 1 cell 4", Level.BAD, 60.0), spells[2])
    new = Verdicts(level=Level.BAD, reason="", worst=Level.BAD, spells=cell, judged_s=3600.0)
    assert headline(new) == "Medium for 60 s of 60 min: Chamber 1 cell 4: noisy cell (and 1 known)"
    only = Verdicts(level=Level.BAD, reason="", worst=Level.BAD, spells=spells[2:], judged_s=3600.0)
    assert headline(only) == "Bad for 60 min of 60 min: Chamber 3 layer 1: dead row, known: a connector"


def test_the_detector_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "detector.toml"
    path.write_text(
        detector_toml(DEFAULT)
        + f'\n[[known]]\ncheck = "dead cell"\nsubject = "{CELL}"\nwhy = "broken wire"\nlevel = "bad"\n'
    )
    detector = Detector.load(path)
    assert detector.known == (DEAD,)
    path.write_text(detector_toml(detector))
    assert Detector.load(path).known == (DEAD,)
    # a stored run is not tied to it
    assert detector.model_dump(mode="json") == DEFAULT.model_dump(mode="json")


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"check": "t1", "subject": "Stream", "why": "x"}, "known[0].check: found 't1', expected account, "),
        ({"check": "t0", "subject": "Chamber 9", "why": "x"}, "known[0].subject: found 'Chamber 9', expected what"),
        ({"check": "t0", "subject": "Stream", "why": ""}, "known[0].why: found '', expected text of 1 to 200"),
        ({"check": "t0", "subject": "Stream"}, "known[0].why: found None, expected text of 1 to 200"),
        ({"check": "t0", "subject": "Stream", "why": "x", "level": "good"}, "known[0].level: found 'good', expected"),
        ({"check": "t0", "subject": "Stream", "why": "x", "since": 5}, "known[0].since: found a key that is not known"),
    ],
)
def test_a_fault_in_it_is_named(table: dict[str, object], line: str) -> None:
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    with pytest.raises(DetectorError, match=re.escape(f"a.toml: {line}")):
        parse(f"{detector_toml(DEFAULT)}\n[[known]]\n{rows}\n", "a.toml")


def test_one_problem_is_known_once() -> None:
    table = {"check": "t0", "subject": "Stream", "why": "x"}
    with pytest.raises(ValueError, match="found t0 of Stream again"):
        known_table([table, table])
    with pytest.raises(ValueError, match="expected tables with check"):
        known_table("t0")
