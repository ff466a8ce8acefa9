from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from muonstream.picture import histogram_svg


def test_a_picture_is_svg_with_what_it_shows() -> None:
    edges, counts = np.linspace(-2, 2, 41), np.arange(40.0)
    text = histogram_svg("a < b", "x (mm)", edges, counts, curve=counts, others={"run": counts / 2}, note="n & m")
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"a < b", "x (mm)", "run", "n & m", "0", "20"} <= set(words)
    lines = [element.get("points", "") for element in root.iter() if element.tag.endswith("polyline")]
    assert [len(points.split()) for points in lines] == [80, 80, 40]


def test_an_empty_histogram_can_be_drawn() -> None:
    ElementTree.fromstring(histogram_svg("none", "x", np.arange(5.0), np.zeros(4)))
