"""Where faults are: the channels of a cell, a row, a layer, a chamber, a board, as words or as sets of their kinds."""

from __future__ import annotations

from typing import Final

import numpy as np

from muonstream.detector.channels import UNMAPPED, hit_index
from muonstream.detector.model import BoardChannel, Chamber, Detector
from muonstream.words import CHANNEL_MASK, CHANNEL_SHIFT, FPGA_MASK, FPGA_SHIFT, Words, encode
from tools.faults.stream import KINDS, Mask, Times

CHAMBER: Final = 1
"""Index of the chamber that has the faults of one chamber; its board has those of one board."""
CELL: Final = 17
LAYER: Final = 2

EVERYTHING: Final = np.ones(KINDS, np.bool_)


def the_chamber(detector: Detector) -> Chamber:
    """The chamber that has the faults. Raises ValueError for a detector without it, or without the cell or layer."""
    if len(detector.chambers) <= CHAMBER:
        raise ValueError(f"{detector.name}: found {len(detector.chambers)} chambers, expected {CHAMBER + 1} or more")
    chamber = detector.chambers[CHAMBER]
    if chamber.layers <= LAYER or chamber.cells <= CELL + chamber.layers:
        found = f"{chamber.layers} layers and {chamber.cells} cells"
        raise ValueError(f"{chamber.name}: found {found}, expected {LAYER + 1} and {CELL + chamber.layers + 1} or more")
    return chamber


def kinds_of(words: Words) -> Mask:
    """The set of these words' heads, boards and channels, bool[KINDS]."""
    kinds = np.zeros(KINDS, np.bool_)
    kinds[words >> np.uint64(CHANNEL_SHIFT)] = True
    return kinds


def cells_of(chamber: Chamber, cells: object) -> Words:
    """Words without a time of some of a chamber's cells, uint64[n]."""
    return encode(fpga=chamber.board, channel=chamber.first_channel + np.asarray(cells), orbit=0, bx=0, tdc=1)


def one_cell(detector: Detector) -> Words:
    """The cell that has the faults of one cell."""
    return cells_of(the_chamber(detector), [CELL])


def whole_chamber(detector: Detector) -> Words:
    """All cells of the chamber."""
    chamber = the_chamber(detector)
    return cells_of(chamber, np.arange(chamber.cells))


def half_chamber(detector: Detector) -> Words:
    """The cells of the chamber's left half."""
    chamber = the_chamber(detector)
    return cells_of(chamber, np.arange(chamber.cells_per_layer // 2 * chamber.layers))


def row(detector: Detector, length: int | None = None) -> Words:
    """So many cells side by side in the middle of the layer, or all of them."""
    chamber = the_chamber(detector)
    layer = np.flatnonzero(chamber.layer_of_cell() == LAYER)
    length = len(layer) if length is None else min(length, len(layer))
    first = (len(layer) - length) // 2
    return cells_of(chamber, layer[first : first + length])


def board(detector: Detector) -> Mask:
    """All that the chamber's board sends, whatever its channel."""
    return _of_board(the_chamber(detector).board)


def board_hits(detector: Detector) -> Mask:
    """The hits that the chamber's board sends."""
    return board(detector) & known_hits(detector)


def scintillators(detector: Detector) -> Mask:
    """The scintillators' words."""
    return kinds_of(_single(detector.scintillators))


def triggers(detector: Detector) -> Mask:
    """The triggers' words, which know their bunch crossing only."""
    return kinds_of(_single(detector.triggers))


def known_hits(detector: Detector) -> Mask:
    """The hits of all channels that the detector knows."""
    channel_map = detector.channel_map()
    hits = np.zeros(KINDS, np.bool_)
    begin, end = hit_index(0, 0), hit_index(FPGA_MASK, CHANNEL_MASK) + 1
    hits[begin:end] = channel_map.codes[begin:end] != channel_map.n_cell_codes + UNMAPPED
    return hits


def unknown_channels(detector: Detector) -> Times:
    """The channels of each board that the detector does not know, each as often as it takes, int64[board, 512].

    Raises ValueError where a board has none.
    """
    known = known_hits(detector)
    channels = np.zeros((FPGA_MASK + 1, CHANNEL_MASK + 1), np.int64)
    for number in detector.boards:
        first = hit_index(number, 0)
        free = np.flatnonzero(~known[first : first + CHANNEL_MASK + 1])
        if not len(free):
            raise ValueError(f"board {number}: found all channels in use, expected one that is not")
        channels[number] = np.resize(free, CHANNEL_MASK + 1)
    return channels


def neighbours(detector: Detector, *, in_layer: bool = False) -> Times:
    """The channel beside each of the chamber's, int64[KINDS]: the next one, or the next of its layer; else the last."""
    chamber = the_chamber(detector)
    step = chamber.layers if in_layer else 1
    channel = same_channels()
    there = np.where(channel + step < chamber.first_channel + chamber.cells, channel + step, channel - step)
    return np.clip(there, 0, CHANNEL_MASK)


def same_channels() -> Times:
    """The channel itself, int64[KINDS]."""
    return np.arange(KINDS) & CHANNEL_MASK


def _of_board(number: int) -> Mask:
    mine: Mask = np.arange(KINDS) >> (FPGA_SHIFT - CHANNEL_SHIFT) & FPGA_MASK == number
    return mine


def _single(channels: tuple[BoardChannel, ...]) -> Words:
    boards, numbers = [one.board for one in channels], [one.channel for one in channels]
    return encode(fpga=boards, channel=numbers, orbit=0, bx=0, tdc=1).reshape(-1)
