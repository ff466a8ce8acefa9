from __future__ import annotations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.level import Level
from muonstream.detector.model import Detector, parse
from muonstream.verdicts.echoes import judge_echoes
from muonstream.verdicts.findings import Finding

TELESCOPE = Catalogue(Detector.default())
CHAMBER = 1
NAME = TELESCOPE.detector.chambers[CHAMBER].name
FIRST = int(TELESCOPE.channel_map.cell_base[CHAMBER])
LONG = 10_000_000
"""Orbits in which chance brings hardly any pairs."""
ONE_LAYER = Catalogue(
    parse(
        """
        name = "one layer"
        [[chambers]]
        number = 1
        name = "Flat"
        board = 0
        first_channel = 0
        layers = 1
        cells_per_layer = 6
        layer_of_channel = [0]
        layer_shift_mm = [0.0]
        z_mm = 0.0
        """,
        "flat.toml",
    )
)


def counts(hits: int = 1000, orbits: int = LONG) -> Counts:
    data = TELESCOPE.zeros()
    TELESCOPE.view(data, "pair_hits")[FIRST : FIRST + 64] = hits
    TELESCOPE.view(data, "pair_orbits")[0] = orbits
    return data


def found(data: Counts, catalogue: Catalogue = TELESCOPE, chamber: int = CHAMBER) -> dict[tuple[str, str], Finding]:
    said = list(judge_echoes(catalogue, data, chamber))
    by_key = {one.key: one for one in said}
    assert len(by_key) == len(said)
    return by_key


@pytest.mark.parametrize("hits", [0, 99])
def test_too_few_hits_say_nothing(hits: int) -> None:
    assert [(one.check, one.level) for one in found(counts(hits)).values()] == [
        ("afterpulses", Level.NULL),
        ("crosstalk", Level.NULL),
    ]


def test_a_chamber_of_known_dead_cells_only_has_too_few_hits() -> None:
    detector = TELESCOPE.detector
    chambers = list(detector.chambers)
    chambers[CHAMBER] = chambers[CHAMBER].model_copy(update={"dead_cells": tuple(range(64))})
    catalogue = Catalogue(detector.model_copy(update={"chambers": tuple(chambers)}))
    assert {one.level for one in found(counts(), catalogue).values()} == {Level.NULL}


def test_without_pairs_all_is_good() -> None:
    said = found(counts(100))
    assert {key: one.level for key, one in said.items()} == {
        ("afterpulses", NAME): Level.GOOD,
        ("crosstalk", NAME): Level.GOOD,
    }
    assert said["crosstalk", NAME].reason == "no pair of cells share most, 0.0% of their hits more than pairs alike"


@pytest.mark.parametrize(
    ("share", "level"), [(0.07, Level.GOOD), (0.09, Level.MEDIUM), (0.14, Level.MEDIUM), (0.16, Level.BAD)]
)
def test_afterpulses_of_a_whole_chamber_are_no_single_cells(share: float, level: Level) -> None:
    data = counts()
    TELESCOPE.view(data, "pair_after")[FIRST : FIRST + 64] = round(1000 * share)
    said = found(data)
    assert said["afterpulses", NAME].level is level
    assert said["afterpulses", NAME].value == pytest.approx(share, abs=0.002)
    assert {check for check, _ in said} == {"afterpulses", "crosstalk"}


@pytest.mark.parametrize(("after", "level"), [(150, None), (160, Level.MEDIUM), (310, Level.BAD)])
def test_an_afterpulsing_cell_is_named_and_left_out_of_its_chambers_mean(after: int, level: Level | None) -> None:
    data = counts()
    TELESCOPE.view(data, "pair_after")[FIRST : FIRST + 64] = 30
    TELESCOPE.view(data, "pair_after")[FIRST + 9] = after
    said = found(data)
    cell = said.get(("afterpulsing cell", f"{NAME} cell 9"))
    assert (cell and cell.level) == level
    mean = 0.03 if cell else 0.03 + (after - 30) / 64_000
    assert said["afterpulses", NAME].value == pytest.approx(mean, abs=1e-4)


def test_a_cell_with_few_hits_is_not_judged() -> None:
    data = counts()
    for name, n in (("pair_hits", 99), ("pair_after", 99)):
        TELESCOPE.view(data, name)[FIRST + 9] = n
    TELESCOPE.view(data, "pair_next")[0, FIRST + 9] = 99
    assert {check for check, _ in found(data)} == {"afterpulses", "crosstalk"}


def test_what_chance_brings_is_no_echo() -> None:
    """A million hits in a second: 60 % of them are followed by another of their cell within 600 ns."""
    data = counts(1_000_000, round(1 / 89.1e-6))
    TELESCOPE.view(data, "pair_after")[FIRST : FIRST + 64] = 600_000
    TELESCOPE.view(data, "pair_next")[0, FIRST : FIRST + 64] = 20_000
    said = found(data)
    assert set(said) == {("afterpulses", NAME), ("crosstalk", NAME)}
    assert said["afterpulses", NAME].value == pytest.approx(0, abs=0.001)
    assert said["crosstalk", NAME].value == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(("kind", "distance"), [(0, 1), (1, 4)])
@pytest.mark.parametrize(("together", "level"), [(90, None), (120, Level.MEDIUM), (300, Level.BAD)])
def test_crosstalk_is_between_neighbours_by_channel_and_in_the_layer(
    kind: int, distance: int, together: int, level: Level | None
) -> None:
    data = counts()
    TELESCOPE.view(data, "pair_next")[kind, FIRST + 20] = together
    said = found(data)
    pair = said.get(("crosstalking cells", f"{NAME} cells 20 and {20 + distance}"))
    assert (pair and pair.level) == level
    assert said["crosstalk", NAME].level is Level.GOOD
    assert said["crosstalk", NAME].value == pytest.approx(together / 1000, abs=1e-3)
    assert said["crosstalk", NAME].reason.startswith(f"cells 20 and {20 + distance} share most")


def test_pairs_that_lie_alike_share_what_muons_bring() -> None:
    """Where wires are a muon's path apart, 40 % of the hits come together, in every such pair."""
    data = counts()
    TELESCOPE.view(data, "pair_next")[0, FIRST : FIRST + 64 : 4] = 400
    said = found(data)
    assert set(said) == {("afterpulses", NAME), ("crosstalk", NAME)}
    assert said["crosstalk", NAME].value == 0


def test_the_quieter_of_two_neighbours_is_what_counts() -> None:
    data = counts(10_000)
    TELESCOPE.view(data, "pair_hits")[FIRST + 20] = 200
    TELESCOPE.view(data, "pair_next")[0, FIRST + 20] = 150
    pair = found(data)["crosstalking cells", f"{NAME} cells 20 and 21"]
    assert pair.value == pytest.approx(0.75, abs=0.01)


def test_of_one_layer_the_next_channel_is_the_next_cell_and_said_once() -> None:
    data = ONE_LAYER.zeros()
    ONE_LAYER.view(data, "pair_hits")[:6] = 1000
    ONE_LAYER.view(data, "pair_orbits")[0] = LONG
    ONE_LAYER.view(data, "pair_next")[:, 2] = 300
    assert ("crosstalking cells", "Flat cells 2 and 3") in found(data, ONE_LAYER, 0)


def test_other_chambers_are_left_alone() -> None:
    data = counts()
    TELESCOPE.view(data, "pair_after")[:] = 300
    TELESCOPE.view(data, "pair_after")[FIRST : FIRST + 64] = 0
    assert np.array_equal(list(found(data)), [("afterpulses", NAME), ("crosstalk", NAME)])
