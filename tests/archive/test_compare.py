"""Equal runs do not differ, different ones do, and the numbers are those of the formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from archived_runs import counted
from hypothesis import given
from hypothesis import strategies as st

from muonstream.archive.compare import CompareError, chi2_of_shapes, compare, differences, sigma_of
from muonstream.archive.people import Flag, good_times
from muonstream.archive.quantities import Quantity
from muonstream.detector.model import Detector


def test_a_run_does_not_differ_from_itself() -> None:
    scalars, shapes = compare(counted(1), counted(1))
    assert {d.sigma for d in scalars} <= {None, 0.0}
    assert all(shape.chi2 == 0 for shape in shapes)


def test_two_runs_of_one_detector_differ_by_chance_only() -> None:
    # the cells of another simulated telescope have other rates
    scalars, shapes = compare(counted(1), counted(1, part=1))
    assert max(abs(d.sigma) for d in scalars if d.sigma is not None) < 5
    assert max(shape.sigma for shape in shapes) < 5


def test_a_dead_row_comes_first() -> None:
    snapshot = counted(2)
    total = snapshot.total.copy()
    snapshot.catalogue.cells_of(total, "counts", 2)[10:14] = 0
    _, shapes = compare(counted(1), replace(snapshot, total=total))
    assert (shapes[0].name, shapes[0].subject) == ("Hits by cell", "Chamber 3")
    assert shapes[0].sigma > 10


def test_other_chambers_are_refused() -> None:
    detector = Detector.default()
    other = detector.model_copy(update={"chambers": detector.chambers[:2]})
    from muonstream.counting.catalogue import Catalogue

    with pytest.raises(CompareError, match="found runs of other chambers"):
        compare(counted(1), replace(counted(2), detector=other, catalogue=Catalogue(other)))


def test_differences_are_in_standard_deviations() -> None:
    one = [Quantity("a", 10.0, "Hz", 3.0), Quantity("b", 1.0), Quantity("only here", 1.0)]
    other = [Quantity("b", 2.0), Quantity("a", 20.0, "Hz", 4.0)]
    assert [(d.name, d.sigma) for d in differences(one, other)] == [("a", -2.0), ("b", None)]


@given(st.integers(1, 1000), st.floats(0.2, 5.0), st.integers(2, 60))
def test_chi2_of_two_samples_of_one_shape_is_what_chance_gives(seed: int, ratio: float, bins: int) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.random(bins) * 300 + 5
    one, other = rng.poisson(shape), rng.poisson(shape * ratio)
    chi2, degrees = chi2_of_shapes(one, other)
    assert degrees <= bins - 1
    assert abs(sigma_of(chi2, degrees)) < 6


@pytest.mark.parametrize(("chi2", "degrees", "sigma"), [(100.0, 100, 0.047), (0.0, 0, 0.0), (150.0, 100, 3.08)])
def test_chi2_as_standard_deviations(chi2: float, degrees: int, sigma: float) -> None:
    assert sigma_of(chi2, degrees) == pytest.approx(sigma, abs=0.12)
    assert math.isfinite(sigma_of(chi2, degrees))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(1, 20), st.sampled_from(["bad", "limited"]), st.sampled_from(["", "A", "B"])
        ),
        max_size=6,
    )
)
def test_good_times_are_the_seconds_that_no_flag_calls_bad(flags: list[tuple[int, int, str, str]]) -> None:
    made = [Flag(effect, part=part, from_s=float(at), to_s=float(at + n)) for at, n, effect, part in flags]
    good = good_times(made, 30.0, part="A")
    seconds = {s for begin, end in good for s in range(int(begin), int(end))}
    bad = {s for at, n, effect, part in flags if effect == "bad" and part != "B" for s in range(at, at + n)}
    assert seconds == set(range(30)) - bad


def test_what_is_bad_for_a_chamber_is_bad_for_its_cells_and_not_the_other_way_round() -> None:
    chamber, cell = (Flag("bad", part=part, from_s=1.0, to_s=2.0) for part in ("Chamber 2", "Chamber 2 cell 5"))
    without, whole = [(0.0, 1.0), (2.0, 3.0)], [(0.0, 3.0)]
    assert good_times([chamber], 3.0, part="Chamber 2 cell 5") == without
    assert good_times([cell], 3.0, part="Chamber 2 cell 5") == without
    assert good_times([cell], 3.0, part="Chamber 2") == whole
    assert good_times([chamber], 3.0, part="Chamber 22") == whole
