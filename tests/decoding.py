"""What tests of decoders share: words, their forms, and bytes fed in pieces."""

from __future__ import annotations

import json
from itertools import pairwise

from muonstream.formats.recognise import Decoder
from muonstream.formats.rows import COLUMNS
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words, decode

WORDS = simulate_words(2000, seed=11, start_orbit=3_000_000_000)
FAULTY = b"""2,0,5,100,10
2,0,5,100,10,3,4
2,a,5,100,10,3
2,-1,5,100,10,3
2,0,900,1,1,3
2,0,5,100,10,3.5
2,0,5,5000000000,1,1
"""


def fed(decoder: Decoder, data: bytes, cuts: list[int] | None = None) -> tuple[list[int], int, list[str]]:
    edges = [0, *sorted(cuts or []), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(edges)]
    blocks.append(decoder.feed(b"", last=True))
    return (
        [word for block in blocks for word in block.words.tolist()],
        sum(block.malformed for block in blocks),
        [fault for block in blocks for fault in block.faults],
    )


def json_of(words: Words) -> bytes:
    f = decode(words)
    rows = zip(*(a.tolist() for a in (f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc)), strict=True)
    return b"".join(json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in rows)
