"""Files and folders that grow while they are read, as a DAQ writes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final

from muonstream.formats.block import Block, SourceError, counted
from muonstream.formats.recognise import ENOUGH_BYTES, SAMPLE_BYTES, Decoder, Format, check, decoder, recognise
from muonstream.formats.table import HeaderError, has_header
from muonstream.sources.files import READ_BYTES

POLL_S: Final = 0.1
REMEMBERED_BYTES: Final = 4096
"""So much of a file's beginning is remembered, to see whether it is still the same file."""


class _Growing:
    """One file that may grow, be truncated or written anew, or be replaced by another of its name."""

    def __init__(self, path: Path, format: Format | None) -> None:
        self._path = path
        self._format = format
        self._handle: BinaryIO = path.open("rb", buffering=0)
        self._decoder: Decoder | None = None
        self._sample = b""
        self._beginning = b""
        self.anew = False
        """Whether it begins otherwise than it did."""
        self.missed = False
        """Whether it was said that the file is gone."""

    def read(self) -> Block | None:
        """What has come, or None when there is nothing new."""
        data = self._handle.read(READ_BYTES)
        # looked at after the data are there: what was written over the beginning before that is not taken for more
        if not self._same() or not data:
            return None
        if self._decoder is not None:
            return self._decoder.feed(data)
        self._sample += data
        try:
            if self._format is None:
                found = recognise(self._sample[:SAMPLE_BYTES], str(self._path))
            else:
                check(self._sample[:SAMPLE_BYTES], self._format, str(self._path))
                found = self._format
        except HeaderError:
            raise
        except SourceError:
            if len(self._sample) < ENOUGH_BYTES:
                return Block()
            raise
        self._decoder = decoder(found, str(self._path))
        block = self._decoder.feed(self._sample)
        self._sample = b""
        block.begins = True
        return block

    def _same(self) -> bool:
        """Whether the file still begins as it did."""
        now = os.pread(self._handle.fileno(), REMEMBERED_BYTES, 0)
        self.anew = self.anew or not now.startswith(self._beginning)
        self._beginning = now
        return not self.anew

    def rest(self) -> Iterator[Block]:
        """What is still to be read, and the end of the file."""
        while (block := self.read()) is not None:
            yield block
        yield self.finish()

    def finish(self) -> Block:
        """The end of the file as it was: what is left of it."""
        self.close()
        if self._decoder is not None:
            return self._decoder.feed(b"", last=True)
        if self._sample and not has_header(self._sample, str(self._path)):
            return Block(
                malformed=1, faults=[f"{self._path}: byte 0: found {counted(len(self._sample), 'byte')} of no format"]
            )
        return Block()

    def close(self) -> None:
        """Read no more."""
        self._handle.close()

    def gone(self) -> bool:
        """Whether no file has this name any more."""
        return not os.path.lexists(self._path)

    def replaced(self) -> bool:
        """Whether another file has this name now."""
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._handle.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

    def truncated(self) -> bool:
        """Whether the file has become shorter than what was read of it, or begins otherwise than it did."""
        return self.anew or os.fstat(self._handle.fileno()).st_size < self._handle.tell()


def follow(
    name: str, format: Format | None, stop: Event, say: Callable[[str], None] = lambda line: None
) -> Iterator[Block]:
    """Blocks of a file or of a folder's files, in order of names, and of what is written to them, until `stop` is set.

    A file that is truncated, written anew or replaced is read from its beginning, and `say` gets a line about it, as
    when it is gone. In a folder, a file is left for the next when that one is there and nothing more comes.
    Raises SourceError for a file that is not there, not recognised, or cannot be read.
    """
    path = Path(name)
    done: set[Path] = set()
    current: _Growing | None = None
    at: Path | None = None
    try:
        os.stat(path)
        while True:
            if current is None:
                at = path if not path.is_dir() else _next(path, done)
                if at is not None and at.exists():
                    current = _Growing(at, format)
            block = current.read() if current is not None else None
            if block is not None:
                yield block
                continue
            if current is not None and current.truncated():
                say(f"{at}: was cut short or written anew, and is read from its beginning")
                yield current.finish()
                current = None
                continue
            if stop.is_set():
                if current is not None:
                    yield current.finish()
                return
            if current is not None and at is not None:
                replaced = current.replaced()
                if replaced:
                    say(f"{at}: is another file now, which is read from its beginning")
                elif current.gone() and not current.missed and not path.is_dir():
                    current.missed = True
                    say(f"{at}: is gone; one of its name is waited for")
                if replaced or (path.is_dir() and _next(path, {*done, at}) is not None):
                    # it may have grown after the last look, before another took its place
                    yield from current.rest()
                    if not (replaced or current.anew):
                        done.add(at)
                    current = None
                    continue
            yield Block(idle=True)
            stop.wait(POLL_S)
    except FileNotFoundError as error:
        raise SourceError(f"{error.filename}: no such file or folder") from None
    except OSError as error:
        raise SourceError(f"{error.filename or at or name}: cannot be read: {error.strerror or error}") from None
    finally:
        if current is not None:
            current.close()


def _next(folder: Path, done: set[Path]) -> Path | None:
    """The first file of a folder that is not done; hidden and temporary ones do not count."""
    return min(
        (
            entry
            for entry in folder.iterdir()
            if entry.is_file()
            and entry not in done
            and not entry.name.startswith(".")
            and entry.suffix not in (".tmp", ".part")
        ),
        default=None,
    )
