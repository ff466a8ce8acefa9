from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.cells import CellCounts, cell_name, judge_cells, particles
from muonstream.verdicts.findings import Finding

DETECTOR = Detector.default()
CHAMBER = DETECTOR.chambers[0]


def counts(*, dead: tuple[int, ...] = (), hot: dict[int, int] | None = None, each: int = 400) -> CellCounts:
    hits = np.full(CHAMBER.cells, each, dtype=np.int64)
    hits[list(dead)] = 0
    for cell, n in (hot or {}).items():
        hits[cell] = n
    return CellCounts(hits, np.zeros(CHAMBER.cells, dtype=np.int64), 10.0)


def test_nothing_is_said_of_cells_before_there_are_enough_hits() -> None:
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, counts(dead=(3,), each=99))
    assert set(verdicts.levels.tolist()) == {Level.NULL}
    [only] = verdicts.findings
    assert (only.check, only.level) == ("dead cells", Level.NULL)
    assert only.reason == "too few hits: 99 in a typical cell, 100 are needed"


def test_known_dead_cells_are_told_apart_from_new_ones() -> None:
    chamber = CHAMBER.model_copy(update={"dead_cells": (3, 4)})
    verdicts = judge_cells(chamber, DETECTOR.thresholds, counts(dead=(3, 9)))
    found = {finding.subject: finding for finding in verdicts.findings if finding.check == "dead cell"}
    assert found["Chamber 1 cell 9"].level is Level.BAD
    assert found["Chamber 1 cell 4"].reason == "listed as dead, but has 400 hits"
    assert "Chamber 1 cell 3" not in found
    assert verdicts.levels[3] == Level.NULL


def test_rows_of_dead_cells_are_named() -> None:
    layer = np.flatnonzero(CHAMBER.layer_of_cell() == 1)
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, counts(dead=tuple(layer[:7].tolist())))
    assert [f.subject for f in verdicts.findings if f.check == "dead row"] == ["Chamber 1 layer 1"]
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, counts(dead=tuple(layer.tolist())))
    assert [f.subject for f in verdicts.findings if f.check == "dead layer"] == ["Chamber 1 layer 1"]


def test_a_cell_is_noisy_for_its_chamber_and_for_what_it_was() -> None:
    for hits, level in ((1900, Level.GOOD), (2100, Level.MEDIUM), (4100, Level.BAD)):
        assert judge_cells(CHAMBER, DETECTOR.thresholds, counts(hot={5: hits})).levels[5] == level
    before = counts(hot={5: 200})
    found = judge_cells(CHAMBER, DETECTOR.thresholds, counts(hot={5: 1300}), before).findings
    assert "6.5 times what it was" in next(f for f in found if f.check == "noisy cell").reason
    # one that was dead before is no noisier than others when it lives again
    assert judge_cells(CHAMBER, DETECTOR.thresholds, counts(), counts(hot={5: 0})).levels[5] == Level.GOOD


def found(now: CellCounts, before: CellCounts | None = None) -> dict[tuple[str, str], Finding]:
    """What is said of a chamber's cells, by check and subject."""
    return {one.key: one for one in judge_cells(CHAMBER, DETECTOR.thresholds, now, before).findings}


def test_a_quiet_chamber_has_one_good_finding() -> None:
    [only] = found(counts()).values()
    assert (only.check, only.subject, only.level) == ("dead cells", CHAMBER.name, Level.GOOD)
    assert only.reason == "0 of 64 cells are dead"


def test_without_live_time_nothing_is_said() -> None:
    hits = counts().hits
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, CellCounts(hits, np.zeros_like(hits), 0.0))
    assert set(verdicts.levels.tolist()) == {Level.NULL}
    assert verdicts.findings == ()


def test_a_chamber_whose_cells_are_all_known_to_be_dead_is_not_judged() -> None:
    chamber = CHAMBER.model_copy(update={"dead_cells": tuple(range(CHAMBER.cells))})
    verdicts = judge_cells(chamber, DETECTOR.thresholds, counts())
    assert verdicts.findings == ()
    assert verdicts.odd.all()
    assert set(verdicts.levels.tolist()) == {Level.NULL}


