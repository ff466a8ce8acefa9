from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.geometry import from_frame, middle_mm, to_frame
from muonstream.detector.model import Detector

CHAMBER = Detector.default().chambers[0]


@given(
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.sampled_from([0.0, 90.0, 180.0, 270.0, -90.0]),
    st.floats(-5, 5),
    st.floats(-20, 20),
)
def test_lines_come_back_from_a_chambers_frame(
    x: float, y: float, tan_x: float, tan_y: float, rotation: float, tilt: float, shift: float
) -> None:
    chamber = CHAMBER.model_copy(update={"rotation_deg": rotation, "tilt_deg": tilt, "x_mm": shift})
    arrays = [np.array([value]) for value in (x, y, tan_x, tan_y)]
    position, slope, _ = to_frame(chamber, 1500.0, *arrays)
    across, tan = from_frame(chamber, position, slope)
    fall = 1500.0 - middle_mm(chamber)
    wanted = (y + tan_y * fall, tan_y) if chamber.view == "y" else (x + tan_x * fall, tan_x)
    assert (across[0], tan[0]) == pytest.approx(wanted, abs=1e-6)


def test_a_tilted_chamber_sees_that_much_less_of_an_angle() -> None:
    chamber = CHAMBER.model_copy(update={"tilt_deg": 10.0})
    level = np.zeros(1)
    _, slope, _ = to_frame(chamber, 0.0, level, level, np.tan(np.radians([30.0])), level)
    assert np.degrees(np.arctan(slope[0])) == pytest.approx(20.0)
