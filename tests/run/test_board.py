from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muonstream.detector.level import Level
from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.detector.thresholds import Thresholds
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import ByteAccount, InputReport
from muonstream.run.account import Account
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Acknowledgement, Change, Status, Verdicts

DETECTOR = Detector.default()


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with Pipeline(DETECTOR, run="board", workers=0) as pipeline:
        pipeline.push(simulate_words(20_000, seed=2))
        made = pipeline.snapshot()
        return replace(made, wall_time=made.data_wall_time)


def aged(snapshot: Snapshot, data_time_s: float, age_s: float) -> Snapshot:
    return replace(snapshot, data_time_s=data_time_s, wall_time=snapshot.data_wall_time + age_s)


def test_a_level_that_comes_and_goes_does_not_flap(snapshot: Snapshot) -> None:
    changes: list[Change] = []
    board = Board(listener=changes.append)
    board.update(aged(snapshot, 10.0, 0.0))
    for second in range(12):  # stale for a second, then not, again and again
        board.update(aged(snapshot, 11.0 + 2 * second, 0.0))
        board.update(aged(snapshot, 5.0 + 2 * second, 7.0))
    assert changes == []
    for age_s in range(6, 12):
        board.update(aged(snapshot, 40.0, float(age_s)))
    assert [(change.before, change.after) for change in changes] == [(Level.GOOD, Level.MEDIUM)]
    board.update(aged(snapshot, 60.0, 0.0))
    assert board.verdicts.level is Level.MEDIUM
    board.update(aged(snapshot, 71.0, 0.0))
    assert changes[-1].after is Level.GOOD
    assert [change.check for change in board.verdicts.history] == ["stalled", "stalled"]


def test_nothing_has_stalled_before_the_first_word(snapshot: Snapshot) -> None:
    board = Board()
    waiting = replace(snapshot, state="waiting", account=Account(), data_time_s=0.0, live_time_s=0.0)
    for age_s in range(0, 100, 5):
        verdicts = board.update(aged(waiting, 0.0, float(age_s)))
        assert not verdicts.history
        assert "stalled" not in {status.finding.check for status in verdicts.statuses}


def test_who_was_told_of_an_alarm_is_told_when_another_run_begins(snapshot: Snapshot) -> None:
    told: list[Change] = []
    board = Board(listener=told.append)
    for age_s in (0.0, 100.0, 110.0):
        board.update(aged(snapshot, 60.0, age_s))
    assert [(change.check, change.after) for change in told] == [("stalled", Level.BAD)]
    board.update(aged(replace(snapshot, run="another"), 60.0, 0.0))
    assert [(change.check, change.before, change.after) for change in told[1:]] == [("stalled", Level.BAD, Level.NULL)]


def test_a_stream_that_had_stalled_is_not_called_good_when_its_run_ends(snapshot: Snapshot) -> None:
    told: list[Change] = []
    board = Board(listener=told.append)
    for age_s in (0.0, 100.0, 110.0):
        board.update(aged(snapshot, 60.0, age_s))
    board.update(aged(replace(snapshot, state="ended"), 60.0, 111.0))
    assert [(change.after, change.reason) for change in told[1:]] == [(Level.NULL, "the run has ended")]


def test_an_alarm_is_acknowledged_until_it_is_worse(snapshot: Snapshot) -> None:
    board = Board()
    unbalanced = replace(snapshot, account=replace(snapshot.account, words=snapshot.account.words + 5))
    assert not board.acknowledge("account", "Stream", "known", 1.0)
    for second in range(4):
        board.update(replace(unbalanced, data_time_s=snapshot.data_time_s + second))
    assert board.verdicts.level is Level.BAD
    alarm = board.verdicts.alarms[0]
    assert (alarm.finding.reason, alarm.acknowledged) == ("5 words are unaccounted for", None)
    assert board.acknowledge("account", "Stream", "an old firmware", 2.0)
    known = board.verdicts.alarms[0].acknowledged
    assert known is not None
    assert known.why == "an old firmware"


@pytest.mark.parametrize(
    ("changed", "key", "level"),
    [
        ({"account": Account(words=10_000, hits=9_800, malformed=200)}, ("malformed input", "Stream"), Level.BAD),
        ({"forced": 3}, ("forced windows", "Stream"), Level.MEDIUM),
        (
            {"inputs": (InputReport("a.dat", "read", bytes=ByteAccount(passed_over=8), size=8),)},
            ("inputs", "Stream"),
            Level.MEDIUM,
        ),
    ],
)
def test_what_reading_lost_or_left_out_is_judged(
    snapshot: Snapshot, changed: dict[str, Any], key: tuple[str, str], level: Level
) -> None:
    board = Board()
    for second in range(4):
        board.update(replace(snapshot, **changed, data_time_s=snapshot.data_time_s + second))
    assert {(a.finding.key, a.finding.level) for a in board.verdicts.alarms} == {(key, level)}


def test_a_file_that_is_read_at_once_cannot_stall(snapshot: Snapshot) -> None:
    board = Board(live=False)
    for age_s in (0.0, 100.0, 110.0):
        board.update(aged(snapshot, 60.0, age_s))
    assert board.verdicts.alarms == []


def test_changes_of_the_time_line_are_told_once_each(snapshot: Snapshot) -> None:
    told: list[Change] = []
    board = Board(listener=told.append)
    made = [Change(0.0, float(i), "dead cell", f"cell {i}", Level.NULL, Level.BAD, "") for i in range(5)]
    for n in (0, 2, 2, 5):
        verdicts = Verdicts(history=tuple(made[:n]), changes=n)
        board.update(replace(snapshot, verdicts=verdicts, data_time_s=snapshot.data_time_s + 2 * len(told) + n))
    board.update(replace(snapshot, verdicts=Verdicts(history=tuple(made), changes=5), state="ended"))
    assert [change for change in told if change.check == "dead cell"] == made