@pytest.mark.parametrize(("hits", "level"), [(80, Level.GOOD), (79, Level.MEDIUM), (20, Level.MEDIUM), (19, Level.BAD)])
def test_a_cell_is_dead_by_what_it_lacks(hits: int, level: Level) -> None:
    assert judge_cells(CHAMBER, DETECTOR.thresholds, counts(hot={7: hits})).levels[7] == level
    said = found(counts(hot={7: hits})).get(("dead cell", cell_name(CHAMBER, 7)))
    assert (said is not None) == (level > Level.GOOD)
    if said is not None:
        assert said.reason == f"{hits} hits in 10 s, where a cell of this chamber has 400"


def test_what_chance_could_do_is_not_dead() -> None:
    strict = DETECTOR.thresholds.model_copy(update={"missing_cell": (0.1, 0.2)})
    assert judge_cells(CHAMBER, strict, counts(hot={7: 79}, each=100)).levels[7] == Level.GOOD
    assert judge_cells(CHAMBER, strict, counts(hot={7: 790}, each=1000)).levels[7] == Level.BAD


def test_a_noisy_cell_that_has_fewer_hits_than_others_is_not_dead() -> None:
    """In a chamber whose hits are nearly all of muons, noise of 100 hits is much, and 300 hits are few."""
    hits = np.full(CHAMBER.cells, 400, dtype=np.int64)
    with_passage = hits.copy()
    hits[5], with_passage[5] = 300, 200
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, CellCounts(hits, with_passage, 10.0))
    said = {one.check: one for one in verdicts.findings}
    assert verdicts.levels[5] == Level.BAD
    assert said["noisy cell"].level is Level.BAD
    assert said["dead cells"].reason == "0 of 64 cells are dead"
    assert set(said) == {"noisy cell", "dead cells"}


def test_a_noisy_cell_is_told_with_the_limit_that_it_passed() -> None:
    hits = np.full(CHAMBER.cells, 3000, dtype=np.int64)
    hits[5] = 6010
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, CellCounts(hits, np.zeros_like(hits), 10.0))
    said = {one.subject: one for one in verdicts.findings if one.check == "noisy cell"}
    assert said[cell_name(CHAMBER, 5)].reason == "601.0 Hz of noise, beyond 500 Hz"
    assert said[cell_name(CHAMBER, 6)].reason == "300.0 Hz of noise, beyond 200 Hz"


@pytest.mark.parametrize(("hz", "level"), [(200, Level.GOOD), (201, Level.MEDIUM), (501, Level.BAD)])
def test_noise_is_judged_in_hertz_where_all_cells_have_it(hz: int, level: Level) -> None:
    verdicts = judge_cells(CHAMBER, DETECTOR.thresholds, counts(each=10 * hz))
    assert set(verdicts.levels.tolist()) == {level}


def test_hits_with_a_passage_are_no_noise() -> None:
    hits = np.full(CHAMBER.cells, 4000, dtype=np.int64)
    now = CellCounts(hits, hits - 10, 10.0)
    assert now.noise.tolist() == [10] * CHAMBER.cells
    assert set(judge_cells(CHAMBER, DETECTOR.thresholds, now).levels.tolist()) == {Level.GOOD}


@pytest.mark.parametrize("hits_before", [0, 40])
def test_a_cell_that_was_silent_before_is_held_against_one_hit(hits_before: int) -> None:
    before = CellCounts(np.full(CHAMBER.cells, hits_before), np.zeros(CHAMBER.cells, np.int64), 10.0)
    said = found(counts(hot={5: 1000}), before)[("noisy cell", cell_name(CHAMBER, 5))]
    assert said.value == 1000 / max(hits_before, 1)
    assert said.unit == "times"


def test_a_time_before_without_live_time_says_nothing() -> None:
    before = CellCounts(np.zeros(CHAMBER.cells, np.int64), np.zeros(CHAMBER.cells, np.int64), 0.0)
    assert found(counts(), before).keys() == {("dead cells", CHAMBER.name)}


