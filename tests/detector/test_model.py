from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muonstream.detector.model import Detector, DetectorError, parse

CHAMBER = """
number = {number}
name = "{name}"
board = {board}
first_channel = {first}
layer_of_channel = [0, 2, 1, 3]
layer_shift_mm = [0, 0, 21, 21]
z_mm = 100.0
"""


def chamber(number: int = 1, board: int = 0, first: int = 0, name: str = "") -> str:
    return "[[chambers]]" + CHAMBER.format(number=number, name=name or f"room {number}", board=board, first=first)


def refusal(text: str) -> str:
    with pytest.raises(DetectorError) as caught:
        parse(text, "x.toml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("x.toml: ") for line in lines)
    return "\n".join(line.removeprefix("x.toml: ") for line in lines)


def test_a_small_file_is_a_detector() -> None:
    detector = parse('name = "t"\n' + chamber() + chamber(2, 1, 64), "x.toml")
    assert detector.boards == (0, 1)
    assert [c.cells for c in detector.chambers] == [64, 64]
    np.testing.assert_array_equal(detector.chambers[0].wire_x_mm()[:5], [21, 42, 21, 42, 63])
    np.testing.assert_array_equal(detector.chambers[0].wire_z_mm()[:4], [145.5, 119.5, 132.5, 106.5])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (chamber() + chamber(2, 0, 32), ("chambers[1].first_channel", "channels 32 to 63 of board 0", "chambers[0]")),
        (
            chamber() + "[[scintillators]]\nboard = 0\nchannel = 5\n",
            ("scintillators[0].channel", "channel 5 of board 0", "expected"),
        ),
        ("boards = [0]\n" + chamber(board=1), ("chambers[0].board", "found 1", "[0]")),
        ("boards = [0, 0]\n" + chamber(), ("boards[1]", "found 0 again", "once")),
        (chamber(board=8), ("chambers[0].board", "found 8", "0 to 7")),
        (chamber(first=-1), ("chambers[0].first_channel", "found -1", "0 to 511")),
        (chamber(first=500), ("chambers[0].first_channel", "found 500 with 64 cells", "0 to 448")),
        (chamber() + "cell_width_mm = -42\n", ("chambers[0].cell_width_mm", "found -42", "more than 0")),
        (chamber() + "cell_height_mm = 0\n", ("chambers[0].cell_height_mm", "found 0", "more than 0")),
        (chamber() + "cells_per_layer = -1\n", ("chambers[0].cells_per_layer", "found -1", "1 to 512")),
        (chamber() + "cells_per_layer = 200\n", ("chambers[0].cells_per_layer", "800 cells", "512")),
        (chamber().replace("2, 1, 3", "2, 1, 1"), ("chambers[0].layer_of_channel", "[0, 2, 1, 1]", "0 to 3")),
        (chamber().replace("21, 21]", "21]"), ("chambers[0].layer_shift_mm", "found 3", "one a layer (4)")),
        (chamber() + "dead_cells = [64]\n", ("chambers[0].dead_cells[0]", "found 64", "0 to 63")),
        (chamber() + "dead_cells = [3, 3]\n", ("chambers[0].dead_cells[1]", "found 3 again", "once")),
        (chamber() + 'x_mm = "3"\n', ("chambers[0].x_mm", "'3'", "numbers -1e+06 to 1e+06")),
        (chamber() + "x_mm = nan\n", ("chambers[0].x_mm", "nan", "-1e+06 to 1e+06")),
        (chamber() + "layers = true\n", ("chambers[0].layers", "True", "whole numbers 1 to 64")),
        (chamber() + "layers = 4.0\n", ("chambers[0].layers", "4.0", "whole numbers 1 to 64")),
        (chamber() + "colour = 1\n", ("chambers[0].colour", "not known", "cell_width_mm")),
        ("thing = 1\n" + chamber(), ("thing", "not known", "chambers")),
        (chamber() + chamber(1, 1, name="other"), ("chambers[1].number", "found 1 again", "of its own")),
        (chamber(name="a") + chamber(2, 1, name="a"), ("chambers[1].name", "'a' again", "of its own")),
        ("chambers = []\n", ("chambers", "found 0", "1 to 128")),
        ("chambers = 3\n", ("chambers", "found 3", "a list")),
        ("chambers = [3]\n", ("chambers[0]", "found 3", "a table")),
        ('estimated = ["chambers[1].z_mm"]\n' + chamber(), ("estimated[0]", "chambers[1].z_mm", "a key of this file")),
    ],
)
def test_refusals_say_the_key_what_was_found_and_what_is_allowed(text: str, words: tuple[str, ...]) -> None:
    line = refusal('name = "t"\n' + text)
    assert "\n" not in line, line
    key, *rest = words
    assert line.startswith(f"{key}: "), line
    for word in rest:
        assert word in line


def test_every_fault_has_its_line() -> None:
    text = refusal('name = ""\n' + chamber(board=9) + "layers = 0\n")
    assert [line.split(":")[0] for line in text.splitlines()] == ["name", "chambers[0].board", "chambers[0].layers"]


def test_missing_keys_and_broken_toml_are_named() -> None:
    assert refusal(chamber()).startswith("name: found nothing")
    assert refusal("name = \n").startswith("not TOML")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no such file; expected a TOML file or a bundled .*telescope"):
        Detector.load(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DetectorError, match="cannot be read"):
        Detector.load(binary)


def test_bundled_detectors_are_valid() -> None:
    for name in Detector.bundled():
        assert Detector.load(name).chambers
