"""Simulated muons: where and when they pass, the cells they cross, and the signals they bring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muonstream.detector import Chamber
from muonstream.words import Words


@dataclass(frozen=True, slots=True)
class Muons:
    """Muons as they were: arrays of one length, in order of nothing.

    begin_tdc: int64, the time that time_tdc counts from; time_tdc: float64, when they pass, in TDC counts
    x_mm, y_mm: float64, where they cross the height z_mm of the simulation's plane
    tan_x, tan_y: float64, how far they go in x and y for each step down
    """

    begin_tdc: NDArray[np.int64]
    time_tdc: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    tan_x: NDArray[np.float64]
    tan_y: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_tdc)

    def chosen(self, mask: NDArray[np.bool_]) -> Muons:
        """Those of a mask."""
        return Muons(
            begin_tdc=self.begin_tdc[mask],
            time_tdc=self.time_tdc[mask],
            x_mm=self.x_mm[mask],
            y_mm=self.y_mm[mask],
            tan_x=self.tan_x[mask],
            tan_y=self.tan_y[mask],
        )


@dataclass(frozen=True, slots=True)
class Signals:
    """Words, uint64[n], with their times time_tdc, int64[n], and which muon brought each, int64[n] (-1: none)."""

    time_tdc: NDArray[np.int64]
    words: Words
    muon: NDArray[np.int64]

    @staticmethod
    def joined(parts: list[Signals]) -> Signals:
        """All of them, in order of time."""
        time_tdc = np.concatenate([part.time_tdc for part in parts])
        order = np.argsort(time_tdc, kind="stable")
        words, muon = np.concatenate([p.words for p in parts]), np.concatenate([p.muon for p in parts])
        return Signals(time_tdc[order], words[order], muon[order])


def half_width_mm(chamber: Chamber) -> float:
    """Half the width of a chamber's layers."""
    return chamber.cells_per_layer * chamber.cell_width_mm / 2


def position(
    muons: Muons, chamber: Chamber, plane_mm: float, z_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where muons are at a height, in mm from a chamber's middle: across its wires, and along them, float64[n] each.

    plane_mm: the height at which x_mm and y_mm of the muons are
    """
    angle = np.radians(chamber.rotation_deg)
    fall = plane_mm - z_mm
    x, y = muons.x_mm + muons.tan_x * fall, muons.y_mm + muons.tan_y * fall
    return x * np.cos(angle) + y * np.sin(angle) - chamber.x_mm, y * np.cos(angle) - x * np.sin(angle)


def crossed(
    muons: Muons, chamber: Chamber, layer: int, plane_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cell of a layer that each muon crosses, int64[n] (-1: none), and its distance from the wire in mm.

    Chambers are taken to be square, so wires are as long as a layer is wide.
    """
    z_mm = chamber.z_mm + (chamber.layers - layer - 0.5) * chamber.cell_height_mm
    across, along = position(muons, chamber, plane_mm, z_mm)
    local = across + half_width_mm(chamber) - chamber.layer_shift_mm[layer]
    column = np.floor(local / chamber.cell_width_mm).astype(np.int64)
    inside = (column >= 0) & (column < chamber.cells_per_layer) & (np.abs(along) < half_width_mm(chamber))
    cell = np.where(inside, column * chamber.layers + chamber.layer_of_channel.index(layer), -1)
    return cell, np.abs(local - (column + 0.5) * chamber.cell_width_mm)
