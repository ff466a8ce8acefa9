from __future__ import annotations

import faults
import numpy as np
import pytest
from faults import watched

from muonstream.analysis.findings import Level
from muonstream.analysis.histograms import Catalogue
from muonstream.analysis.muon_quality import judge_muons
from muonstream.detector import Detector

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


@pytest.mark.parametrize(("shift", "mean"), [(0, Level.GOOD), (10, Level.MEDIUM), (20, Level.BAD)])
def test_residuals_are_judged_by_mean_and_width(shift: int, mean: Level) -> None:
    counts = CATALOGUE.zeros()
    residuals = CATALOGUE.view(counts, "residual_unbiased")[1]
    residuals[101 + shift - 10 : 101 + shift + 10] = 100
    levels = {f.check: f.level for f in judge_muons(CATALOGUE, 1, counts, counts, None)}
    assert (levels["residual mean"], levels["residual width"]) == (mean, Level.GOOD)
    residuals[1:-1] = 100
    levels = {f.check: f.level for f in judge_muons(CATALOGUE, 1, counts, counts, None)}
    assert (levels["residual mean"], levels["residual width"]) == (Level.GOOD, Level.BAD)


def test_fewer_segments_than_before_are_a_change() -> None:
    nothing = CATALOGUE.zeros()
    levels = [
        next(f for f in judge_muons(CATALOGUE, 0, nothing, nothing, (n, 1000.0, 0.1)) if f.check == "segments").level
        for n in (1000, 850, 500, 100)
    ]
    assert levels == [Level.GOOD, Level.GOOD, Level.MEDIUM, Level.BAD]
