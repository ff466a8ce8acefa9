"""A fault that is over raises nothing new, although stretches of data still reach back to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.aftermath import Aftermath
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.judge import Exposure, Windows
from tools.night import night, words_of
from tools.sensitivity import judged

DETECTOR = Detector.default()
NAMES = [chamber.name for chamber in DETECTOR.chambers]


def windows(brief_s: float = 10.0, crossed_s: float = 20.0, long_s: float = 120.0) -> Windows:
    counts = Catalogue(DETECTOR).zeros()
    brief, crossed, long = (Exposure(counts, seconds) for seconds in (brief_s, crossed_s, long_s))
    return Windows(step=brief, instant=brief, brief=brief, long=long, paired=brief, crossed=crossed, run=long)


def judgement(*findings: Finding, odd: tuple[int, int] | None = None) -> Judgement:
    cells = tuple(np.full(chamber.cells, Level.GOOD, np.int8) for chamber in DETECTOR.chambers)
    if odd is not None:
        cells[odd[0]][odd[1]] = Level.BAD
    return Judgement(findings, cells)


def test_a_cell_that_was_dead_is_not_judged_by_the_muons_that_it_missed_then() -> None:
    after = Aftermath(DETECTOR)
    dead = Finding("dead cell", f"{NAMES[1]} cell 17", Level.BAD, "no hits", NAMES[1])
    mine = Finding("cell efficiency", f"{NAMES[1]} cell 17", Level.BAD, "5 %", NAMES[1])
    other = Finding("cell efficiency", f"{NAMES[1]} cell 18", Level.BAD, "5 %", NAMES[1])
    assert after.of(judgement(dead, odd=(1, 17)), windows(), 100.0).findings == (dead,)
    for live_s in (103.0, 220.0):
        assert after.of(judgement(mine, other), windows(), live_s).findings == (other,)
    assert after.of(judgement(mine, other), windows(), 230.0).findings == (mine, other)


def test_a_cell_of_a_dead_row_that_has_hits_again_is_not_named_for_what_it_lacked_then() -> None:
    after = Aftermath(DETECTOR)
    row = Finding("dead row", f"{NAMES[1]} layer 2", Level.BAD, "7 dead cells side by side", NAMES[1])
    mine = Finding("dead cell", f"{NAMES[1]} cell 17", Level.MEDIUM, "31 hits", NAMES[1], 0.85, 0.8)
    other = replace(mine, subject=f"{NAMES[1]} cell 18")
    elsewhere = replace(mine, subject=f"{NAMES[2]} cell 17", part=NAMES[2])
    assert after.of(judgement(row, odd=(1, 17)), windows(), 100.0).findings == (row,)
    assert after.of(judgement(mine, other, elsewhere), windows(), 103.0).findings == (other, elsewhere)
    restored = Aftermath(DETECTOR)
    restored.restore(after.state())
    assert restored.of(judgement(mine), windows(), 106.0).findings == ()
    # one that stays dead is an alarm of its own
    dead = replace(mine, level=Level.BAD)
    assert after.of(judgement(dead), windows(), 106.0).findings == (dead,)
    assert after.of(judgement(mine), windows(), 120.0).findings == (mine,)


def test_what_a_chamber_lacks_since_it_was_silent_is_that_silence() -> None:
    after = Aftermath(DETECTOR)
    silent = Finding("silent", f"Board {DETECTOR.chambers[1].board}", Level.BAD, "no hits")
    rate = Finding("rate", NAMES[1], Level.BAD, "3 Hz", NAMES[1], 0.8, 0.6)
    segments = replace(rate, check="segments")
    far = next(c.name for c in DETECTOR.chambers if c.board != DETECTOR.chambers[1].board)
    elsewhere = replace(rate, subject=far, part=far)
    for live_s in (97.0, 100.0):
        assert after.of(judgement(silent), windows(), live_s).findings == (silent,)
    found = after.of(judgement(rate, segments, elsewhere), windows(), 105.0).findings
    assert [finding.level for finding in found] == [Level.NULL, Level.NULL, Level.BAD]
    assert found[0].reason == "not judged: the chamber was silent until 5 s ago"
    found = after.of(judgement(rate, segments), windows(), 115.0).findings
    assert [finding.level for finding in found] == [Level.BAD, Level.NULL]
    # what is good is good whatever was before
    good = replace(rate, level=Level.GOOD)
    assert after.of(judgement(good), windows(), 101.0).findings == (good,)


def test_a_silence_too_short_to_be_shown_hides_nothing() -> None:
    after = Aftermath(DETECTOR)
    silent = Finding("silent", NAMES[1], Level.BAD, "no hits", NAMES[1])
    rate = Finding("rate", NAMES[1], Level.BAD, "3 Hz", NAMES[1], 0.8, 0.6)
    for live_s in (100.0, 200.0):
        after.of(judgement(silent), windows(), live_s)
        assert after.of(judgement(rate), windows(), live_s + 3).findings == (rate,)


def test_a_chamber_that_shows_the_scintillators_lateness_for_longer_is_not_late_itself() -> None:
    after = Aftermath(DETECTOR)
    late = Finding("scintillator time", "Scintillator", Level.BAD, "late", value=25.0, limit=4.0, unit="ns")
    mine = Finding("t0", NAMES[3], Level.BAD, "-24 ns", NAMES[3], -24.0, 4.0, "ns")
    part = replace(mine, value=-9.0)
    other = replace(mine, value=9.0)
    more = replace(mine, value=-40.0)
    board = replace(mine, check="board step", subject="Board 0", part="")
    after.of(judgement(late), windows(), 100.0)
    found = after.of(judgement(mine, part, other, more, board), windows(), 112.0).findings
    assert [finding.level for finding in found] == [Level.NULL, Level.NULL, Level.BAD, Level.BAD, Level.NULL]
    assert found[0].reason == "not judged: the scintillator was late until 12 s ago"
    # beside the scintillator's own lateness a chamber's is its own
    found = after.of(judgement(late, mine), windows(), 130.0).findings
    assert found == (late, mine)
    assert after.of(judgement(mine), windows(), 251.0).findings == (mine,)


def test_each_fault_of_a_night_is_one_alarm_and_nothing_follows_it() -> None:
    faults = (("dead cell", 1.0), ("dead chamber", 60.0), ("late scintillator", 25.0))
    episodes = night(faults, scale=1 / 3)
    changes = list(judged(words_of(episodes, episodes[-1].end_s + 150.0, 5000.0), DETECTOR))
    raised = [change for change in changes if change.after > max(Level.GOOD, change.before)]
    assert list(dict.fromkeys(change.check for change in raised)) == ["dead cell", "silent", "scintillator time"]
    for one, check in zip(episodes, ("dead cell", "silent", "scintillator time"), strict=True):
        times = [change.data_time_s for change in changes if change.check == check]
        assert one.begin_s < min(times) < one.begin_s + 30
        assert one.end_s < max(times) < one.end_s + 40
