"""A suggested detector file loads, and names the channels that were seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from survey_faults import FAULTS, good_words
from test_survey import DETECTOR, digested, odd_words

from muonstream.detector.model import BoardChannel, Chamber, Detector, parse
from muonstream.simulation.telescope import simulate_words
from muonstream.survey.suggestion import fits, suggest


def chamber(number: int, board: int, first_channel: int, cells_per_layer: int = 16) -> Chamber:
    return Chamber(
        number=number,
        name=f"Chamber {number}",
        board=board,
        first_channel=first_channel,
        cells_per_layer=cells_per_layer,
        layer_of_channel=(0, 2, 1, 3),
        layer_shift_mm=(0.0, 21.0, 0.0, 21.0),
        z_mm=300.0 * number,
    )


OTHER_DETECTORS = (
    Detector(name="one board", chambers=(chamber(1, 0, 0), chamber(2, 0, 64))),
    Detector(
        name="shifted",
        chambers=(chamber(1, 2, 32), chamber(2, 3, 96)),
        triggers=(BoardChannel(board=2, channel=200), BoardChannel(board=3, channel=200)),
        scintillators=(BoardChannel(board=3, channel=240),),
    ),
    Detector(name="wide", chambers=tuple(chamber(k + 1, k // 2, 192 * (k % 2), 32) for k in range(4))),
    Detector(name="small", chambers=(chamber(1, 6, 16, 8), chamber(2, 7, 448, 16))),
)


@pytest.mark.parametrize("detector", OTHER_DETECTORS, ids=lambda one: one.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_words_of_another_detector_fit_the_suggested_file(detector: Detector, seed: int) -> None:
    words = simulate_words(60_000, detector=detector, seed=seed)
    suggestion = suggest(digested(words), DETECTOR)
    assert suggestion.toml or detector.name == "one board"
    found = parse(suggestion.toml, "suggested.toml")
    again = digested(words, detector=found)
    assert again.unknown() == []
    assert again.missing_boards == ()
    assert suggest(again, found).toml == ""
    assert {(one.board, one.channel) for one in found.triggers} == {(t.board, t.channel) for t in detector.triggers}
    expected = {(one.board, one.channel) for one in detector.scintillators}
    assert {(one.board, one.channel) for one in found.scintillators} == expected


def test_a_known_trigger_in_the_middle_of_active_channels_is_a_cell() -> None:
    detector = Detector(name="in the middle", chambers=(chamber(1, 0, 0), chamber(2, 0, 64), chamber(3, 0, 128)))
    words = simulate_words(60_000, detector=detector)
    found = parse(suggest(digested(words), DETECTOR).toml, "suggested.toml")
    assert [(one.first_channel, one.cells) for one in found.chambers] == [(0, 64), (64, 64), (128, 64)]
    assert found.triggers == ()


def test_a_file_that_fits_brings_no_suggestion() -> None:
    found = digested(good_words())
    assert fits(found)
    assert suggest(found, DETECTOR).toml == ""


def test_chambers_that_are_known_keep_what_is_known_of_them() -> None:
    words = good_words()
    board = (words >> np.uint64(58)) & np.uint64(7)
    found = parse(suggest(digested(words[board == 0]), DETECTOR).toml, "suggested.toml")
    assert found.boards == (0,)
    assert [one.time_offset_ns for one in found.chambers] == [one.time_offset_ns for one in DETECTOR.chambers[:2]]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_whatever_is_suggested_loads(fault: object) -> None:
    words = fault.make(good_words())  # type: ignore[attr-defined]
    suggestion = suggest(digested(words), DETECTOR)
    if suggestion.toml:
        parse(suggestion.toml, "suggested.toml")


@given(odd_words(), st.integers(0, 7))
def test_any_words_bring_a_file_that_loads_or_none(words: np.ndarray, board: int) -> None:
    moved = words ^ np.uint64(board << 58)
    suggestion = suggest(digested(moved), DETECTOR)
    if suggestion.toml:
        parse(suggestion.toml, "suggested.toml")
