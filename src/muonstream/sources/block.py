"""What sources give: blocks of words, with what could not be words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from muonstream.words import Words

FAULTS_KEPT = 20
"""Faults described a block at most; all are counted."""


class SourceError(Exception):
    """A source that cannot be read: one line with its name and the reason."""


def counted(n: int, what: str) -> str:
    """A number of things, as "1 byte", "2 bytes"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


@dataclass(slots=True)
class Block:
    """Words in order of arrival (uint64[n]), and how many rows or pieces of bytes could not be words.

    faults: of the first of those, "name:line: reason" or "name: byte n: reason"
    begins: this is the beginning of a file; idle: nothing is waiting to be read just now
    """

    words: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    malformed: int = 0
    faults: list[str] = field(default_factory=list)
    begins: bool = False
    idle: bool = False
    source: int = 0
