"""What a run knows of the alarms of the run before: those acknowledged that hold on, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.detector.level import Level
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.memory import AWAITED_S, Memory, Remembered, part_of, remembered_of
from muonstream.verdicts.verdicts import BY_FILE, Acknowledgement, Status, Verdicts

CHAMBERS = ("Chamber 1", "Chamber 2")
SUBJECTS = ("Chamber 1", "Chamber 1 cell 4", "Chamber 2 cell 40", "Board 0")
LEVELS = st.sampled_from([Level.MEDIUM, Level.BAD])
DEAD = Remembered("dead cell", "Chamber 2 cell 40", Level.MEDIUM, "wire cut", "Ann", 5.0, "Run 1", 3.0)


def status(subject: str, level: Level, known: Acknowledgement | None = None, check: str = "dead cell") -> Status:
    return Status(Finding(check, subject, level, "because"), 3.0, acknowledged=known)


def verdicts(*statuses: Status, chamber: Level = Level.GOOD) -> Verdicts:
    return Verdicts(chamber, "", dict.fromkeys(CHAMBERS, chamber), statuses)


def shown(
    memory: Memory, live_s: float, *statuses: Status, chamber: Level = Level.GOOD
) -> list[Acknowledgement | None]:
    found = memory.shown(statuses, chamber, dict.fromkeys(CHAMBERS, chamber), live_s)
    return [one.acknowledged for one in found]


@settings(max_examples=100, deadline=None)
@given(
    at_end=st.dictionaries(st.sampled_from(SUBJECTS), st.tuples(LEVELS, st.sampled_from(["", "Ann", BY_FILE]))),
    after=st.dictionaries(st.sampled_from(SUBJECTS), LEVELS),
)
def test_known_are_the_acknowledged_alarms_that_hold_on_with_name_reason_and_beginning(
    at_end: dict[str, tuple[Level, str]], after: dict[str, Level]
) -> None:
    """Run N ends with some alarms, some of them acknowledged by a person or the file; N + 1 has some of these."""
    ends = [
        status(subject, level, Acknowledgement(f"why {subject}", 7.0, name) if name else None)
        for subject, (level, name) in at_end.items()
    ]
    known = remembered_of(verdicts(*ends), (), "Run N")
    assert {one.subject for one in known} == {subject for subject, (_, name) in at_end.items() if name == "Ann"}
    memory = Memory(known)
    of_next = [status(subject, level) for subject, level in after.items()]
    for live_s in (3.0, 6.0, 2 * AWAITED_S):
        for one, found in zip(of_next, shown(memory, live_s, *of_next), strict=True):
            level, name = at_end.get(one.finding.subject, (Level.NULL, ""))
            expected = name == "Ann" and one.finding.level <= level
            assert (found is not None) == expected
            assert bool(memory.why(*one.finding.key, one.finding.level)) == expected
            if found is not None:
                assert (found.why, found.name, found.time) == (f"why {one.finding.subject}", "Ann", 7.0)
    # and the run after that one: the beginning stays that of the first
    acknowledged = memory.shown(tuple(of_next), Level.GOOD, dict.fromkeys(CHAMBERS, Level.GOOD), 3 * AWAITED_S)
    later = remembered_of(verdicts(*acknowledged), memory.entries, "Run N+1")
    assert {(one.subject, one.run, one.since) for one in later} == {
        (one.finding.subject, "Run N", 3.0) for one in acknowledged if one.acknowledged
    }


def test_an_alarm_that_was_over_is_new_when_it_comes_back() -> None:
    alarm = status(DEAD.subject, Level.MEDIUM)
    memory = Memory([DEAD])
    assert shown(memory, 10.0, alarm) == [DEAD.acknowledgement]
    assert memory.why(*DEAD.key, Level.MEDIUM) == "wire cut (Ann, since 1970-01-01)"
    assert shown(memory, 20.0, status(DEAD.subject, Level.GOOD)) == [None]
    assert shown(memory, 30.0, alarm) == [None]
    assert memory.why(*DEAD.key, Level.MEDIUM) == ""


def test_an_alarm_that_gets_worse_is_new() -> None:
    memory = Memory([DEAD])
    assert shown(memory, 10.0, status(DEAD.subject, Level.MEDIUM)) == [DEAD.acknowledgement]
    assert shown(memory, 20.0, status(DEAD.subject, Level.BAD)) == [None]
    assert shown(memory, 30.0, status(DEAD.subject, Level.MEDIUM)) == [None]


def test_an_alarm_is_awaited_for_two_minutes_from_the_first_verdict_on_its_chamber_on() -> None:
    alarm = status(DEAD.subject, Level.MEDIUM)
    for late_s, known in ((AWAITED_S, True), (AWAITED_S + 1, False)):
        memory = Memory([DEAD])
        shown(memory, 1000.0, chamber=Level.NULL)
        shown(memory, 2000.0)
        shown(memory, 2000.0 + late_s)
        assert (shown(memory, 2001.0 + late_s, alarm) == [DEAD.acknowledgement]) is known


def test_a_run_too_short_for_a_verdict_forgets_nothing() -> None:
    assert remembered_of(verdicts(chamber=Level.NULL), [DEAD], "Run 2") == (DEAD,)
    assert remembered_of(verdicts(chamber=Level.GOOD), [DEAD], "Run 2") == ()
    taken_back = status(DEAD.subject, Level.MEDIUM)
    assert remembered_of(verdicts(taken_back, chamber=Level.NULL), [DEAD], "Run 2") == ()


def test_a_restarted_engine_remembers_the_same() -> None:
    alarm, other = status(DEAD.subject, Level.MEDIUM), Remembered("t0", "Chamber 1", Level.BAD, "moved")
    memory = Memory([DEAD, other])
    shown(memory, 10.0, alarm)
    again = Memory.restored(memory.state())
    assert again.state() == memory.state()
    assert again.entries == (DEAD, other)
    assert shown(again, 20.0, status(DEAD.subject, Level.GOOD), alarm) == shown(
        memory, 20.0, status(DEAD.subject, Level.GOOD), alarm
    )
    assert again.state() == memory.state()


@pytest.mark.parametrize(
    ("subject", "part"),
    [("Chamber 1", "Chamber 1"), ("Chamber 1 cell 4", "Chamber 1"), ("Chamber 12 cell 4", ""), ("Board 0", "")],
)
def test_a_subject_belongs_to_the_chamber_that_it_names(subject: str, part: str) -> None:
    assert part_of(subject, CHAMBERS) == part
