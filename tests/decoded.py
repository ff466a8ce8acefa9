"""All that a decoder gives for some bytes, however they are cut."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from muonstream.formats.block import FAULTS_KEPT, NO_BYTES, ByteAccount
from muonstream.formats.text import TextDecoder


@dataclass(frozen=True)
class Decoded:
    """Words, malformed rows, descriptions and the account of all blocks together."""

    words: list[int]
    malformed: int
    faults: list[str]
    notes: list[str]
    bytes: ByteAccount


def decoded(decoder: TextDecoder, data: bytes, cuts: list[int] | None = None) -> Decoded:
    """Feed bytes in pieces cut at the places given, then the end."""
    edges = [0, *sorted(cuts or []), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(edges)]
    blocks.append(decoder.feed(b"", last=True))
    return Decoded(
        [word for block in blocks for word in block.words.tolist()],
        sum(block.malformed for block in blocks),
        [fault for block in blocks for fault in block.faults][:FAULTS_KEPT],
        [note for block in blocks for note in block.notes],
        sum((block.bytes for block in blocks), NO_BYTES),
    )
