"""The channel map: what each (head, board, channel) of a word means to a detector, as a table for the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import CHANNEL_MASK, CHANNEL_SHIFT, FPGA_MASK, FPGA_SHIFT, HEAD_MASK, HEAD_SHIFT, Head

SCINTILLATOR: Final = 0
TRIGGER: Final = 1
UNMAPPED: Final = 2
MALFORMED: Final = 3
ANCILLARY: Final = 8
"""Codes behind those of the cells, counted from `n_cell_codes`; ancillary words have ANCILLARY + head."""

BLOCK_CELLS: Final = 64
_BOARD_STEP: Final = 1 << (FPGA_SHIFT - CHANNEL_SHIFT)
_HEAD_STEP: Final = 1 << (HEAD_SHIFT - CHANNEL_SHIFT)


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """Tables over the top 15 bits of a word, ``word >> 49``, which are head, board and channel.

    codes: int16[32768], the code of each word: a cell's, or n_cell_codes + one of the special codes
    n_cell_codes: 64 for each begun 64 cells of a chamber; n_codes: n_cell_codes + 64
    cell_base: int64[C], the code of each chamber's first cell; cells: int64[C]
    chamber_of_block: int64[n_cell_codes / 64], the chamber (by index) of each 64 codes
    layer_of_code: int16[n_codes], the layer, counted over all chambers, or -1; n_layers: of all chambers
    """

    codes: NDArray[np.int16]
    n_cell_codes: int
    n_codes: int
    cell_base: NDArray[np.int64]
    cells: NDArray[np.int64]
    chamber_of_block: NDArray[np.int64]
    layer_of_code: NDArray[np.int16]
    n_layers: int


def hit_index(board: int, channel: int) -> int:
    """Where a hit of a board's channel stands in `ChannelMap.codes`."""
    return int(Head.HIT) * _HEAD_STEP + (board & FPGA_MASK) * _BOARD_STEP + (channel & CHANNEL_MASK)


def build_channel_map(
    chambers: list[tuple[int, int, NDArray[np.int64]]],
    scintillators: list[tuple[int, int]],
    triggers: list[tuple[int, int]],
) -> ChannelMap:
    """Build the tables.

    chambers: (board, first channel, layer of each cell by channel), in order; scintillators, triggers: (board, channel)
    """
    cells = np.array([len(layers) for _, _, layers in chambers], dtype=np.int64)
    blocks = -(-cells // BLOCK_CELLS)
    cell_base = BLOCK_CELLS * (np.cumsum(blocks) - blocks)
    n_cell_codes = int(BLOCK_CELLS * blocks.sum())
    codes = np.empty((HEAD_MASK + 1) * _HEAD_STEP, dtype=np.int16)
    for head in range(HEAD_MASK + 1):
        codes[head * _HEAD_STEP : (head + 1) * _HEAD_STEP] = n_cell_codes + ANCILLARY + head
    codes[Head.HIT * _HEAD_STEP : (Head.HIT + 1) * _HEAD_STEP] = n_cell_codes + UNMAPPED
    layer_of_code = np.full(n_cell_codes + BLOCK_CELLS, -1, dtype=np.int16)
    n_layers = 0
    for index, (board, first_channel, layers) in enumerate(chambers):
        base = int(cell_base[index])
        start = hit_index(board, first_channel)
        codes[start : start + len(layers)] = base + np.arange(len(layers))
        layer_of_code[base : base + len(layers)] = n_layers + layers
        n_layers += int(layers.max()) + 1
    for board, channel in scintillators:
        codes[hit_index(board, channel)] = n_cell_codes + SCINTILLATOR
    for board, channel in triggers:
        codes[hit_index(board, channel)] = n_cell_codes + TRIGGER
    return ChannelMap(
        codes=codes,
        n_cell_codes=n_cell_codes,
        n_codes=n_cell_codes + BLOCK_CELLS,
        cell_base=cell_base,
        cells=cells,
        chamber_of_block=np.repeat(np.arange(len(chambers)), blocks),
        layer_of_code=layer_of_code,
        n_layers=n_layers,
    )
