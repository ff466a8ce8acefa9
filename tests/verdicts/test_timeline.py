"""The time line of verdicts depends on the words alone, and says what is wrong from the beginning on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import faults
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.checkpoint import pack, unpack
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Verdicts, as_plain, headline, of_plain
from muonstream.words import TDC_PER_ORBIT, Words, decode, encode, time_tdc
from tools.night import Episode, words_of

DETECTOR = Detector.default()
SCINTILLATOR = DETECTOR.scintillators[0]
NAMES = [chamber.name for chamber in DETECTOR.chambers]


def judged(
    words: Words,
    cuts: list[int] | None = None,
    *,
    workers: int = 0,
    snapshots: bool = False,
) -> Verdicts:
    """The verdicts at the end of a run whose words come in pieces."""
    with Pipeline(DETECTOR, workers=workers, timeline=Timeline) as pipeline:
        for piece in np.split(words, sorted(set(cuts or []))):
            pipeline.push(piece)
            if snapshots:
                pipeline.snapshot()
        pipeline.finish()
        found = pipeline.snapshot("ended").verdicts
    assert found is not None
    return found


def alarms(verdicts: Verdicts) -> dict[tuple[str, str], Level]:
    return {status.finding.key: status.finding.level for status in verdicts.alarms}


@cache
def healthy() -> Words:
    return simulate_words(250_000, seed=5)


@cache
def faulty() -> Words:
    """Half a minute of good data, then a cell that is noisy for a while, late and stray words, and a dead cell."""
    words = simulate_words(250_000, seed=6, hot_cell=(3, 5), dead_cell=(2, 17))
    n = len(words)
    rng = np.random.default_rng(1)
    late = np.sort(rng.choice(n // 2, 600, replace=False))
    moved = np.insert(np.delete(words, late), rng.integers(n // 2, n - 600, 600), words[late])
    wild = rng.integers(0, n, 300)
    orbits = rng.integers(0, 1 << 32, 300)
    return np.insert(moved, wild, encode(head=2, fpga=0, channel=3, orbit=orbits, bx=5, tdc=1))


@cache
def shifting() -> Words:
    """Fifty seconds, in which a board falls silent and comes back, and the scintillator is late for a while."""
    words = faults.simulated(50.0)
    seconds = time_tdc(words) / 1.2e9
    fields = decode(words)
    words = faults.later(words, (fields.head == 2) & (fields.fpga == 0) & (seconds > 34) & (seconds < 44), 30)
    of_scintillator = (fields.fpga == SCINTILLATOR.board) & (fields.channel == SCINTILLATOR.channel)
    words = faults.later(words, of_scintillator & (seconds > 25), 20)
    return faults.kept(words, (fields.fpga != 1) | (seconds < 10) | (seconds > 20))


@settings(deadline=None, max_examples=12)
@given(
    cuts=st.lists(st.integers(1, 250_000), max_size=40),
    workers=st.integers(0, 2),
    snapshots=st.booleans(),
    which=st.sampled_from([healthy, faulty]),
)
def test_the_time_line_is_that_of_the_words(
    cuts: list[int], workers: int, snapshots: bool, which: Callable[[], Words]
) -> None:
    words = which()
    assert judged(words, cuts, workers=workers, snapshots=snapshots) == whole(which)


@cache
def whole(which: Callable[[], Words]) -> Verdicts:
    return judged(which())


def test_healthy_data_are_good() -> None:
    verdicts = whole(healthy)
    assert (verdicts.level, verdicts.worst, verdicts.history) == (Level.GOOD, Level.GOOD, ())
    assert set(verdicts.chambers.values()) == {Level.GOOD}


def test_faulty_data_are_not_good_however_fast_they_are_read() -> None:
    verdicts = whole(faulty)
    found = alarms(verdicts)
    for key in (
        ("dead cell", f"{NAMES[1]} cell 17"),
        ("noisy cell", f"{NAMES[2]} cell 5"),
        ("late words", "Stream"),
        ("stray words", "Stream"),
    ):
        assert found.get(key, Level.NULL) > Level.GOOD, key
    assert verdicts.level > Level.GOOD
    assert verdicts.spells[0].level is Level.BAD
    assert 0 < max(spell.seconds for spell in verdicts.spells) <= verdicts.judged_s


def test_what_was_bad_and_is_over_stays_in_the_headline() -> None:
    """A cell that is noisy for half a minute of two."""
    words = [faults.simulated(40.0, start_s=40.0 * i) for i in range(3)]
    words[1] = faults.hot_cell(words[1], DETECTOR)
    verdicts = judged(np.concatenate(words))
    assert verdicts.level is Level.GOOD
    assert verdicts.worst > Level.GOOD
    spells = {(spell.check, spell.subject): spell.seconds for spell in verdicts.spells}
    assert 20 < spells["noisy cell", f"{NAMES[faults.CHAMBER]} cell {faults.CELL}"] < verdicts.judged_s / 2


def test_the_headline_names_what_made_the_detector_bad_and_no_cell_that_was_bad_for_longer() -> None:
    episodes = [Episode("noisy cell", 300.0, 20.0, 140.0), Episode("dead chamber", 60.0, 60.0, 90.0)]
    verdicts = judged(np.concatenate(list(words_of(episodes, 140.0, 5000.0))))
    assert [one.check for one in verdicts.spells] == ["silent", "noisy cell"]
    assert verdicts.spells[1].seconds > verdicts.spells[0].seconds
    text = headline(verdicts)
    assert text.startswith("Bad for ")
    assert text.endswith(": Chamber 2: silent (and 1 more alarm); at the end Medium")
    assert headline(verdicts, ended=False).endswith("; now Medium")
    # the noisy cell is not back to normal where its chamber sends nothing
    hidden = next(one for one in verdicts.history if one.check == "noisy cell" and one.before > Level.GOOD)
    assert (hidden.after, hidden.reason) == (Level.NULL, "not judged: the chamber is silent")


def test_a_run_of_which_too_little_is_known_is_null_with_the_reason() -> None:
    verdicts = judged(healthy()[:2000])
    assert verdicts.level is Level.NULL
    assert "too few hits" in verdicts.reason


def test_a_run_without_a_single_hit_is_bad() -> None:
    words = encode(head=np.full(50_000, 1), fpga=0, channel=0, orbit=0, bx=0, tdc=0)
    verdicts = judged(words)
    assert verdicts.level is Level.BAD
    assert alarms(verdicts) == {("hits", "Detector"): Level.BAD}
    assert judged(words[:0]).level is Level.NULL


def periodic(words: Words, hz: float, *, chamber: int = 2, cell: int = 9) -> Words:
    """The words with a cell that oscillates, its hits where their time belongs."""
    it = DETECTOR.chambers[chamber]
    times = time_tdc(words)
    first, last = int(times[0]), int(times[-1])
    at = np.arange(first, last, round(1.2e9 / hz))
    orbit, rest = np.divmod(at, TDC_PER_ORBIT)
    more = encode(head=2, fpga=it.board, channel=it.first_channel + cell, orbit=orbit, bx=rest // 30, tdc=rest % 30 + 1)
    return np.insert(words, np.searchsorted(np.maximum.accumulate(times), at), more)


@pytest.mark.parametrize("hz", [5e3, 20e3, 200e3])
def test_an_oscillating_cell_is_found_and_hides_no_other(hz: float) -> None:
    verdicts = judged(periodic(simulate_words(150_000, seed=9, dead_cell=(2, 17)), hz))
    assert alarms(verdicts)["noisy cell", f"{NAMES[2]} cell 9"] is Level.BAD
    assert ("dead cell", f"{NAMES[1]} cell 17") in alarms(verdicts)
    others = np.delete(verdicts.judgement.cells[2], 9)
    assert (others == Level.GOOD).all()


@pytest.mark.parametrize("dead", [24, 40, 56])
def test_however_many_cells_of_a_chamber_are_dead_it_is_said_once(dead: int) -> None:
    words = healthy()
    cell = faults.of_chamber(words, DETECTOR, 2)
    found = alarms(judged(words[(cell < 0) | (cell >= dead)]))
    assert found["dead cells", NAMES[2]] is Level.BAD
    about_cells = {key for key in found if key[0] not in ("active cells", "rate")}
    assert about_cells == {("dead cells", NAMES[2])}


def test_a_chamber_that_is_weak_from_the_beginning_is_compared_with_the_others() -> None:
    words = healthy()
    of_it = np.flatnonzero(faults.of_chamber(words, DETECTOR, 2) >= 0)
    weak = np.delete(words, of_it[np.arange(len(of_it)) % 20 != 0])
    assert alarms(judged(weak))["rate", NAMES[2]] is Level.BAD


def test_a_scintillator_that_never_fires_is_bad() -> None:
    words = healthy()
    fields = decode(words)
    scintillator = DETECTOR.scintillators[0]
    silent = words[(fields.fpga != scintillator.board) | (fields.channel != scintillator.channel)]
    assert alarms(judged(silent))["scintillator", "Scintillator"] is Level.BAD


def test_words_of_unknown_channels_are_judged() -> None:
    words = healthy()
    fields = decode(words)
    channel = np.where(np.arange(len(words)) % 2, fields.channel, 200)
    unknown = encode(
        head=fields.head, fpga=fields.fpga, channel=channel, orbit=fields.orbit, bx=fields.bx, tdc=fields.tdc
    )
    assert alarms(judged(unknown))["unmapped words", "Stream"] is Level.BAD


def test_a_time_without_words_is_found_however_fast_they_are_read() -> None:
    """A pause of a minute: it is no live time, and the rates before and after it are the same."""
    before, after = faults.simulated(75.0), faults.simulated(20.0, start_s=135.0)
    verdicts = judged(np.concatenate([before, after]))
    assert [(spell.check, spell.subject) for spell in verdicts.spells] == [("gaps", "Stream")]
    assert verdicts.worst is Level.BAD
    assert verdicts.alarms[0].finding.reason.endswith("of data time, 0% usually")
    # the pauses of a beam are usual
    spills = np.concatenate([faults.simulated(5.0, start_s=12.0 * n) for n in range(30)])
    found = judged(spills)
    assert "gaps" not in {spell.check for spell in found.spells}
    (of_gaps,) = (one.finding for one in found.statuses if one.finding.check == "gaps")
    assert of_gaps.level is Level.GOOD


def test_a_few_late_words_are_no_alarm_however_few_there_are() -> None:
    words = healthy()[:4000]
    verdicts = judged(np.concatenate([words, words[:5]]))
    (late,) = (one.finding for one in verdicts.statuses if one.finding.check == "late words")
    assert late.value == pytest.approx(5 / 4005)
    assert verdicts.spells == ()


def test_a_quiet_telescope_is_judged_by_all_of_its_run() -> None:
    """A cell has a hit in four seconds: the fewest hits take eight minutes."""
    words = simulate_words(60_000, seed=4, rate_hz=64.0, muon_rate_hz=0.5, dead_cell=(2, 17))
    verdicts = judged(words)
    assert ("dead cell", f"{NAMES[1]} cell 17") in alarms(verdicts)
    assert set(verdicts.chambers.values()) <= {Level.GOOD, Level.MEDIUM}


@settings(deadline=None, max_examples=2)
@given(
    ends=st.lists(st.integers(1, 250_000), min_size=1, max_size=4), which=st.sampled_from([healthy, faulty, shifting])
)
@example(ends=[60_000, 61_000, 62_000, 180_000], which=shifting)
@example(ends=[125_000, 140_000, 180_000, 240_000], which=faulty)
def test_the_time_line_of_an_engine_that_was_killed_is_that_of_one_that_ran_on(
    ends: list[int], which: Callable[[], Words]
) -> None:
    state = None
    for piece in np.split(which(), sorted(set(ends))):
        with Pipeline(DETECTOR, workers=0, timeline=Timeline) as pipeline:
            if state is not None:
                pipeline.restore(unpack(state))
            pipeline.push(piece)
            state = pack(pipeline.state())
    with Pipeline(DETECTOR, workers=0, timeline=Timeline) as last:
        last.restore(unpack(state or b""))
        last.finish()
        assert last.snapshot("ended").verdicts == whole(which)


def test_verdicts_come_back_from_plain_types() -> None:
    verdicts = whole(faulty)
    assert of_plain(as_plain(verdicts)) == verdicts
