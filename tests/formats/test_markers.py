from __future__ import annotations

import numpy as np
import pytest

from muonstream.formats.block import Block
from muonstream.formats.content import ContentCheck
from muonstream.words import BX_SHIFT, ORBIT_SHIFT, Words
from tools.streams import StreamConfig, make_words

WORDS = make_words(StreamConfig(words=3000, seed=3))
EVNTMARK = np.frombuffer(b"EVNTMARK", "<u8")[0]
OF_A_CHANNEL = WORDS[0] ^ np.uint64(1 << (ORBIT_SHIFT + 30))
"""A hit of a channel of the detector, whose orbit is elsewhere."""


def notes_on(words: Words, *, step: int = 10**9) -> list[str]:
    """The notes on words that come in pieces of so many."""
    check, block = ContentCheck("f"), Block()
    for at in range(0, len(words), step):
        check.see(words[at : at + step])
    check.into(block, last=True)
    return block.notes


def marked(words: Words, each: int, *markers: np.uint64) -> Words:
    """Words with these values in front of each so many."""
    where = np.repeat(np.arange(0, len(words), each), len(markers))
    return np.insert(words, where, np.resize(np.array(markers, np.uint64), len(where)))


@pytest.mark.parametrize("each", [2, 3, 15, 16, 100, 300])
@pytest.mark.parametrize("marker", [EVNTMARK, OF_A_CHANNEL])
def test_a_marker_that_looks_like_a_hit_is_named(each: int, marker: np.uint64) -> None:
    words = marked(WORDS, each, marker)
    notes = notes_on(words)
    (note,) = (note for note in notes if "marker" in note)
    n = (len(WORDS) + each - 1) // each
    found = int(note.split("the first of ")[1].split(" ")[0].replace(",", ""))
    assert n - 3 <= found <= n  # the first ones come before it is known what is in line
    assert f"hits that are all {int(marker):#018x}" in note
    assert ("('EVNTMARK')" in note) == (marker == EVNTMARK)
    assert not any("a gap" in note or "reset" in note for note in notes)
    assert notes_on(words, step=37) == notes


def test_two_markers_in_a_row_are_both_named() -> None:
    notes = [note for note in notes_on(marked(WORDS, 20, EVNTMARK, OF_A_CHANNEL)) if "marker" in note]
    assert len(notes) == 2


@pytest.mark.parametrize(
    "words",
    [
        WORDS,
        np.tile(WORDS[:200], 12),  # a buffer that is read again and again
        np.repeat(WORDS, 2),
        np.insert(WORDS, np.arange(0, 3000, 50), WORDS[:60] ^ np.uint64(1 << (ORBIT_SHIFT + 31))),  # wild orbits
        make_words(StreamConfig(words=400, rate_hz=0.2, seed=5)),
        marked(WORDS, 500, EVNTMARK),  # too few to tell
        marked(WORDS, 20, np.uint64(3564 << BX_SHIFT) | EVNTMARK),  # no hit
    ],
)
def test_nothing_else_is_taken_for_a_marker(words: Words) -> None:
    assert not any("all 0x" in note for note in notes_on(words) if "hits that are" in note)
