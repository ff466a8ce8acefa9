from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator, Contribution
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.monitor import Intake, Monitor
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.words import NS_PER_TDC

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR)
KERNEL = Accumulator(CATALOGUE)


def windows() -> Frames:
    builder = FrameBuilder(DETECTOR.boards)
    words = simulate_words(30_000, DETECTOR, rate_hz=5000.0, seed=8)
    return Frames.join([builder.push(words), builder.finish()])


FRAMES = windows()


def merged(order: list[Contribution]) -> dict[str, object]:
    monitor = Monitor(CATALOGUE)
    for contribution in order:
        monitor.add(contribution)
    found = summary(monitor.snapshot(Intake(words=len(FRAMES.words)), state="ended"))
    return {key: value for key, value in found.items() if "wall" not in key}


WHOLE = merged([KERNEL(FRAMES)])


@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(1, len(FRAMES) - 1), max_size=12), random=st.randoms(use_true_random=False))
def test_however_windows_are_grouped_and_in_whatever_order_the_sum_is_the_same(cuts: set[int], random: object) -> None:
    edges = [0, *sorted(cuts), len(FRAMES)]
    parts = [
        KERNEL(
            Frames(
                FRAMES.words[FRAMES.starts[a] : FRAMES.starts[b]],
                FRAMES.starts[a : b + 1] - FRAMES.starts[a],
                FRAMES.keys[a:b],
            )
        )
        for a, b in pairwise(edges)
    ]
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert merged(parts) == WHOLE


def test_nothing_is_the_zero_of_the_sum() -> None:
    nothing = KERNEL(Frames.empty())
    assert not nothing.total.any()
    assert merged([nothing, KERNEL(FRAMES), nothing]) == WHOLE


def test_every_entry_has_its_own_place_and_they_fill_the_array() -> None:
    taken = np.zeros(CATALOGUE.size, dtype=np.int64)
    for name in CATALOGUE.entries:
        CATALOGUE.view(taken, name)[...] += 1
    assert (taken == 1).all()


def test_hists_have_the_counts_the_axes_and_the_units() -> None:
    pytest.importorskip("hist")
    total = KERNEL(FRAMES).total
    hists = CATALOGUE.hists(total)
    assert set(hists) == set(CATALOGUE.entries)
    for name, entry in CATALOGUE.entries.items():
        found, values = hists[name], CATALOGUE.view(total, name)
        inside = found.view(flow=entry.axis.flow)
        assert (inside == values).all()
        edges = found.axes[-1].edges
        ns = NS_PER_TDC if entry.axis.unit == "TDC counts" else 1.0
        assert edges[0] == entry.axis.start * ns
        assert np.isclose(edges[-1], (entry.axis.start + entry.axis.bins * entry.axis.step) * ns)
        if entry.axis.unit:
            assert ("ns" if entry.axis.unit == "TDC counts" else entry.axis.unit) in found.axes[-1].label
        assert found.label == entry.title
    assert list(hists["drift_tdc"].axes["chamber"]) == [chamber.name for chamber in DETECTOR.chambers]
    assert list(hists["drift_layer"].axes["layer"])[5] == "Chamber 2, layer 1"


def test_words_by_kind_add_up_to_all_words() -> None:
    assert sum(CATALOGUE.words_by_kind(KERNEL(FRAMES).total).values()) == len(FRAMES.words)


def test_drift_times_are_in_the_courses_bins_by_the_courses_own_arithmetic() -> None:
    total = KERNEL(FRAMES).total
    for chamber, room in enumerate(DETECTOR.chambers):
        raw = CATALOGUE.view(total, "drift_tdc")[chamber, 1:-1]
        edges, counts = CATALOGUE.course_histograms(total, chamber)["hist_4"]
        axis = CATALOGUE.entries["drift_tdc"].axis
        expected = np.zeros(len(edges), dtype=np.int64)
        for tdc, n in zip(axis.start + np.arange(len(raw)), raw.tolist(), strict=True):
            drift_ns = tdc * 25 / 30 + room.time_offset_ns
            if 0 <= drift_ns < edges[-1] + edges[1]:
                expected[int(drift_ns // (edges[1] - edges[0]))] += n
        assert counts.sum() > 0
        assert (counts == expected).all()
