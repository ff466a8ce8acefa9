from __future__ import annotations

import numpy as np
import pytest
from test_builder import hits

from muonstream.framing.builder import FrameBuilder
from muonstream.framing.remarks import LateInput, counter_bits, late_remarks, short_counter_remark
from muonstream.words import Words


def turning(bits: int, n: int, step: int) -> Words:
    """n hits of two boards in turn whose orbit counter has few bits."""
    orbits = (step * np.arange(n)) & ((1 << bits) - 1)
    return np.where(np.arange(n) % 2 == 0, hits(orbits), hits(orbits, 1))


def remarks_of(words: Words) -> list[str]:
    builder = FrameBuilder((0, 1))
    builder.push(words)
    builder.finish()
    assert builder.counts.late == builder.counts.stray == builder.counts.held == 0
    return builder.remarks()


@pytest.mark.parametrize("bits", [8, 9, 10, 11, 12, 13, 14, 16, 18])
def test_a_narrow_orbit_counter_is_named(bits: int) -> None:
    [line] = remarks_of(turning(bits, max(10_000, (5 << bits) // 7), 3 if bits < 14 else 7))
    assert line.startswith(f"the orbit counter seems to have {bits} bits: it fell ")
    assert f"never above {(1 << bits) - 1:,}" in line


@pytest.mark.parametrize("lengths", [[2000], [2000, 900], [500, 3000, 1700, 2500], [1000] * 6])
def test_a_healthy_counter_that_is_reset_some_times_is_not(lengths: list[int]) -> None:
    assert remarks_of(np.concatenate([turning(32, n, 31) for n in lengths])) == []


def test_falls_from_anywhere_are_no_counters_end() -> None:
    assert counter_bits(1, 3, 3) is None
    assert counter_bits(5, 1, 3) is None
    assert counter_bits(2, 3, 3) == 12
    assert counter_bits(9, 50, 63) == 16
    assert counter_bits(3, 50, 63) is None
    assert counter_bits(3, (1 << 22) - 1, (1 << 22) - 1) is None
    assert short_counter_remark(700, 3) is None


def test_late_words_come_with_what_to_set() -> None:
    late = [LateInput(0, 1, 346, 6.4), LateInput(0, 0, 1, 0.1)]
    first, second = late_remarks(late, 1, 5.0)
    assert first.startswith("board 1: 346 words came up to 6.4 s after the others and were late; ")
    assert "--idle-seconds 13" in first
    assert "--together" in first
    assert second == "board 0: 1 word came up to 0.1 s after the others and were late"
    assert late_remarks(late, 1, 5.0, damaged=True)[0].endswith(
        "were late; their times may be wrong, since data are damaged"
    )
    assert late_remarks([LateInput(3, 1, 2, 0.1)], 2, 5.0)[0].startswith("board 1 of source 3: ")
