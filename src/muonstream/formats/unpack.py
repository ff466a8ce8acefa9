"""Decompression in bounded steps: gzip, bzip2, xz and zstd, recognised by content, whatever the pieces they come in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from muonstream.formats.block import SourceError, counted
from muonstream.formats.inflate import (
    MAGIC_BYTES,
    BrokenError,
    Inflater,
    RefusedError,
    compression_of,
    inflater,
)

_FIRST_SLICE: Final = 1 << 14
_SLICE: Final = 1 << 18
"""Compressed bytes per step: a member's first steps are short, since a step copies the bytes behind a member's end."""
JOINED_BYTES: Final = 1 << 22
"""Size of a piece at most. What steps give is joined up to that: decoding and framing have a cost per piece."""

Piece = bytes | memoryview


class Unpacker:
    """The content of one input, whose bytes are fed in order and in pieces of any size.

    Content that is not compressed passes through as it was given, without a copy. Members that follow one another are
    unpacked into one content; zeros between and behind them are padding. From the first byte behind a member that is
    neither, the rest of the input is passed over. Memory is bounded for any input.

    compression: "gzip", "bzip2", "xz" or "zstd" once known (of the first member), "" for plain content
    decided: whether it is known by now that content is compressed, or that it is not
    position: bytes taken so far, before decompression; content: bytes of content given so far
    padding, passed_over: bytes before decompression that are zeros, or that follow the last member and are not zeros
    truncated: the input ended inside a member; damaged: compressed data could not be decompressed, or had a wrong check
    notes: lines to report, to be taken with `take_notes`
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._held = b""
        self._plain = False
        self._garbage = False
        self._inflater: Inflater | None = None
        self._member = 0
        self._slice = _FIRST_SLICE
        self._zeros = 0
        self.compression = ""
        self.position = 0
        self.content = 0
        self.padding = 0
        self.passed_over = 0
        self.truncated = False
        self.damaged = False
        self.notes: list[str] = []

    @property
    def decided(self) -> bool:
        return self._plain or bool(self.compression)

    @property
    def broken(self) -> int:
        """How often compressed data were damaged, ended inside a member, or were followed by something else."""
        return int(self.truncated) + int(self._garbage) + int(self.damaged)

    @property
    def unchecked(self) -> bool:
        """Whether content was given of a member whose end, and so its check, has not come."""
        return self._inflater is not None

    def take_notes(self) -> list[str]:
        """The notes since the last call."""
        taken, self.notes = self.notes, []
        return taken

    def feed(self, data: Piece) -> Iterator[Piece]:
        """Take bytes; give the content they complete: compressed content in pieces of at most 4 MiB.

        All pieces must be taken before more is fed.
        Raises SourceError for broken data, for data that need more memory than allowed, and for zstd without its
        library, once the content before that was given.
        """
        if self._plain:
            self.position += len(data)
            self.content += len(data)
            yield data
            return
        if not self.compression:
            head = self._held + bytes(data[:MAGIC_BYTES])
            found = compression_of(head)
            if found is None:
                self._held = head
                return
            if not found:
                yield from self._pass_through(data)
                return
            self.compression = found
        yield from self._gathered(self._unpack(memoryview(data).cast("B")))

    def finish(self) -> Iterator[Piece]:
        """The end of the input: give what was held back until its kind was known. An end inside a member is noted."""
        if not self.compression:
            yield from self._pass_through(b"")
            return
        if self._held:
            self._begin_garbage()
            self._skip_garbage(len(self._held))
            self._held = b""
        if self._inflater is not None:
            self.truncated = True
            self.notes.append(
                f"{self._name}: byte {self.position:,}: found the end of the input inside {self._inflater.kind} data "
                f"(truncated, or still being written), after {counted(self.content, 'byte')} of content"
            )
        self._note_padding()
        if self._garbage:
            self.notes.append(
                f"{self._name}: {counted(self.passed_over, 'byte')} behind the {self.compression} data passed over"
            )

    def _pass_through(self, data: Piece) -> Iterator[Piece]:
        held, self._held, self._plain = self._held, b"", True
        for piece in (held, data):
            if piece:
                yield from self.feed(piece)

    def _unpack(self, view: memoryview) -> Generator[bytes]:
        while view:
            if self._garbage:
                self._skip_garbage(len(view))
                return
            if self._inflater is None:
                view = yield from self._begin(view)
            else:
                used = yield from self._inflate(self._inflater, view[: self._slice])
                view = view[used:]

    def _begin(self, view: memoryview) -> Generator[bytes, None, memoryview]:
        """Between members: another one, padding, or garbage begins; gives the bytes that are left."""
        if not self._held and not view[0]:
            zeros = bytes(view[:_SLICE])
            n = len(zeros) - len(zeros.lstrip(b"\0"))
            self._zeros += n
            self.padding += n
            self.position += n
            return view[n:]
        head = self._held + bytes(view[:MAGIC_BYTES])
        found = compression_of(head)
        if found is None:
            self._held = head
            return view[len(view) :]
        self._note_padding()
        held, self._held = self._held, b""
        if not found:
            self._begin_garbage()
            self._skip_garbage(len(held))
            return view
        self._member, self._slice = self.position, _FIRST_SLICE
        try:
            self._inflater = inflater(found, head)
        except RefusedError as error:
            raise SourceError(f"{self._name}: {error}") from None
        yield from self._inflate(self._inflater, memoryview(held))  # shorter than any member
        return view

    def _inflate(self, member: Inflater, data: memoryview) -> Generator[bytes, None, int]:
        self._slice = min(self._slice * 4, _SLICE)
        try:
            used = yield from member.step(data)
        except RefusedError as error:
            raise SourceError(f"{self._name}: {error}") from None
        except BrokenError as error:
            self.damaged = True
            raise SourceError(
                f"{self._name}: broken {member.kind} data: {error}, in the member that begins at byte {self._member:,}"
            ) from None
        self.position += used
        if member.ended:
            self._inflater = None
        return used

    def _gathered(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same content in larger pieces; all that precedes an error is given before the error."""
        waiting: list[bytes] = []
        size = 0
        error: SourceError | None = None
        while True:
            try:
                piece = next(pieces, None)
            except SourceError as raised:
                piece, error = None, raised
            if size and (piece is None or size + len(piece) > JOINED_BYTES):
                self.content += size
                yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
                waiting, size = [], 0
            if error is not None:
                raise error
            if piece is None:
                return
            waiting.append(piece)
            size += len(piece)

    def _begin_garbage(self) -> None:
        self._garbage = True
        self.notes.append(
            f"{self._name}: byte {self.position:,}: found other bytes behind the {self.compression} data; "
            "the rest of the input is passed over"
        )

    def _skip_garbage(self, n: int) -> None:
        self.passed_over += n
        self.position += n

    def _note_padding(self) -> None:
        if self._zeros:
            self.notes.append(
                f"{self._name}: byte {self.position - self._zeros:,}: found {counted(self._zeros, 'byte')} of zeros "
                f"behind the {self.compression} data"
            )
            self._zeros = 0
