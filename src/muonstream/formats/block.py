"""What decoders and sources give: blocks of words, what could not be words, and the account of every byte."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal

import numpy as np

from muonstream.errors import MuonstreamError
from muonstream.words import Words

FAULTS_KEPT: Final = 20
"""Faults described per block at most; all are counted."""


class SourceError(MuonstreamError):
    """A source that cannot be read: one line with its name and the reason."""


def counted(n: int, what: str) -> str:
    """A number of things, such as "1 byte", "2 bytes"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class ByteAccount:
    """What the bytes of an input's content became; contents are counted after decompression and before decoding.

    words: bytes of words, those of malformed words and rows included, as in the account of words
    run_words: run words of DMA transfers; headers: header lines, comments, blank lines, brackets, byte order marks
    padding: zeros, ones, or one value repeated, where no data were written
    passed_over: anything else, always with a note that says where
    """

    words: int = 0
    run_words: int = 0
    headers: int = 0
    padding: int = 0
    passed_over: int = 0

    @property
    def total(self) -> int:
        """All bytes that are accounted for."""
        return self.words + self.run_words + self.headers + self.padding + self.passed_over

    def __add__(self, other: ByteAccount) -> ByteAccount:
        return ByteAccount(
            self.words + other.words,
            self.run_words + other.run_words,
            self.headers + other.headers,
            self.padding + other.padding,
            self.passed_over + other.passed_over,
        )

    def as_dict(self) -> dict[str, int]:
        """The five numbers by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


NO_BYTES: Final = ByteAccount()


@dataclass(slots=True)
class Block:
    """Words in order of arrival (uint64[n]), and how many rows or pieces of bytes could not be words.

    faults: descriptions of the first malformed rows or words, "name:line: reason" or "name: byte n: reason"
    notes: what else must be reported of the content, one line each: lost step, padding, repeats, a changed run word
    bytes: what the bytes behind this block became
    repeated: words that are the same, bit for bit, as words before them; steps_lost: how often a decoder lost step
    begins: this is the beginning of a file; idle: nothing is waiting to be read just now
    report: the input's state as of this block, absolute; None where a source has no files
    """

    words: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    malformed: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bytes: ByteAccount = NO_BYTES
    repeated: int = 0
    steps_lost: int = 0
    begins: bool = False
    idle: bool = False
    source: int = 0
    report: InputReport | None = None


InputStatus = Literal["waiting", "read", "passed over"]


@dataclass(frozen=True, slots=True)
class InputReport:
    """An input (a file, a stream) as it stands; absolute, so that the newest report of a name replaces earlier ones.

    status: "waiting" while its format is undecided, "read", or "passed over"
    format: the format's name once it is decided; why: the evidence for it, or the reason for passing the input over
    size: bytes of content read so far, after decompression; waiting: those of them not decoded yet
    bytes: what the others became; words, malformed, repeated, steps_lost: as in `Block`, sums
    broken: how often compressed data were damaged, ended too early, or were followed by something else
    lost: words that were sent and can no longer be read, where the sender counts them
    """

    name: str
    status: InputStatus = "waiting"
    format: str = ""
    why: str = ""
    size: int = 0
    waiting: int = 0
    bytes: ByteAccount = NO_BYTES
    words: int = 0
    malformed: int = 0
    repeated: int = 0
    steps_lost: int = 0
    broken: int = 0
    lost: int = 0

    @property
    def residual(self) -> int:
        """Bytes read less the sum of what they became: 0, or bytes were lost."""
        return self.size - self.waiting - self.bytes.total

    @property
    def balanced(self) -> bool:
        """Whether every byte is accounted for."""
        return self.residual == 0

    def after(self, earlier: InputReport) -> InputReport:
        """This report of an input's present content together with what became of the content it had earlier."""
        read = "read" in (self.status, earlier.status)
        return replace(
            self,
            name=earlier.name,
            status="read" if read else self.status,
            format=self.format or earlier.format,
            why=self.why or earlier.why,
            size=self.size + earlier.size,
            waiting=self.waiting + earlier.waiting,
            bytes=self.bytes + earlier.bytes,
            words=self.words + earlier.words,
            malformed=self.malformed + earlier.malformed,
            repeated=self.repeated + earlier.repeated,
            steps_lost=self.steps_lost + earlier.steps_lost,
            broken=self.broken + earlier.broken,
            lost=self.lost + earlier.lost,
        )
