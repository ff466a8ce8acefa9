"""A look at a file before it is read: which file it is, and the run word of its DMA transfers."""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from muonstream.formats.block import SourceError
from muonstream.formats.unpack import Unpacker
from muonstream.sources.files import is_stream, open_bytes
from muonstream.sources.schemes import is_local
from muonstream.words import BX_PER_ORBIT, DMA_WORDS, Head, Words, decode

PEEK_BYTES: Final = 1 << 16
"""Of content, after decompression: 63 transfers."""


def peek_run_word(file: str) -> int | None:
    """The run word of a file's DMA transfers, where all at its beginning agree; None for all other files.

    Streams and URLs are not looked at: what is read of a stream is gone, and a URL would be fetched twice. A file that
    cannot be read has none: what is wrong with it is reported when it is read.
    """
    if not is_local(file) or is_stream(file):
        return None
    content = bytearray()
    unpacker = Unpacker(file)
    try:
        with open_bytes(file) as handle:
            while len(content) < PEEK_BYTES and (data := handle.read(PEEK_BYTES)):
                for piece in unpacker.feed(data):
                    content += piece[: PEEK_BYTES - len(content)]
    except (SourceError, OSError):
        pass
    return run_word_of(np.frombuffer(bytes(content), "<u8", len(content) // 8))


def file_identity(file: str) -> object:
    """A key equal for all names of one file; the name itself for anything that is not a file."""
    try:
        at = os.stat(file) if is_local(file) and os.path.isfile(file) else None
    except OSError:  # it was removed a moment ago
        at = None
    return file if at is None else (at.st_dev, at.st_ino)


def run_word_of(words: Words) -> int | None:
    """The word that heads each transfer (words: uint64[n] from a file's beginning), or None if there is none.

    It stands in one place of every 129 words and has the same value in all, is not a hit, and most others are hits.
    One transfer alone is recognised by its first word; a file may have been split inside a transfer.
    """
    fields = decode(words)
    hits = (fields.head == Head.HIT) & (fields.bx < BX_PER_ORBIT)
    rows = len(words) // DMA_WORDS
    if not rows or hits.mean() < 0.5:
        return None
    table = words[: rows * DMA_WORDS].reshape(rows, DMA_WORDS)
    same = (table == table[0]).all(axis=0) & ~hits[:DMA_WORDS]
    if rows == 1:
        same[1:] = False
    # a run word is a plain number: a board's word in that place by chance has a channel or a high orbit
    values = [int(value) for value in table[0, same] if value < np.uint64(1 << 32)]
    return values[0] if len(values) == 1 else None
