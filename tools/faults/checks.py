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
    "bursting cell": (("given up", "{chamber}"), ("given up", "Reconstruction"), *_ONE_CELL_MORE),
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
    "lost words": (("gaps", "Stream"), *_ALL_RATES),
    "late words": (("late words", "Stream"), *_ALL_RATES),
    "stray words": (("stray words", "Stream"), *_ALL_RATES),
    "malformed words": (("malformed words", "Stream"), *_ALL_RATES),
    "unmapped words": (("unmapped words", "Stream"), *_ALL_RATES),
    "stalled read-out": (("stalled", "Stream"), ("gaps", "Stream")),
}

ANY: Final = 1e9

FOR_CHECK: Final[dict[str, tuple[str, float]]] = {
    "dead cell": ("dead cell", ANY),
    "dead row": ("dead row", ANY),
    "dead layer": ("weak layer", ANY),
    "dead cells": ("weak half chamber", ANY),
    "rate": ("weak chamber", ANY),
    "noisy cell": ("noisy cell", ANY),
    "noise": ("noise up", 1000),
    "silent": ("dead board", ANY),
    "t0": ("t0", ANY),
    "scintillator time": ("late scintillator", ANY),
    "velocity": ("drift velocity", ANY),
    "board step": ("board step", ANY),
    "afterpulses": ("afterpulses", 0.1),
    "afterpulsing cell": ("afterpulsing cell", ANY),
    "crosstalking cells": ("crosstalk", ANY),
    "segments": ("rate down", ANY),
    "efficiency": ("weak chamber", ANY),
    "layer efficiency": ("weak layer", ANY),
    "cell efficiency": ("dead cell", 0.6),
    "hit resolution": ("rt bend", ANY),
    "wrong hits": ("rt bend", ANY),
    "layer shift": ("layer shift", ANY),
    "x-t relation": ("rt bend", ANY),
    "scintillator": ("silent scintillator", ANY),
    "active cells": ("crosstalk everywhere", ANY),
    "gaps": ("stalled read-out", 60),
    "given up": ("bursting cell", ANY),
    "late words": ("late words", ANY),
    "stray words": ("stray words", ANY),
    "malformed words": ("malformed words", ANY),
    "unmapped words": ("unmapped words", ANY),
}
"""The fault of the table that each check is for, and the largest size of it: beyond that another check finds it.

What words cannot show, such as how they are read, is not among them.
"""
