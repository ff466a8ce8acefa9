"""Which checks may find which fault: patterns of (check, subject), to be edited as checks come and go.

A subject may have {chamber}, {cell}, {next}, {in_layer}, {layer}, {board} for the names of where the fault is, and *
for anything. A fault may raise any of these; what else is raised is a false alarm.
"""

from __future__ import annotations

from typing import Final

Pattern = tuple[str, str]

_RATES: Final[tuple[Pattern, ...]] = (
    ("noise", "{chamber}"),
    ("active cells", "{chamber}"),
    ("segments", "{chamber}"),
    ("efficiency", "{chamber}"),
    ("rate", "{chamber}"),
)
_ALL_RATES: Final[tuple[Pattern, ...]] = (
    ("noise", "*"),
    ("active cells", "*"),
    ("scintillator", "Scintillator"),
    ("segments", "*"),
    ("efficiency", "*"),
    ("hits", "Detector"),
    ("rate", "*"),
)
_CELLS_LOST: Final[tuple[Pattern, ...]] = (
    ("dead cell", "{chamber} cell *"),
    ("dead cells", "{chamber}"),
    ("dead row", "{chamber} layer *"),
    ("dead layer", "{chamber} layer *"),
    ("layer efficiency", "{chamber} layer *"),
    ("cell efficiency", "{chamber} cell *"),
    ("occupancy", "{chamber}"),
    *_RATES,
)
_ONE_CELL_LOST: Final[tuple[Pattern, ...]] = (
    ("dead cell", "{cell}"),
    ("dead cells", "{chamber}"),
    ("cell efficiency", "{cell}"),
    ("occupancy", "{chamber}"),
)
_ONE_CELL_MORE: Final[tuple[Pattern, ...]] = (
    ("noisy cell", "{cell}"),
    ("occupancy", "{chamber}"),
    ("active cells", "{chamber}"),
    ("afterpulsing cell", "{cell}"),
    ("segments", "{chamber}"),
)
_TIMES: Final[tuple[Pattern, ...]] = (
    ("t0", "{chamber}"),
    ("velocity", "{chamber}"),
    ("layer shift", "{chamber}"),
    ("hit resolution", "{chamber}"),
    ("wrong hits", "{chamber}"),
    ("x-t relation", "{chamber}"),
    ("velocity", "Detector"),
    ("scintillator time", "Scintillator"),
    *_RATES,
)
_GEOMETRY: Final[tuple[Pattern, ...]] = (
    ("layer shift", "{chamber}"),
    ("hit resolution", "{chamber}"),
    ("wrong hits", "{chamber}"),
    ("velocity", "{chamber}"),
    ("x-t relation", "{chamber}"),
    ("layer efficiency", "{chamber} layer *"),
    *_RATES,
)

MAY_FIND: Final[dict[str, tuple[Pattern, ...]]] = {
    "dead cell": _ONE_CELL_LOST,
    "dying cell": _ONE_CELL_LOST,
    "noisy cell": _ONE_CELL_MORE,
    "oscillating cell": _ONE_CELL_MORE,
    "dead row": _CELLS_LOST,
    "weak layer": _CELLS_LOST,
    "weak half chamber": _CELLS_LOST,
    "weak chamber": _CELLS_LOST,
    "dead chamber": (("silent", "{chamber}"), *_CELLS_LOST),
    "dead board": (("silent", "{board}"), *((check, "*") for check, _ in _CELLS_LOST)),
    "silent scintillator": (("scintillator", "Scintillator"),),
    "double scintillator": (("scintillator", "Scintillator"),),
    "late scintillator": (("scintillator time", "Scintillator"), ("t0", "*"), ("board step", "*"), ("velocity", "*")),
    "t0": _TIMES,
    "drift velocity": _TIMES,
    "board step": (("board step", "{board}"), ("t0", "*"), ("velocity", "*")),
    "rt bend": (("t0", "{chamber}"), *_GEOMETRY),
    "layer shift": _GEOMETRY,
    "noise up": (("noisy cell", "{chamber} cell *"), ("segments", "{chamber}"), *_RATES[:2]),
    "rate down": _ALL_RATES,
    "afterpulses": (("afterpulses", "{chamber}"), ("afterpulsing cell", "{chamber} cell *"), *_RATES[:2]),
    "afterpulsing cell": (("afterpulsing cell", "{cell}"), ("afterpulses", "{chamber}"), ("noisy cell", "{cell}")),
    "crosstalk": (("crosstalking cells", "{next}"), ("noisy cell", "{chamber} cell *"), ("occupancy", "{chamber}")),
    "crosstalk in layer": (
        ("crosstalking cells", "{in_layer}"),
        ("noisy cell", "{chamber} cell *"),
        ("occupancy", "{chamber}"),
    ),
    "crosstalk everywhere": (("crosstalking cells", "{chamber} cells *"), *_RATES),
    "lost words": _ALL_RATES,
    "late words": (("late words", "Stream"), *_ALL_RATES),
    "stray words": (("stray words", "Stream"), *_ALL_RATES),
    "malformed words": (("malformed words", "Stream"), *_ALL_RATES),
    "unmapped words": (("unmapped words", "Stream"), *_ALL_RATES),
    "stalled read-out": (("stalled", "Stream"),),
}

FOR_CHECK: Final[dict[str, str]] = {
    "dead cell": "dead cell",
    "dead row": "dead row",
    "dead layer": "weak layer",
    "dead cells": "weak half chamber",
    "rate": "weak chamber",
    "noisy cell": "noisy cell",
    "noise": "noise up",
    "silent": "dead board",
    "t0": "t0",
    "scintillator time": "late scintillator",
    "velocity": "drift velocity",
    "board step": "board step",
    "afterpulses": "afterpulses",
    "afterpulsing cell": "afterpulsing cell",
    "crosstalking cells": "crosstalk",
    "segments": "rate down",
    "efficiency": "weak chamber",
    "layer efficiency": "weak layer",
    "cell efficiency": "dead cell",
    "hit resolution": "rt bend",
    "wrong hits": "rt bend",
    "layer shift": "layer shift",
    "x-t relation": "rt bend",
    "scintillator": "silent scintillator",
    "active cells": "crosstalk everywhere",
    "late words": "late words",
    "stray words": "stray words",
    "malformed words": "malformed words",
    "unmapped words": "unmapped words",
}
"""The fault of the table that each check is for. What words cannot show, as how they are read, is not among them."""
