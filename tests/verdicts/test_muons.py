from __future__ import annotations

import faults
import numpy as np
import pytest
from faults import watched
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.muons import judge_muons
from muonstream.verdicts.timing import judge_timing
from muonstream.words import decode

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR, muons=True)
NAME = DETECTOR.chambers[faults.CHAMBER].name
FAULT_S = 75.0


def test_a_chamber_that_loses_efficiency_is_found_by_its_layers_and_its_segments() -> None:
    healthy = faults.simulated(FAULT_S)
    faulty = faults.inefficient_chamber(faults.simulated(30.0, start_s=FAULT_S), DETECTOR)
    outcome = watched(np.concatenate([healthy, faulty]), FAULT_S, reconstruct=True)
    layers = [("layer efficiency", f"{NAME} layer {layer}") for layer in range(4)]
    seconds = outcome.first(*layers[0])
    assert seconds is not None
    assert seconds <= 30.0
    # a third of the hits is missing: fewer are counted, and fewer a segment
    counts = {(check, NAME) for check in ("noise", "segments", "active cells", "efficiency")}
    assert outcome.wrong({*layers, *counts}) == []


def test_nothing_is_said_of_nothing() -> None:
    nothing = CATALOGUE.zeros()
    for chamber in range(len(DETECTOR.chambers)):
        assert {finding.level for finding in judge_muons(CATALOGUE, chamber, nothing, nothing, None)} == {Level.NULL}


@pytest.mark.parametrize(
    ("found", "level"), [(97, Level.GOOD), (78, Level.GOOD), (65, Level.MEDIUM), (40, Level.BAD), (10, Level.BAD)]
)
def test_efficiency_is_judged_beyond_what_chance_may_bring(found: int, level: Level) -> None:
    counts = CATALOGUE.zeros()
    CATALOGUE.view(counts, "chamber_expected")[2] = 100
    CATALOGUE.view(counts, "chamber_found")[2] = found
    [finding] = [one for one in judge_muons(CATALOGUE, 2, counts, counts, None) if one.check == "efficiency"]
    assert finding.level == level
    assert finding.value == pytest.approx(1 - found / 100)


def test_cells_without_hits_are_named_unless_they_are_known() -> None:
    counts = CATALOGUE.zeros()
    CATALOGUE.view(counts, "cell_expected")[:64] = 200
    CATALOGUE.view(counts, "cell_found")[:64] = 190
    CATALOGUE.view(counts, "cell_found")[5] = 20
    findings = list(judge_muons(CATALOGUE, 0, counts, counts, None))
    assert [(f.subject, f.level) for f in findings if f.check == "cell efficiency"] == [("Chamber 1 cell 5", Level.BAD)]
    known = DETECTOR.chambers[0].model_copy(update={"dead_cells": (5,)})
    listed = Catalogue(DETECTOR.model_copy(update={"chambers": (known, *DETECTOR.chambers[1:])}), muons=True)
    assert not [f for f in judge_muons(listed, 0, counts, counts, None) if f.check == "cell efficiency"]


def of_misfits(mm: NDArray[np.float64]) -> dict[str, Finding]:
    """The findings on chamber 1 whose segments have these misfits."""
    counts = CATALOGUE.zeros()
    entry = CATALOGUE.entries["misfit"]
    edges = entry.axis.start + entry.axis.step * np.arange(entry.axis.bins + 1)
    CATALOGUE.view(counts, "misfit")[1, 1:-1] = np.histogram(mm, edges)[0]
    return {finding.check: finding for finding in judge_muons(CATALOGUE, 1, counts, counts, None)}


@pytest.mark.parametrize(
    ("sigma_mm", "wrong", "resolution", "tail"),
    [
        (0.4, 0.17, Level.GOOD, Level.GOOD),
        (0.82, 0.1, Level.MEDIUM, Level.GOOD),
        (0.4, 0.5, Level.GOOD, Level.MEDIUM),
        (0.4, 0.95, Level.GOOD, Level.BAD),
    ],
)
def test_hits_are_judged_by_the_core_and_the_tail_of_their_misfit(
    sigma_mm: float, wrong: float, resolution: Level, tail: Level
) -> None:
    rng = np.random.default_rng(3)
    flat = int(wrong * 20_000)
    mm = np.concatenate([rng.normal(0.0, sigma_mm, 20_000 - flat), rng.uniform(-2, 2, flat)])
    found = of_misfits(mm)
    assert (found["hit resolution"].level, found["wrong hits"].level) == (resolution, tail)
    assert found["wrong hits"].value == pytest.approx(wrong, abs=0.06)


def moved(layer: int, mm: float) -> Detector:
    """The detector with one layer of chamber 1 out of place."""
    chamber = DETECTOR.chambers[faults.CHAMBER]
    shifts = list(chamber.layer_shift_mm)
    shifts[layer] += mm
    chambers = list(DETECTOR.chambers)
    chambers[faults.CHAMBER] = chamber.model_copy(update={"layer_shift_mm": tuple(shifts)})
    return DETECTOR.model_copy(update={"chambers": tuple(chambers)})


def test_a_layer_out_of_place_is_found_though_residuals_have_no_mean() -> None:
    outcome = watched(faults.simulated(40.0, detector=moved(2, 1.0)), 0.0, reconstruct=True)
    assert outcome.first("layer shift", NAME) is not None
    others = {(check, NAME) for check in ("hit resolution", "wrong hits", "segments", "velocity")}
    layers = {("layer efficiency", f"{NAME} layer {layer}") for layer in range(4)}
    assert outcome.wrong({("layer shift", NAME), *others, *layers}) == []


def test_a_drift_velocity_is_judged_by_segments_where_there_is_no_scintillator() -> None:
    words = faults.simulated(40.0, detector=faults.slower(DETECTOR))
    fields, scintillator = decode(words), DETECTOR.scintillators[0]
    without = words[(fields.fpga != scintillator.board) | (fields.channel != scintillator.channel)]
    outcome = watched(without, 0.0, reconstruct=True)
    assert outcome.first("velocity", NAME) is not None


@pytest.mark.parametrize(("crossed_s", "level"), [(10.0, Level.MEDIUM), (200.0, Level.GOOD)])
def test_where_chance_lasts_a_velocity_has_to_stand_out_more(crossed_s: float, level: Level) -> None:
    speed = CATALOGUE.detector.chambers[3].drift_velocity_um_per_ns * 1.0065
    found = judge_timing(CATALOGUE, {}, {3: (speed, 0.0018 * speed)}, crossed_s)
    assert {f.subject: f.level for f in found if f.check == "velocity"}[CATALOGUE.detector.chambers[3].name] is level


def test_fewer_segments_than_before_are_a_change() -> None:
    nothing = CATALOGUE.zeros()
    levels = [
        next(
            f for f in judge_muons(CATALOGUE, 0, nothing, nothing, (n, 1000.0, 0.1, 0.0)) if f.check == "segments"
        ).level
        for n in (1000, 850, 500, 100)
    ]
    assert levels == [Level.GOOD, Level.GOOD, Level.MEDIUM, Level.BAD]
