from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.channels import ANCILLARY, BLOCK_CELLS, SCINTILLATOR, TRIGGER, UNMAPPED, build_channel_map
from muonstream.words import CHANNEL_SHIFT, encode

LAYERS = [np.arange(70) % 4, np.arange(3) % 2]
MAP = build_channel_map([(0, 10, LAYERS[0]), (5, 3, LAYERS[1])], [(1, 128)], [(0, 300)])


@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 511))
def test_each_word_has_the_code_of_its_channel(head: int, board: int, channel: int) -> None:
    word = encode(head=head, fpga=board, channel=channel, orbit=0, bx=0, tdc=0)
    code = int(MAP.codes[int(np.atleast_1d(word)[0]) >> CHANNEL_SHIFT]) - MAP.n_cell_codes
    if head != 2:
        assert code == ANCILLARY + head
    elif (board, channel) == (1, 128):
        assert code == SCINTILLATOR
    elif (board, channel) == (0, 300):
        assert code == TRIGGER
    elif board == 0 and 10 <= channel < 80:
        assert code == channel - 10 - MAP.n_cell_codes
    elif board == 5 and 3 <= channel < 6:
        assert code == 2 * BLOCK_CELLS + channel - 3 - MAP.n_cell_codes
    else:
        assert code == UNMAPPED


def test_cells_know_their_chamber_and_layer() -> None:
    assert MAP.n_cell_codes == 3 * BLOCK_CELLS
    assert MAP.chamber_of_block.tolist() == [0, 0, 1]
    assert MAP.n_layers == 6
    assert MAP.layer_of_code[:70].tolist() == LAYERS[0].tolist()
    assert MAP.layer_of_code[128:131].tolist() == (4 + LAYERS[1]).tolist()
    assert (MAP.layer_of_code[70:128] == -1).all()
    assert (MAP.layer_of_code[131:] == -1).all()
