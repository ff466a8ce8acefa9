"""Each kind of fault of a read-out is said, with its place; words without a fault bring none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from survey_faults import FAULTS, Fault, good_words
from test_survey import DETECTOR, digested, odd_words

from muonstream.survey.remarks import percent, remarks, seconds, spans
from muonstream.words import Words


def said(words: Words) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in remarks(digested(words))]


@pytest.mark.parametrize("seed", range(4))
def test_words_without_a_fault_bring_no_remark(seed: int) -> None:
    assert said(good_words(seed)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_fault_is_said(fault: Fault, seed: int) -> None:
    lines = said(fault.make(good_words(seed)))
    assert fault.in_remarks(lines), lines


@given(odd_words())
def test_any_words_bring_lines_with_the_worst_first(words: Words) -> None:
    lines = said(words)
    assert all("\n" not in text and text for _, text in lines)
    ranks = [("bad", "odd", "note").index(level) for level, _ in lines]
    assert ranks == sorted(ranks)


def test_known_dead_cells_are_not_called_silent() -> None:
    chamber = DETECTOR.chambers[0].model_copy(update={"dead_cells": (17,)})
    detector = DETECTOR.model_copy(update={"chambers": (chamber, *DETECTOR.chambers[1:])})
    words = good_words()
    without = words[(words >> 49) & 4095 != 17]
    assert "Chamber 1: no hit in cell 17" in [text for _, text in said(without)]
    assert [one.text for one in remarks(digested(without, detector=detector))] == []
    assert any(
        "dead by the detector file, but with hits" in one.text for one in remarks(digested(words, detector=detector))
    )


def test_many_unknown_channels_of_a_board_are_one_line() -> None:
    lines = [text for _, text in said(good_words() + np.uint64(256 << 49)) if "not in the detector file" in text]
    assert len(lines) == 2
    assert lines[0].startswith("board 0: ")
    assert lines[0].endswith("(100 %) on 129 channels not in the detector file: 256 to 383, 394")


@given(st.floats(0, 1))
def test_a_share_that_is_there_is_not_shown_as_none_or_all(share: float) -> None:
    text = percent(share)
    assert (text == "0 %") == (share == 0)
    assert (text == "100 %") == (share == 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (0.365, "365 ms"),
        (1.5, "1.5 s"),
        (210.06, "210 s"),
        (5400, "5,400 s"),
        (14800, "4.11 h"),
        (344748, "3.99 d"),
    ],
)
def test_durations_have_a_unit_that_fits(value: float, text: str) -> None:
    assert seconds(value) == text


def test_numbers_as_ranges() -> None:
    assert spans([3, 9, 7, 8]) == "3, 7 to 9"
