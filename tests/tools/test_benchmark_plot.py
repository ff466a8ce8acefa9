from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.plot import HEIGHT, WIDTH, lines_svg, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("logarithmic", [False, True])
def test_points_lie_inside_and_in_order(logarithmic: bool) -> None:
    series = {"a < b": [(1.0, 2.0), (10.0, 30.0), (100.0, 31.0)], "c": [(5.0, 1.0)]}
    text = lines_svg("Rates & more", "words", "seconds", series, logarithmic=logarithmic)
    assert text == lines_svg("Rates & more", "words", "seconds", series, logarithmic=logarithmic)
    root = ElementTree.fromstring(text)
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]
    assert len(circles) == 4
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in circles)
    xs, ys = [x for x, _ in circles[:3]], [y for _, y in circles[:3]]
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)
    assert {"a < b", "c", "words", "seconds"} <= {element.text for element in root.iter(f"{SVG}text")}


def test_ticks_are_round() -> None:
    assert ticks(0, 22, logarithmic=False) == [0, 5, 10, 15, 20]
    assert ticks(0.7, 150, logarithmic=True) == [1, 10, 100]


def test_nothing_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="expected numbers above 0"):
        lines_svg("Empty", "x", "y", {})
