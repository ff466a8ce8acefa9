from __future__ import annotations

import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import GIVEN_UP, GIVEN_UP_SEGMENTS, SEGMENTS
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.crowding import judge_crowding

CATALOGUE = Catalogue(Detector.default(), muons=True)
CHAMBER = CATALOGUE.detector.chambers[1]
FIRST = int(CATALOGUE.channel_map.cell_base[1])


def test_nothing_is_said_where_nothing_was_given_up() -> None:
    assert list(judge_crowding(CATALOGUE, CATALOGUE.zeros())) == []


@pytest.mark.parametrize(("given_up", "level"), [(1, Level.GOOD), (3000, Level.MEDIUM), (900_000, Level.BAD)])
def test_hits_that_were_not_compared_are_judged_by_chamber(given_up: int, level: Level) -> None:
    counts = CATALOGUE.zeros()
    CATALOGUE.view(counts, "pair_given_up")[1] = given_up
    CATALOGUE.view(counts, "pair_hits")[FIRST] = 1_000_000 - given_up
    (found,) = judge_crowding(CATALOGUE, counts)
    assert (found.check, found.subject, found.level) == ("given up", CHAMBER.name, level)
    assert found.value == pytest.approx(given_up / 1e6)


def test_what_reconstruction_gave_up_is_named_by_kind() -> None:
    counts = CATALOGUE.zeros()
    found = CATALOGUE.view(counts, "muon_counts")
    found[[SEGMENTS, GIVEN_UP, GIVEN_UP_SEGMENTS]] = 100, 7, 1000
    CATALOGUE.cells_of(counts, "counts", 0)[3] = 10_000
    (finding,) = judge_crowding(CATALOGUE, counts)
    assert finding.subject == "Reconstruction"
    assert "7 hits, 1,000 segments" in finding.reason
    assert (finding.level, finding.value) == (Level.BAD, 1.0)
