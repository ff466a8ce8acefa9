"""Files and folders that grow while they are read, as a DAQ writes them.

Files are known by identity (device and inode), not by name: a file that is renamed stays the same, a link is another
name, a name that is used again is a new file. All files of a folder are looked at each time: the first in natural order
that has bytes which were not read is read next, so a file that grows after another was begun loses nothing. What is not
data, or holds the same words as another file, is passed over with a line, and at the end a line names all of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np

from muonstream.formats.block import Block, InputReport, SourceError, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.sources.copies import Copies
from muonstream.sources.files import ASK_S, EVERY, undecided
from muonstream.sources.listing import list_source, still_aside
from muonstream.sources.reader import hits_of
from muonstream.sources.sameness import Twin
from muonstream.sources.watched import PASSING, Identity, WatchedFile, identity_of

POLL_S: Final = 0.1
SCAN_SHARE: Final = 20
"""A folder that is slow to list is listed so rarely that listing takes at most 1 / this of the time."""
KEPT_OPEN: Final = 16
TRIED_S: Final = 30.0
"""A file that cannot be read for the moment is reported once in so long."""
LATE_NS: Final = 60 * 10**9
"""A file of an older run's folder is looked at until nothing was written to it for so long, and once at the end."""
NAMED: Final = 10


def follow(name: str, format: Format | None, stop: Event, *, expected: Expected = EVERY) -> Iterator[Block]:
    """Blocks of a file or of a folder's files, and of what is written to them, until `stop` is set.

    Raises SourceError for a source that is missing or cannot be read, and for a file alone that is not data.
    """
    followed = _Followed(Path(name), Wanted(expected, format))
    try:
        followed.scan()
    except OSError as error:
        raise _unreadable(name, error) from None
    return _blocks(name, followed, stop)


