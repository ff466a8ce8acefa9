"""Simulated muons, and all signals before the boards read them out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import to_frame
from muonstream.detector.model import Chamber
from muonstream.words import Words


@dataclass(frozen=True, slots=True)
class Muons:
    """Simulated muons: arrays of one length, in no particular order.

    begin_tdc: int64, the time that time_tdc counts from; time_tdc: float64, when they pass, in TDC counts
    x_mm, y_mm: float64, where they cross the height z_mm of the simulation's plane
    tan_x, tan_y: float64, how far they go in x and y for each step down
    scattered: float64[4, C, n], x_mm, y_mm, tan_x and tan_y of each in each chamber; None: they are straight
    """

    begin_tdc: NDArray[np.int64]
    time_tdc: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    tan_x: NDArray[np.float64]
    tan_y: NDArray[np.float64]
    scattered: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.time_tdc)

    def chosen(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Muons:
        """Those of a mask, or at these places."""
        return Muons(
            begin_tdc=self.begin_tdc[mask],
            time_tdc=self.time_tdc[mask],
            x_mm=self.x_mm[mask],
            y_mm=self.y_mm[mask],
            tan_x=self.tan_x[mask],
            tan_y=self.tan_y[mask],
            scattered=None if self.scattered is None else self.scattered[:, :, mask],
        )

    def in_chamber(self, c: int) -> Muons:
        """Along the lines that they have in a chamber, by its index."""
        if self.scattered is None:
            return self
        x_mm, y_mm, tan_x, tan_y = self.scattered[:, c]
        return replace(self, x_mm=x_mm, y_mm=y_mm, tan_x=tan_x, tan_y=tan_y, scattered=None)

    def in_frame(
        self, chamber: Chamber, plane_mm: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """In a chamber's frame: where they cross its middle, their slope, and where along its wires."""
        return to_frame(chamber, plane_mm, self.x_mm, self.y_mm, self.tan_x, self.tan_y)


@dataclass(frozen=True, slots=True)
class Signals:
    """Words, uint64[n], with their times time_tdc, int64[n].

    muon: int64[n], the muon of each (-1: none); origin: int8[n], as `Origin`
    """

    time_tdc: NDArray[np.int64]
    words: Words
    muon: NDArray[np.int64]
    origin: NDArray[np.int8]

    @staticmethod
    def joined(parts: list[Signals]) -> Signals:
        """All of them, in order of time."""
        time_tdc = np.concatenate([part.time_tdc for part in parts])
        order = np.argsort(time_tdc, kind="stable")
        return Signals(
            time_tdc[order],
            np.concatenate([part.words for part in parts])[order],
            np.concatenate([part.muon for part in parts])[order],
            np.concatenate([part.origin for part in parts])[order],
        )
