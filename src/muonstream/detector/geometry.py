"""Straight lines in space and in the frames of chambers.

In space x and y are level and z is height; a line goes tan_x in x and tan_y in y for each step down. In a chamber's
frame a line has a position across the wires at the chamber's middle, and a slope: how far it goes across for each step
towards the chamber's floor. The frame is turned by the chamber's rotation about the vertical and by its tilt about the
wires.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Chamber, Detector

Numbers = NDArray[np.float64]

VIEWS: Final = ("x", "y")


def middle_mm(chamber: Chamber) -> float:
    """Height of a chamber's middle."""
    return chamber.z_mm + chamber.layers * chamber.cell_height_mm / 2


def half_width_mm(chamber: Chamber) -> float:
    """Half of what a chamber's cells measure across the wires, layer shifts left out."""
    return chamber.cells_per_layer * chamber.cell_width_mm / 2


def depths_mm(chamber: Chamber) -> NDArray[np.float64]:
    """Depth of each layer's wires below the chamber's middle, float64[layers]."""
    return np.asarray((np.arange(chamber.layers) + 0.5 - chamber.layers / 2) * chamber.cell_height_mm, dtype=np.float64)


def crossed_cells(
    chamber: Chamber, across_mm: Numbers, slope: Numbers, along_mm: Numbers
) -> tuple[NDArray[np.int64], Numbers]:
    """The cell of each layer that lines of a chamber's frame cross (-1: none), and how far from its wire, in mm.

    Both [lines, layers]; distances are positive towards larger positions. Wires are taken to be as long as a layer is
    wide.
    """
    local = across_mm[:, None] + slope[:, None] * depths_mm(chamber) + half_width_mm(chamber)
    local = local - np.asarray(chamber.layer_shift_mm)
    column = np.floor(local / chamber.cell_width_mm).astype(np.int64)
    inside = (column >= 0) & (column < chamber.cells_per_layer) & (np.abs(along_mm) < half_width_mm(chamber))[:, None]
    number = np.array([chamber.layer_of_channel.index(layer) for layer in range(chamber.layers)])
    cell = np.where(inside, column * chamber.layers + number, -1)
    return cell, local - (column + 0.5) * chamber.cell_width_mm


def distance_mm(chamber: Chamber, drift_ns: Numbers, tan: Numbers) -> Numbers:
    """How far from its wire a hit is, by drift time and the track's slope, which go together by numpy's rules."""
    straight = drift_ns * (chamber.drift_velocity_um_per_ns / 1000)
    return straight if chamber.drift is None else straight + chamber.drift.added_mm(drift_ns, tan)


def time_offsets_ns(detector: Detector) -> Numbers:
    """What is added to the hit times of each cell, by its code in the detector's channel map, float64[codes]."""
    channel_map = detector.channel_map()
    out = np.zeros(channel_map.n_cell_codes)
    for base, chamber in zip(channel_map.cell_base.tolist(), detector.chambers, strict=True):
        cells = slice(base, base + chamber.cells)
        out[cells] = chamber.time_offset_ns
        if chamber.cell_time_offset_ns:
            out[cells] += chamber.cell_time_offset_ns
    return out


def to_frame(
    chamber: Chamber, z_mm: float, x_mm: Numbers, y_mm: Numbers, tan_x: Numbers, tan_y: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Lines through (x, y) at the height z, in a chamber's frame: position, slope, and position along the wires."""
    angle, tilt = np.radians(chamber.rotation_deg), np.radians(chamber.tilt_deg)
    fall = z_mm - middle_mm(chamber)
    x, y = x_mm + tan_x * fall, y_mm + tan_y * fall
    across = x * np.cos(angle) + y * np.sin(angle) - chamber.x_mm
    tan = tan_x * np.cos(angle) + tan_y * np.sin(angle)
    slope = (tan * np.cos(tilt) - np.sin(tilt)) / (tan * np.sin(tilt) + np.cos(tilt))
    return across * (np.cos(tilt) - slope * np.sin(tilt)), slope, y * np.cos(angle) - x * np.sin(angle)


def from_frame(chamber: Chamber, position_mm: Numbers, slope: Numbers) -> tuple[Numbers, Numbers]:
    """Lines of a chamber's frame as position across at the height of its middle and slope, both of its view.

    Neither knows the other view: where chambers are turned by a little against one another, that little is left out.
    """
    angle, tilt = np.radians(chamber.rotation_deg), np.radians(chamber.tilt_deg)
    tan = (slope * np.cos(tilt) + np.sin(tilt)) / (np.cos(tilt) - slope * np.sin(tilt))
    across = position_mm * (np.cos(tilt) + tan * np.sin(tilt)) + chamber.x_mm
    way = np.sign(np.sin(angle) if chamber.view == "y" else np.cos(angle))
    return across * way, tan * way