def _unreadable(name: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{error.filename}: no such file or folder")
    return SourceError(f"{error.filename or name}: cannot be read: {error.strerror or error}")


def _blocks(name: str, followed: _Followed, stop: Event) -> Iterator[Block]:
    ending = False
    try:
        while True:
            progress = False
            for block in followed.step():
                progress = True
                yield block
            if progress:
                continue
            if ending:
                yield from followed.finish()
                return
            if stop.is_set():
                # what was written since the last look is part of the run
                ending = True
                followed.scan(at_once=True)
                continue
            yield Block(idle=True)
            stop.wait(POLL_S)
            yield from followed.notes()
            followed.scan()
    except OSError as error:
        raise _unreadable(name, error) from None
    finally:
        followed.close()


class _Followed:
    """All files of a source, and which is read next."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._wanted = wanted
        self._alone = not os.path.isdir(path)
        self._files: list[WatchedFile] = []  # in natural order of names, then of time
        self._by_identity: dict[Identity, WatchedFile] = {}
        self._retired: list[WatchedFile] = []
        self._undecided: list[WatchedFile] = []  # of those, the ones whose words are to be given yet
        self._aside: dict[str, str] = {}  # names that are passed over without being opened, and why
        self._unseen: dict[str, str] = {}  # names that could not be looked at the last time, and why
        self._names: Counter[str] = Counter()
        self._copies = Copies(wanted)
        self._content = ContentCheck(str(path))
        self._at = 0  # the files before this one had nothing to read at the last look
        self._open: deque[WatchedFile] = deque()
        self._last: WatchedFile | None = None  # the one that was read last
        self._newest: WatchedFile | None = None  # the one that was begun last
        self._began = 0.0
        self._next_scan = 0.0
        self._tried: dict[str, float] = {}
        self._lines: list[str] = []
        self._missing = False

    def notes(self) -> Iterator[Block]:
        """What to report of the source itself."""
        if self._lines:
            lines, self._lines = self._lines, []
            yield Block(notes=lines)

    def scan(self, *, at_once: bool = False) -> None:
        """Look at the source: new files, renamed ones, sizes; at_once: however long that takes. Raises OSError."""
        began = time.monotonic()
        for file in [*self._files, *self._retired]:
            file.hold_zeros = not at_once
        if began < self._next_scan and not at_once:
            if self._last is not None and self._last in self._files:
                self._look(self._last)
                self._at = self._files.index(self._last)
            return
        self._at = 0
        try:
            listing = list_source(self._path)
        except OSError as error:
            if not self._files and error.errno not in PASSING:
                raise
            if isinstance(error, FileNotFoundError):
                if not self._missing:
                    self._missing = True
                    what = "a file of that name" if self._alone else "it to come back"
                    self._lines.append(f"{self._path}: has disappeared; waiting for {what}")
            else:
                self._try_again(str(self._path), error)
            for file in self._files:
                self._look(file)
            return
        self._missing = False
        seen: dict[Identity, WatchedFile] = {}
        unseen = {path for path, _ in listing.unseen}
        self._unseen = {str(path): f"cannot be read: {why.strerror or why}" for path, why in listing.unseen}
        for path, why in listing.unseen:
            self._try_again(str(path), why)
        added = False
        for path, status in listing.files:
            known = self._by_identity.get(identity_of(status))
            if identity_of(status) in seen:
                self._aside[str(path)] = f"is another name of {seen[identity_of(status)].name}"
                continue
            try:
                known = known or self._returned(path, status)
            except OSError as error:
                unseen.add(path)
                self._try_again(str(path), error)
                continue
            file = known or WatchedFile(path, status, self._wanted, self._names, hold_zeros=not at_once)
            if file not in self._files:
                self._add(file)
                added = True
            else:
                if path != file.path and (not path.is_symlink() or not os.path.lexists(file.path)):
                    file.path = path
                file.see(status)
            seen[identity_of(status)] = file
        if added:  # those without a name any more come first: what is left of them is read before their successors
            order = {path: index for index, (path, _) in enumerate(listing.files)}
            self._files.sort(key=lambda one: order.get(one.path, -1))
        for file in [file for file in self._files if file.identity not in seen and file.path not in unseen]:
            self._look(file)
            if not self._still_written(file) and (not file.unread or not file.is_open):
                self._retire(file)
        if at_once:
            gone = [file for file in self._retired if file.identity not in self._by_identity]
            for file in [file for file in gone if self._still_written(file) and file.unread]:
                self._retired.remove(file)
                self._add(file)
        self._aside |= {str(path): why for path, why in listing.passed_over}
        if listing.only_folders and not self._tried.get("folders"):
            self._tried["folders"] = began
            self._lines.append(
                f"{self._path}: found only folders; expected files, or folders named Run and a number, of which the "
                "newest is followed"
            )
        self._next_scan = began + SCAN_SHARE * (time.monotonic() - began) if len(self._files) > 100 else 0.0

    def _add(self, file: WatchedFile) -> None:
        if self._alone and any(other.path == file.path for other in self._files):
            self._lines.append(f"{file.path}: is another file now, which is read from its beginning")
        self._files.append(file)
        self._by_identity[file.identity] = file

    def _returned(self, path: Path, status: os.stat_result) -> WatchedFile | None:
        """The file that had no name for a while and has one again, as when its folder was not mounted."""
        for file in [file for file in self._retired if file.identity == identity_of(status)]:
            file.path, before = path, file.path
            if file.returned(status):
                self._retired.remove(file)
                if file in self._undecided:
                    self._undecided.remove(file)
                elif file.reader is not None and file.reader.ended:
                    self._copies.overwritten(file)
                    file.begin_again()
                return file
            file.path = before
            file.close()
        return None

    def _retire(self, file: WatchedFile) -> None:
        """Forget a file that has lost its name and has nothing to read: its inode may be reused."""
        if self._alone and self._by_identity and len(self._files) == 1:
            return  # it may come back
        self._files.remove(file)
        del self._by_identity[file.identity]
        self._retired.append(file)
        if file.unread and not file.passed_over:
            file.trouble = "it was removed or moved away"
        elif file.reader is not None and file.reader.form is None:
            self._undecided.append(file)  # a copy of it may follow
        if file is not self._last:
            file.close()

    def _still_written(self, file: WatchedFile) -> bool:
        """Whether a file that is not listed any more, as in the folder of an older run, may have been written to."""
        try:
            return file.is_named() and (file.unread or time.time_ns() - file.modified_ns < LATE_NS)
        except OSError as error:
            self._try_again(file.name, error)
            return False

    def _look(self, file: WatchedFile) -> None:
        try:
            file.look()
        except OSError as error:
            self._try_again(file.name, error)

    def step(self) -> Iterator[Block]:
        """Read some of the first file that has unread bytes; no blocks where none has."""
        yield from self.notes()
        while self._undecided:
            yield from self._end(self._undecided.pop(0))
        while self._at < len(self._files):
            file = self._files[self._at]
            try:
                if file.changed():
                    yield from self._read_again(file)
                if file.unread:
                    read = False
                    for block in self._read(file):
                        read, file.trouble = True, ""
                        yield block
                    if read:
                        return
            except FileNotFoundError:
                pass  # renamed or removed since the last look; the next look shows which
            except OSError as error:
                if error.errno not in PASSING and self._alone and not file.seen:
                    raise
                self._try_again(file.name, error)
                file.trouble = error.strerror or str(error)
                file.close()
            self._at += 1
        yield from self._ask()

    def _read_again(self, file: WatchedFile) -> Iterator[Block]:
        """Conclude what was read of a file that was truncated or rewritten, and have it read from its beginning."""
        done = "were passed over" if file.passed_over else "had been read"
        note = f"was truncated or rewritten after its first {counted(file.seen, 'byte')} {done}"
        yield Block(notes=[f"{file.path}: byte {file.seen:,}: {note}; it is read again from byte 0"])
        yield from self._end(file)
        self._copies.overwritten(file)
        file.begin_again()

    def _end(self, file: WatchedFile) -> Iterator[Block]:
        """The end of a file's content, which is overwritten or has no name any more."""
        if file.reader is None:
            return
        undecided = file.reader.form is None
        found: list[Block] = []
        try:
            for block in file.reader.finish():
                found.append(block)
                yield block
        except SourceError as error:
            yield self._give_up(file, error, rewritten=True)
        if undecided and found:
            self._copies.remember(file, hits_of(np.concatenate([block.words for block in found])))

    def _read(self, file: WatchedFile) -> Iterator[Block]:
        """Some blocks of a file, or none where it must wait."""
        again = file.left or file is self._last
        if file.reader is not None and file.reader.form is None and self._copies.begins_alike(file):
            file.undecided_again()
        if file.reader is None:
            found = self._begin(file)
            if found is not None:
                yield found
            if file.reader is None:
                return
        elif file.left:
            file.left = False
            more = counted(file.size - file.position, "byte")
            if self._newest is not None and self._newest is not file:
                grown = f"has grown by {more} after {self._newest.path.name} was begun; they are read now"
                yield Block(notes=[f"{file.path}: {grown}"])
        try:
            yield from file.read()
        except SourceError as error:
            if self._alone:
                raise
            yield self._give_up(file, error)
        if file.reader is not None and file.reader.form is not None:
            if self._last is not None and self._last is not file:
                self._last.leave()
            self._last, self._newest = file, self._newest if again else file
        self._close_some(file)

    def _give_up(self, file: WatchedFile, error: SourceError, *, rewritten: bool = False) -> Block:
        """Read no more of a file that is not data, or is broken; rewritten: of the content it had before."""
        why = str(error).removeprefix(f"{file.name}: ")
        if file.reader is None or file.reader.form is None:
            return file.pass_over(why, rewritten=rewritten)
        file.stop_reading()
        return Block(notes=[f"{file.name}: {why}; the rest is passed over"], report=file.report)

    def _begin(self, file: WatchedFile) -> Block | None:
        """Get ready to read a file from its beginning, unless it holds the words of another one; what to report."""
        twin = self._copies.twin_of(file)
        if twin is None:
            return None
        if twin.whole:
            said = file.passed_over
            block = file.pass_over(twin.why)
            return replace(block, notes=[]) if said else block
        file.leave_out = twin.known_hits
        file.begin(None if self._last is None else self._last.reader, self._content)
        return Block(notes=[f"{file.name}: {twin.why}"]) if twin.hits or twin.gone else None

    def _ask(self) -> Iterator[Block]:
        """Report files whose format is still undecided after a while."""
        now = time.monotonic()
        for file in self._files:
            reader = file.reader
            if reader is None or reader.form is not None or not reader.raw_bytes or file.passed_over:
                continue
            since = self._tried.setdefault(f"format of {file.name}", now)
            if since and now - since > ASK_S:
                self._tried[f"format of {file.name}"] = 0.0
                yield Block(notes=[undecided(reader)], report=reader.report)

    def _try_again(self, name: str, error: OSError) -> None:
        now = time.monotonic()
        if now - self._tried.get(name, -TRIED_S) >= TRIED_S:
            self._tried[name] = now
            self._lines.append(f"{name}: cannot be read for the moment: {error.strerror or error}; trying again")

    def _close_some(self, file: WatchedFile) -> None:
        """Keep few files open: those that were read last."""
        if file not in self._open:
            self._open.append(file)
        if len(self._open) > KEPT_OPEN:
            self._open.popleft().close()

    def finish(self) -> Iterator[Block]:
        """The end of the run: what was held back of each file, then what was passed over, and why.

        Raises SourceError for a file alone whose end cannot be read.
        """
        lost: list[Block] = []
        for file in [*self._retired, *self._files]:
            if file.comparison is not None:
                yield from self._conclude(file)
            if file.reader is not None:
                if self._last is not None and self._last.reader is not None and self._last.reader.form is not None:
                    file.reader.expect(self._last.reader.form)
                try:
                    yield from file.reader.finish()
                except SourceError as error:
                    if self._alone and self._last in (None, file):
                        raise
                    yield self._give_up(file, error)
            if file.trouble and file.unread:
                lost.append(file.lose())
                yield lost[-1]
        if self._last is not None and self._last.reader is not None:
            yield self._last.reader.conclude(self._content)
        yield from self._name_passed_over()
        if lost and self._alone:
            raise SourceError(lost[-1].notes[0])

    def _conclude(self, file: WatchedFile) -> Iterator[Block]:
        """Conclude the comparison of a file with another."""
        assert file.comparison is not None
        name, comparison = file.comparison
        file.comparison = None
        try:
            comparison.finish()
        except (SourceError, OSError) as error:
            yield Block(notes=[f"{file.name}: cannot be compared with {name}: {error}"])
            return
        twin = Twin.by(name, comparison)
        if twin.whole:
            if not file.passed_over:
                yield file.pass_over(twin.why)
            return
        yield Block(notes=[f"{file.name}: {twin.why}"])
        file.leave_out = twin.known_hits
        file.begin(None, self._content)
        read = True
        while file.unread and read:
            read = False
            for block in file.read():
                read = True
                yield block

    def _name_passed_over(self) -> Iterator[Block]:
        if self._alone:
            return
        reports = [file.report for file in [*self._retired, *self._files]]
        read = {folder for report in reports if report.status == "read" for folder in Path(report.name).parents}
        for name, why in still_aside(self._aside | self._unseen, read):
            reports.append(InputReport(name, status="passed over", why=why))
            yield Block(report=reports[-1])
        for report in reports:
            if report.status == "waiting":
                why = "is empty" if not report.size else "shows no format"
                yield Block(report=replace(report, status="passed over", why=why))
        over = [report for report in reports if report.status != "read"]
        if over:
            names = ", ".join(f"{Path(report.name).name} ({report.why or 'is empty'})" for report in over[:NAMED])
            more = f" and {len(over) - NAMED} more" if len(over) > NAMED else ""
            seen = f"{counted(len(reports), 'file')} seen, {len(reports) - len(over)} read, {len(over)} passed over"
            yield Block(notes=[f"{self._path}: {seen}: {names}{more}"])

    def close(self) -> None:
        """Close all files."""
        for file in [*self._retired, *self._files]:
            file.close()
            if file.comparison is not None:
                file.comparison[1].close()
