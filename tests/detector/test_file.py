from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.file import detector_toml
from muonstream.detector.model import Detector, parse


def test_bundled_detectors_come_back() -> None:
    for name in Detector.bundled():
        detector = Detector.load(name)
        assert parse(detector_toml(detector), name) == detector


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn", "Co", "Cf"]), min_size=1, max_size=60),
    st.floats(-1000, 1000),
    st.booleans(),
)
def test_names_and_numbers_come_back(name: str, number: float, dead: bool) -> None:
    if not name.isprintable():
        return
    number = round(number, 6)
    base = Detector.default()
    first = base.chambers[0].model_copy(
        update={"name": name, "x_mm": number, "tilt_deg": number / 100, "dead_cells": (3,) if dead else ()}
    )
    detector = base.model_copy(update={"chambers": (first, *base.chambers[1:]), "description": name})
    again = parse(detector_toml(detector, remarks=["one\ntwo"], chamber_remarks={1: ["three"]}), "test")
    assert again.chambers[0].name == name
    assert again.description == name
    assert abs(again.chambers[0].x_mm - number) < 1e-6
    assert abs(again.chambers[0].tilt_deg - number / 100) < 1e-6
    assert again.chambers[0].dead_cells == first.dead_cells


def test_remarks_are_comments() -> None:
    text = detector_toml(Detector.default(), remarks=["one\ntwo"], chamber_remarks={1: ["three"]})
    assert text.startswith("# one\n# two\n\nname")
    assert "# three\n[[chambers]]\nnumber = 1\n" in text