def test_acknowledgements_and_history_survive_a_restart(snapshot: Snapshot) -> None:
    told: list[Change] = []
    board = Board()
    made = Verdicts(
        statuses=(Status(Finding("dead cell", "cell 3", Level.BAD, "no hits"), 5.0),),
        history=(Change(5.0, 4.0, "dead cell", "cell 3", Level.NULL, Level.BAD, "no hits"),),
        changes=1,
    )
    lossy = replace(snapshot, verdicts=made, account=Account(words=10_000, hits=9_800, malformed=200))
    for second in range(4):
        board.update(replace(lossy, data_time_s=snapshot.data_time_s + second))
    assert board.acknowledge_all("connector", 7.0, "Ada") == 2
    again = Board(listener=told.append)
    again.restore(json.loads(json.dumps(board.state())))
    again.update(replace(lossy, data_time_s=snapshot.data_time_s + 5))
    assert told == []
    assert again.verdicts.history == board.verdicts.history
    assert {status.acknowledged for status in again.verdicts.alarms} == {Acknowledgement("connector", 7.0, "Ada")}
    assert again.retract("dead cell", "cell 3")
    assert not again.retract("dead cell", "cell 3")
    assert [status.finding.check for status in again.verdicts.alarms if status.acknowledged] == ["malformed input"]


def test_an_alarm_that_became_milder_is_known_up_to_its_first_level_after_a_restart_too(snapshot: Snapshot) -> None:
    def found(level: Level, second: int) -> Snapshot:
        status = Status(Finding("dead cell", "cell 3", level, "no hits"), 5.0)
        return replace(snapshot, verdicts=Verdicts(statuses=(status,)), data_time_s=snapshot.data_time_s + second)

    board = Board()
    board.update(found(Level.BAD, 0))
    assert board.acts == 0
    assert board.acknowledge("dead cell", "cell 3", "connector", 7.0, "Ada")
    assert board.acts == 1
    board.update(found(Level.MEDIUM, 1))
    again = Board()
    again.restore(json.loads(json.dumps(board.state())))
    again.update(found(Level.BAD, 2))
    assert again.verdicts.alarms[0].acknowledged == Acknowledgement("connector", 7.0, "Ada")
    assert again.retract("dead cell", "cell 3")
    assert again.acts == 1
    # a store of a version that did not say at which level it was acknowledged
    older = board.state()
    del older["known"]
    again.restore(older)
    again.update(found(Level.MEDIUM, 3))
    assert again.verdicts.alarms[0].acknowledged is not None


@pytest.mark.parametrize("value", ["3", "[3]", "[5, 2]", '["a", 1]', "[0, 1]", "[true, 2]"])
def test_limits_are_two_rising_numbers(value: str) -> None:
    text = f'name = "x"\n[[chambers]]\n[thresholds]\nt0_shift_ns = {value}\n'
    with pytest.raises(DetectorError, match=r"thresholds\.t0_shift_ns: found .*, expected two numbers above 0"):
        parse(text, "x.toml")


def test_the_documented_thresholds_are_the_defaults() -> None:
    text = (Path(__file__).parents[2] / "docs" / "detector-file.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d., ]+) \|", text.partition("## Thresholds")[2], re.MULTILINE))
    defaults = {
        name: ", ".join(f"{x:g}" for x in (value if isinstance(value, tuple) else (value,)))
        for name, value in Thresholds().model_dump().items()
    }
    assert rows == defaults


def test_what_was_counted_provisionally_may_go_again(snapshot: Snapshot) -> None:
    board = Board()
    board.update(snapshot)
    unbalanced = replace(snapshot, account=replace(snapshot.account, words=snapshot.account.words + 5))
    for second in range(1, 5):
        board.update(replace(unbalanced, data_time_s=snapshot.data_time_s + second, live_time_s=snapshot.live_time_s))
    less = replace(
        unbalanced,
        total=np.maximum(snapshot.total - 1, 0),
        live_time_s=snapshot.live_time_s - 0.05,
        data_time_s=snapshot.data_time_s + 6,
    )
    assert [alarm.finding.check for alarm in board.update(less).alarms] == ["account"]
    anew = replace(snapshot, live_time_s=0.5, data_time_s=snapshot.data_time_s + 8, total=snapshot.total // 10)
    assert board.update(replace(anew, run="another")).alarms == []


def test_any_detector_can_be_judged() -> None:
    """Without a scintillator, and with hits of one chamber only."""
    text = """
    name = "one"
    [[chambers]]
    number = 1
    name = "Only"
    board = 0
    first_channel = 0
    layers = 2
    cells_per_layer = 3
    layer_of_channel = [1, 0]
    layer_shift_mm = [0.0, 21.0]
    z_mm = 0.0
    """
    detector = parse(text, "one.toml")
    board = Board()
    with Pipeline(detector, workers=0, timeline=Timeline) as pipeline:
        for piece in np.array_split(simulate_words(60_000, detector=detector, muon_rate_hz=0, rate_hz=500), 30):
            pipeline.push(piece)
            verdicts = board.update(pipeline.snapshot())
    assert verdicts.level is Level.GOOD
    assert verdicts.chambers == {"Only": Level.GOOD}
