"""A file that may grow while it is read, be renamed, truncated, overwritten, replaced, or unreadable for a moment."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from muonstream.formats.block import Block, ByteAccount, InputReport, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.recognise import Wanted
from muonstream.sources.digest import DigestComparison, HitDigest
from muonstream.sources.files import READ_BYTES
from muonstream.sources.reader import InputReader
from muonstream.sources.sameness import Comparison, Twin
from muonstream.words import WORD_BYTES

REMEMBERED_BYTES: Final = 4096
"""So many bytes of a file's beginning, and of those read last, are remembered, to see whether it is still the same."""
PASSING: Final = frozenset(
    {errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.EREMOTEIO}
)
"""Errors after which the same file can be read a moment later, even where nothing was read of it yet: network file
systems, too many open files. Once some of it was read, any error is tried again."""

Identity = tuple[int, int]


def identity_of(status: os.stat_result) -> Identity:
    """Device and inode."""
    return status.st_dev, status.st_ino


@dataclass(frozen=True, slots=True, eq=False)
class Overwritten:
    """What a file of this name held before it was overwritten."""

    name: str
    digest: HitDigest


class WatchedFile:
    """One file of a followed source, by identity: its name may change, and it is opened only while it is read.

    path: its present one; position: bytes read; size: as far as is known; left: another file was read after it
    passed_over: it is not data, or the same as another file, when it had `passed_size` bytes
    comparison: with another file of this name, while it holds the same words; longer_since: when it was found longer
    leave_out: hits at its beginning that another file had
    candidates: with which others it is to be compared after that; nearest: of those it was compared with, the one that
    it shares the most hits with before they differ
    digest: of all its hits, to know a copy when it is gone; None while nothing was read
    trouble: why it cannot be read for the moment, or ""
    hold_zeros: whether zeros up to its end wait, for it may have been allocated in advance and be filled in place
    names: under which earlier inputs of the source are reported: a file whose name was used before gets another one
    """

    def __init__(
        self,
        path: Path,
        status: os.stat_result,
        wanted: Wanted,
        names: Counter[str] | None = None,
        *,
        hold_zeros: bool = True,
    ) -> None:
        self.path = path
        self._names = Counter[str]() if names is None else names
        self.identity = identity_of(status)
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns
        self.position = 0
        self.left = False
        self.passed_over = False
        self.passed_size = -1
        self.comparison: tuple[str, Comparison | DigestComparison] | None = None
        self.candidates: list[WatchedFile | Overwritten] = []
        self.nearest: Twin | None = None
        self.longer_since: float | None = None
        self.leave_out = 0
        self.digest: HitDigest | None = None
        self.trouble = ""
        self.hold_zeros = hold_zeros
        self._waiting = (-1, -1)  # its size and time of change when zeros at its end were held back
        self.reader: InputReader | None = None
        self._wanted = wanted
        self._earlier: InputReport | None = None  # the report of content that was overwritten, or of the name alone
        self._named = False
        self._report: InputReport | None = None  # while there is no reader, once there was one
        self._descriptor = -1
        self._beginning = self._newest = b""
        self._checked = (-1, -1)

    @property
    def name(self) -> str:
        """Its present path."""
        return str(self.path)

    @property
    def report(self) -> InputReport:
        """What became of it."""
        if self.reader is not None:
            return self.reader.report
        return self._report or self._earlier or InputReport(self.name)

    @property
    def seen(self) -> int:
        """Bytes of its present content that were read, or passed over."""
        return max(self.position, self.passed_size)

    @property
    def unread(self) -> bool:
        """Whether it is known to have unread bytes."""
        if self.passed_over:
            return self.comparison is not None and self.size != self.passed_size
        waits = self.hold_zeros and self._waiting == (self.size, self.modified_ns)
        return self.size > self.position and not waits

    @property
    def is_open(self) -> bool:
        """Whether it is open: then it can be read even after its name is gone."""
        return self._descriptor >= 0

    def open(self) -> None:
        """Have it open. Raises OSError, FileNotFoundError where another file has its name by now."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if identity_of(os.fstat(self._descriptor)) != self.identity:
                self.close()
                raise FileNotFoundError(errno.ENOENT, "is another file by now", self.name)

    def close(self) -> None:
        """Close it until it is read again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def look(self) -> None:
        """Find out how large it is now, if it is open. Raises OSError."""
        if self.is_open:
            self.see(os.fstat(self._descriptor))

    def is_named(self) -> bool:
        """Whether its path still leads to it; then take over its status. Raises OSError."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        if identity_of(status) != self.identity:
            return False
        self.see(status)
        return True

    def see(self, status: os.stat_result) -> None:
        """Note its size and when it was last written."""
        self.size, self.modified_ns = status.st_size, status.st_mtime_ns

    def changed(self) -> bool:
        """Whether it is shorter than it was, or its beginning or what was read last has changed. Raises OSError."""
        if not self.seen or (not self.is_open and self._checked == (self.size, self.modified_ns)):
            return False
        self.open()
        self.look()
        if self.size < self.seen:
            return True
        self._checked = self.size, self.modified_ns
        same = os.pread(self._descriptor, len(self._beginning), 0) == self._beginning and self._same_newest()
        if self.passed_over:
            self.close()
        return not same

    def _same_newest(self) -> bool:
        """Whether what was read last is still there."""
        newest = os.pread(self._descriptor, len(self._newest), max(0, self.position - len(self._newest)))
        return newest == self._newest

    def returned(self, status: os.stat_result) -> bool:
        """Whether a file with this status, of its identity, is this one, which had no name for a while.

        Its inode may be used for another file: this one is as long as it was, and begins as it did. Raises OSError.
        """
        if not self.seen or status.st_size < self.seen:
            return False
        self.size, self._checked = status.st_size, (-1, -1)
        return not self.changed()

    def begin(self, previous: InputReader | None, content: ContentCheck) -> None:
        """Get ready to read it from its beginning; previous: the reader of the file before; content: of the run."""
        self.passed_over = False
        wanted = self._wanted
        if previous is not None:
            wanted = replace(wanted, before=previous.form)
        self.reader = InputReader(self.name, wanted, previous, content, keep_previous=True, earlier=self._before())
        self.reader.leave_out(self.leave_out)
        self.digest = HitDigest()
        self.reader.take_hits = self.digest.add

    def _before(self) -> InputReport | None:
        """What its report goes on from: that of its earlier content, or a name of its own where another file has it."""
        if not self._named:
            self._named = True
            self._names[self.name] += 1
            nth = self._names[self.name]
            if nth > 1:
                self._earlier = InputReport(f"{self.name} (file {nth} of this name)")
        return self._earlier

    def leave(self) -> None:
        """Another file is read after it."""
        self.left = True
        if self.digest is not None:
            self.digest.thin()

    def begin_again(self) -> None:
        """It was truncated or rewritten: read it from its beginning. What became of its earlier content stays."""
        self._earlier, self._report = self.report, None
        self.position, self._beginning, self._newest, self._checked = 0, b"", b"", (-1, -1)
        self.reader, self.passed_over, self.passed_size, self.leave_out = None, False, -1, 0
        self.digest = None
        self.end_comparison()

    def undecided_again(self) -> None:
        """Forget what was taken of it while its format was undecided, so that it is read from its beginning."""
        self.reader, self.position, self._beginning, self._newest = None, 0, b"", b""

    def end_comparison(self) -> None:
        """Compare it with no other file any more."""
        self.longer_since, self.candidates, self.nearest = None, [], None
        if self.comparison is not None:
            self.comparison[1].close()
            self.comparison = None

    def stop_reading(self) -> None:
        """Read no more of it: what was read stays counted, the rest is broken."""
        report, self.reader = self.report, None
        self._report = replace(
            report,
            why=f"{report.why}; broken further on",
            waiting=0,
            bytes=report.bytes + ByteAccount(passed_over=report.waiting),
        )
        self.passed_over = True
        self.close()

    def read(self) -> Iterator[Block]:
        """The blocks of what has come, READ_BYTES of it at most. Raises OSError and SourceError."""
        assert self.reader is not None
        self.open()
        data = os.pread(self._descriptor, READ_BYTES, self.position)
        if data and self.hold_zeros:
            data = self._without_zeros(data)
            if not data:
                return
        # looked at after the data are there: what was written over the file before that is not taken for more
        beginning = os.pread(self._descriptor, min(REMEMBERED_BYTES, self.position + len(data)), 0)
        if not (beginning.startswith(self._beginning) and self._same_newest()):
            return
        self._beginning = beginning
        self._newest = (self._newest + data[-REMEMBERED_BYTES:])[-REMEMBERED_BYTES:]
        if not data:
            self.size = self.position
            return
        self.position += len(data)
        self.size = max(self.size, self.position)
        yield Block(report=self.reader.report)
        yield from self.reader.feed(data)

    def _without_zeros(self, data: bytes) -> bytes:
        """What was read, without zeros at its end that go on to the file's end."""
        kept = data.rstrip(b"\0")
        if len(data) - len(kept) < WORD_BYTES or not (kept or self.position):
            return data
        behind = max(self.position + len(data), self.size - REMEMBERED_BYTES)
        if os.pread(self._descriptor, REMEMBERED_BYTES, behind).strip(b"\0"):
            return data
        self._waiting = self.size, self.modified_ns
        return kept

    def lose(self) -> Block:
        """The run ends, and what is left of it cannot be read: its bytes are passed over."""
        left = self.size - self.position
        report = self.report
        why = f"byte {self.position:,}: cannot be read from here on: {self.trouble}"
        status = "passed over" if report.status == "waiting" else report.status
        bytes_ = report.bytes + ByteAccount(passed_over=left)
        self._report = replace(report, status=status, why=report.why or why, size=report.size + left, bytes=bytes_)
        self.reader, self.position = None, self.size
        return Block(report=self._report, notes=[f"{self.name}: {why}; {counted(left, 'byte')} are passed over"])

    def pass_over(self, why: str, *, rewritten: bool = False) -> Block:
        """Leave it out. rewritten: this is about its earlier content, as far as that was read."""
        reader = self.reader or InputReader(self.name, self._wanted, earlier=self._before())
        if not rewritten and not self._beginning:
            with suppress(OSError):
                self.open()
                self._beginning = os.pread(self._descriptor, REMEMBERED_BYTES, 0)
        block = reader.pass_over(why, None if rewritten else self.size)
        self._report, self.reader = reader.report, None
        self.passed_over, self.passed_size = True, self.size
        self.close()
        return block