@given(st.sets(st.integers(0, CHAMBER.cells - 1), max_size=40), st.sets(st.integers(0, CHAMBER.cells - 1), max_size=8))
def test_dead_rows_and_layers_are_those_of_the_names_of_cells(dead: set[int], listed: set[int]) -> None:
    chamber = CHAMBER.model_copy(update={"dead_cells": tuple(sorted(listed))})
    now = counts(dead=tuple(sorted(dead | listed)))
    said = judge_cells(chamber, DETECTOR.thresholds, now).findings
    if np.median(now.hits[[cell for cell in range(chamber.cells) if cell not in listed]]) == 0:
        assert said == ()
        return
    layers = chamber.layer_of_cell()
    expected = {}
    for layer in range(chamber.layers):
        row = "".join("x" if cell in dead else "." for cell in np.flatnonzero(layers == layer) if cell not in listed)
        if len(row) > 1 and "." not in row:
            expected["dead layer", f"{chamber.name} layer {layer}"] = len(row)
        elif (longest := max(map(len, row.split(".")))) >= DETECTOR.thresholds.dead_row:
            expected["dead row", f"{chamber.name} layer {layer}"] = longest
    assert {one.key: one.value for one in said if one.check in ("dead row", "dead layer")} == expected
    [share] = [one for one in said if one.check == "dead cells"]
    assert share.value == len(dead - listed) / (chamber.cells - len(listed))


def beam(rng: np.random.Generator, width_mm: float, middle_mm: float, peak: float) -> NDArray[np.int64]:
    """Hits by cell of a beam with a normal profile."""
    x_mm = CHAMBER.wire_x_mm()
    hits: NDArray[np.int64] = rng.poisson(peak * np.exp(-0.5 * ((x_mm - middle_mm) / width_mm) ** 2)).astype(np.int64)
    return hits


@pytest.mark.parametrize("width_mm", [60.0, 150.0, 400.0, 1e6])
@pytest.mark.parametrize("peak_hz", [50.0, 1000.0, 20_000.0])
def test_a_beams_profile_is_not_noise_and_a_noisy_cell_in_it_is(width_mm: float, peak_hz: float) -> None:
    rng = np.random.default_rng(7)
    dead = rng.choice(CHAMBER.cells, 4, replace=False)
    for _ in range(50):
        hits = beam(rng, width_mm, rng.uniform(0, CHAMBER.cells_per_layer * CHAMBER.cell_width_mm), 20 * peak_hz)
        hits[dead] = 0
        cell = int(np.setdiff1d(np.arange(CHAMBER.cells), dead)[rng.integers(CHAMBER.cells - 4)])
        noisy = hits.copy()
        noisy[cell] += round(20 * (2 * peak_hz + 600))
        for made, wanted in ((hits, set()), (noisy, {cell_name(CHAMBER, cell)})):
            now = CellCounts(made, np.zeros_like(made), 20.0, particles(CHAMBER, made, 2.0))
            said = judge_cells(CHAMBER, DETECTOR.thresholds, now).findings
            hz = {one.subject: one.value for one in said if one.check == "noisy cell" and one.level is Level.BAD}
            assert hz.keys() == wanted


def test_particles_at_a_chambers_sides_and_more_of_them_than_before_are_not_noise() -> None:
    """What a beam leaves off segments grows with it, and is more at the sides, where it crosses too few layers."""
    sides = [0, 1, 2, 3, 60, 61, 62, 63]
    found, alone = np.full(CHAMBER.cells, 20_000), np.full(CHAMBER.cells, 1000)
    found[sides], alone[sides] = 9000, 12_000
    before = CellCounts((found + alone) // 20, found // 20, 10.0)
    now = CellCounts(found + alone, found, 10.0)
    assert [one.check for one in judge_cells(CHAMBER, DETECTOR.thresholds, now, before).findings] == ["dead cells"]
    for cell, more in ((30, 30_000), (0, 50_000)):
        noisy = now.hits.copy()
        noisy[cell] += more
        said = judge_cells(CHAMBER, DETECTOR.thresholds, CellCounts(noisy, found, 10.0), before).findings
        assert [one.subject for one in said if one.check == "noisy cell"] == [cell_name(CHAMBER, cell)]


def test_cells_without_living_ones_around_have_no_particles() -> None:
    hits = np.zeros(CHAMBER.cells, np.int64)
    assert particles(CHAMBER, hits, 2.0).tolist() == [0] * CHAMBER.cells
    hits[9] = 100
    assert particles(CHAMBER, hits, 2.0).tolist() == [0] * CHAMBER.cells
