"""Detectors for the tests whose chambers are unlike those of the telescope."""

from __future__ import annotations

from muonstream.detector.model import parse


def five_and_two_layers(first: str, second: str) -> str:
    """The tables of two chambers with these names, in a detector file."""
    return f"""
[[chambers]]
number = 1
name = "{first}"
board = 0
first_channel = 10
layers = 5
cells_per_layer = 20
layer_of_channel = [4, 3, 2, 1, 0]
layer_shift_mm = [0, 21, 0, 21, 0]
time_offset_ns = 12.5
z_mm = 0
[[chambers]]
number = 7
name = "{second}"
board = 5
first_channel = 3
layers = 2
cells_per_layer = 3
layer_of_channel = [0, 1]
layer_shift_mm = [0, 21]
z_mm = 500
"""


WIDE = parse(
    """
name = "wide"
boards = [0, 1, 5]
scintillators = [{ board = 1, channel = 128 }, { board = 5, channel = 0 }]
triggers = [{ board = 0, channel = 300 }]
"""
    + five_and_two_layers("A", "B"),
    "wide.toml",
)
ODD = parse(
    """
name = "odd"
boards = [0, 5]
"""
    + five_and_two_layers("five layers", "two layers")
    + """
[[chambers]]
number = 8
name = "three layers, turned round, narrow"
board = 5
first_channel = 100
layers = 3
cells_per_layer = 16
layer_of_channel = [0, 1, 2]
layer_shift_mm = [0, 15, 0]
cell_width_mm = 30
cell_height_mm = 11
t_max_ns = 279
rotation_deg = 180
z_mm = 600
""",
    "odd.toml",
)
