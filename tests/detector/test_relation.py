"""The relation of drift time and distance: as its table says, there and back, and refused when it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from muonstream.detector.file import detector_toml
from muonstream.detector.geometry import distance_mm
from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.detector.relation import DriftRelation

RELATION = DriftRelation(
    time_ns=(0.0, 20.0, 80.0, 200.0, 385.0),
    add_mm=(0.05, 0.1, -0.02, 0.04, -0.3),
    add_tan_mm=(-0.1, -0.5, 0.7, -0.1, -0.2),
    t0_tan_ns=6.0,
)
PLAIN = Detector.default()
FIRST = PLAIN.chambers[0].model_copy(update={"drift": RELATION})


def with_first(**values: object) -> Detector:
    return PLAIN.model_copy(update={"chambers": (PLAIN.chambers[0].model_copy(update=values), *PLAIN.chambers[1:])})


def test_it_is_straight_between_the_times_of_the_table_and_constant_beyond() -> None:
    times = np.array([-30.0, 0.0, 10.0, 20.0, 140.0, 385.0, 600.0])
    f0, f1 = (np.interp(times, RELATION.time_ns, one) for one in (RELATION.add_mm, RELATION.add_tan_mm))
    for tan in (0.0, -0.5, 1.5):
        assert RELATION.added_mm(times, np.array(tan)) == pytest.approx(f0 + abs(tan) * f1, abs=1e-6)
    # steeper ones are taken to be as steep as segments may be
    assert RELATION.added_mm(times, np.array(5.0)) == pytest.approx(f0 + 2 * f1, abs=1e-6)
    assert distance_mm(FIRST, times, np.array(0.0)) == pytest.approx(0.0538 * times + f0, abs=1e-6)
    assert np.array_equal(distance_mm(PLAIN.chambers[0], times, np.array(3.0)), times * 0.0538)


@pytest.mark.parametrize("tan", [0.0, 0.33, -0.9])
def test_the_time_of_a_distance_is_the_first_at_which_it_is_reached(tan: float) -> None:
    distances = np.linspace(0.6, 20.5, 300)
    slopes = np.full(300, tan)
    times = RELATION.drift_ns(distances, slopes, 0.0538)
    assert distance_mm(FIRST, times, slopes) == pytest.approx(distances, abs=0.012)
    fine = np.arange(0, 450, 0.01)
    reached = distance_mm(FIRST, fine, np.array(tan))
    for distance, time in zip(distances[::30], times[::30], strict=True):
        assert time == pytest.approx(fine[np.argmax(reached >= distance)], abs=0.6)


def test_a_detector_without_it_is_identified_as_before() -> None:
    plain = PLAIN.model_dump_json()
    assert 'drift"' not in plain
    assert "cell_time_offset_ns" not in plain
    both = with_first(drift=RELATION, cell_time_offset_ns=tuple(np.linspace(-3, 3, 64).round(3).tolist()))
    assert Detector.model_validate_json(both.model_dump_json()) == both
    assert parse(detector_toml(both), "test") == both


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("time_ns = [0, 9]\nadd_mm = [0, 0]", "chambers[0].drift.add_tan_mm: found nothing, expected 2 to 64 numbers"),
        ("time_ns = [0, 9]\nadd_mm = [0]\nadd_tan_mm = [0, 0]", "chambers[0].drift.add_mm: found [0], expected 2 to"),
        (
            "time_ns = [0, 9]\nadd_mm = [0, 0, 0]\nadd_tan_mm = [0, 0]",
            "chambers[0].drift.add_mm: found 3 numbers, expected one for each of the 2 times",
        ),
        (
            "time_ns = [9, 9]\nadd_mm = [0, 0]\nadd_tan_mm = [0, 0]",
            "chambers[0].drift.time_ns: found 9 after 9, expected times that rise by 1 ns or more",
        ),
        (
            "time_ns = [0, 9]\nadd_mm = [0, 0]\nadd_tan_mm = [0, 0]\nt0_tan_ns = 200",
            "chambers[0].drift.t0_tan_ns: found 200, expected -100 to 100",
        ),
        (
            "time_ns = [0, 9]\nadd_mm = [0, -2]\nadd_tan_mm = [0, 0]",
            "chambers[0].drift.add_mm: found a distance that falls after 0 ns, expected one that rises with time",
        ),
        ("knots = 3", "chambers[0].drift.knots: found a key that is not known, expected time_ns, add_mm"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line_a_fault(table: str, line: str) -> None:
    text = detector_toml(PLAIN.model_copy(update={"chambers": PLAIN.chambers[:1], "boards": (0, 1)}))
    with pytest.raises(DetectorError) as refused:
        parse(f"{text}\n[chambers.drift]\n{table}\n", "test.toml")
    assert any(line in one for one in str(refused.value).splitlines()), str(refused.value)


def test_times_of_cells_are_one_a_cell() -> None:
    text = detector_toml(with_first(cell_time_offset_ns=(1.0, 2.0)))
    with pytest.raises(
        DetectorError, match=r"cell_time_offset_ns: found 2 numbers, expected one a cell \(64\) or none"
    ):
        parse(text, "test.toml")
