"""Formats, and how an input's format is recognised: by what its content shows.

The decision is taken at fixed lengths of the content, 64 bytes, then twice as many each time, and at its end: so it is
the same however the content was cut by reads, and for a file that grows as for one that is complete. Until then the
bytes wait, at most `MOST_HELD` of them, once each, and none is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from muonstream.formats.binary import BinaryDecoder
from muonstream.formats.binary_form import BinaryForm, decide_binary
from muonstream.formats.block import Block, SourceError, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.signatures import signature
from muonstream.formats.split_part import split_advice

if TYPE_CHECKING:
    from muonstream.formats.text import TextForm

FIRST_BYTES: Final = 64
"""The length at which a decision is tried first."""
MOST_HELD: Final = 32 << 20
"""Content that shows no format within so many bytes is refused."""
SIGNATURE_BYTES: Final = 1 << 12


class Format(StrEnum):
    """What an input holds."""

    WORDS = "words"
    """binary: 64-bit little-endian words"""
    DMA = "dma"
    """binary: a run word, then 128 words, again and again"""
    COURSE = "course"
    """a table with the words' fields"""
    FIRMWARE2019 = "firmware2019"
    """the table of the 2019 firmware"""
    HEAD1 = "head1"
    """a table with hits of HEAD 1, without the shifts of 2019"""
    JSON = "json"
    """JSON objects"""


BINARY: Final = (Format.WORDS, Format.DMA)
Form: TypeAlias = "BinaryForm | TextForm"


class Decoder(Protocol):
    """Makes words of bytes, fed in order; `last` says that no more come."""

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block: ...


def decoder(form: Form, name: str, content: ContentCheck | None = None) -> Decoder:
    """A decoder of a form; `name` is the input's in messages; content: follows the words that are decoded."""
    if isinstance(form, BinaryForm):
        return BinaryDecoder(
            name, boards=form.boards, transfers=form.transfers, content=content, searching=not form.aligned
        )
    # imported only where it is needed, here and in `decide`: it would delay each reading of words by 10 ms
    from muonstream.formats.text import text_decoder

    return _Checked(text_decoder(form, name), content) if content is not None else text_decoder(form, name)


class _Checked:
    """A decoder of text whose words are followed by a content check."""

    def __init__(self, decode: Decoder, content: ContentCheck) -> None:
        self._decode = decode
        self._content = content

    @property
    def rest(self) -> bytes:
        """Bytes that wait for those behind them."""
        rest: bytes = getattr(self._decode, "rest", b"")
        return rest

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        block = self._decode.feed(data, last=last)
        self._content.see(block.words)
        return block


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of an input before it is read.

    expected: the channels whose hits are expected; format: the one that the user named; before: the form of an earlier
    part of the same run
    """

    expected: Expected
    format: Format | None = None
    before: Form | None = None


def decide(sample: bytes | memoryview, wanted: Wanted, *, last: bool) -> Form | Undecided | Refused:
    """The form of some content by its first bytes; last: nothing more comes."""
    named = None if wanted.format is None else str(wanted.format)
    binary: BinaryForm | Undecided | Refused = Undecided("words")
    if wanted.format is None or wanted.format in BINARY:
        words_before = wanted.before if isinstance(wanted.before, BinaryForm) else None
        binary = decide_binary(sample, last=last, expected=wanted.expected, named=named, before=words_before)
        if isinstance(binary, BinaryForm) and wanted.format is None:
            return binary
    magic = signature(bytes(sample[:SIGNATURE_BYTES]))
    if magic is not None:
        return Refused(f"found {magic}")
    from muonstream.formats.text import TextForm, decide_text

    before = wanted.before if isinstance(wanted.before, TextForm) else None
    text = decide_text(
        sample, last=last, expected=wanted.expected, named=None if wanted.format in BINARY else named, before=before
    )
    if wanted.format in BINARY:
        if isinstance(text, TextForm):
            return Refused(f"found text ({text.format}), but --format {named} was given")
        return text if isinstance(text, Undecided) and not last else binary
    if text is None and wanted.format is not None:
        binary = decide_binary(sample, last=last, expected=wanted.expected)
        if isinstance(binary, BinaryForm):
            return Refused(f"found {binary.format}, but --format {named} was given")
    return binary if text is None else text


class Recogniser:
    """Takes the first bytes of an input until its form is decided, then gives its decoder and all these bytes."""

    def __init__(self, name: str, wanted: Wanted) -> None:
        self._name = name
        self._wanted = wanted
        self._waiting: bytes | memoryview = b""  # a view of the copy, once there is one
        self._copy = bytearray()
        self._size = 0
        self._next = 8 if wanted.format is Format.WORDS else FIRST_BYTES
        self._state = Undecided("anything")
        self.form: Form | None = None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    @property
    def missing(self) -> str:
        """What would decide the form, in words."""
        return self._state.missing

    @property
    def shows_nothing(self) -> bool:
        """Whether all bytes, up to the end, are too few to tell anything, or only padding and idle words."""
        return self._size < FIRST_BYTES or self._state.blank

    def expect(self, before: Form) -> None:
        """Take the form of another part of the same run as known."""
        self._wanted = replace(self._wanted, before=before)

    def feed(self, data: bytes | memoryview) -> bool:
        """Take bytes in order; whether the form is decided. Raises SourceError for what is not data.

        The caller hands over what it owns: the first piece is kept as it is, and copied when another one comes.
        """
        if self._size:
            first, self._waiting = self._waiting, b""
            if not self._copy:
                self._copy += first
            del first  # a bytearray cannot grow while there is a view of it
            self._copy += data
            self._waiting = memoryview(self._copy).toreadonly()
        else:
            self._waiting = data
        self._size += len(data)
        while self.form is None and self._size >= self._next:
            self._decide(self._waiting[: self._next], last=self._next >= MOST_HELD)
            if self.form is None and self._next >= MOST_HELD:
                raise self._refusal()
            self._next *= 2
        return self.form is not None

    def end(self) -> bool:
        """No more bytes come; whether the form is decided. Raises SourceError where it is not, except for no bytes."""
        if self.form is None and self._size:
            self._decide(self._waiting, last=True)
            if self.form is None:
                raise self._refusal()
        return self.form is not None

    def held(self) -> list[bytes | memoryview]:
        """The bytes that waited, given away."""
        pieces: list[bytes | memoryview] = [self._waiting] if self._size else []
        self._waiting, self._copy, self._size = b"", bytearray(), 0
        return pieces

    def _decide(self, sample: bytes | memoryview, *, last: bool) -> None:
        found = decide(sample, self._wanted, last=last)
        if isinstance(found, Refused):
            raise SourceError(f"{self._name}: {found.reason}")
        if isinstance(found, Undecided):
            self._state = found
        else:
            self.form = found

    def _refusal(self) -> SourceError:
        found = f"{counted(self._size, 'byte')} that {'shows' if self._size == 1 else 'show'} no format"
        advice = split_advice(self._name, b"" if self._state.looks_like else self._waiting)
        if not advice:
            found = self._state.looks_like or found
            advice = f"If it is data anyway, name its format: --format {', '.join(Format)}"
        return SourceError(f"{self._name}: found {found}; expected {self._state.missing}. {advice}")
