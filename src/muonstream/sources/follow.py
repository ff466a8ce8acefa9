"""Files and folders that grow while they are read, as a DAQ writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final

from muonstream.sources.block import Block, SourceError
from muonstream.sources.files import READ_BYTES
from muonstream.sources.formats import ENOUGH_BYTES, SAMPLE_BYTES, Decoder, Format, check, decoder, recognise

POLL_S: Final = 0.1


class _Growing:
    """One file that may grow, be truncated, or be replaced by another of its name."""

    def __init__(self, path: Path, format: Format | None) -> None:
        self._path = path
        self._format = format
        self._handle: BinaryIO = path.open("rb", buffering=0)
        self._decoder: Decoder | None = None
        self._sample = b""

    def read(self) -> Block | None:
        """What has come, or None when there is nothing new."""
        data = self._handle.read(READ_BYTES)
        if not data:
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
        except SourceError:
            if len(self._sample) < ENOUGH_BYTES:
                return Block()
            raise
        self._decoder = decoder(found, str(self._path))
        block = self._decoder.feed(self._sample)
        self._sample = b""
        block.begins = True
        return block

    def finish(self) -> Block:
        """The end of the file as it was: what is left of it."""
        self.close()
        if self._decoder is not None:
            return self._decoder.feed(b"", last=True)
        if self._sample:
            return Block(malformed=1, faults=[f"{self._path}: byte 0: found {len(self._sample)} bytes of no format"])
        return Block()

    def close(self) -> None:
        """Read no more."""
        self._handle.close()

    def truncated(self) -> bool:
        """Whether the file is shorter than what was read of it."""
        return os.fstat(self._handle.fileno()).st_size < self._handle.tell()

    def replaced(self) -> bool:
        """Whether the file under this name is another one now."""
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._handle.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)


def follow(name: str, format: Format | None, stop: Event) -> Iterator[Block]:
    """Blocks of a file or of a folder's files, in order of names, and of what is written to them, until `stop` is set.

    A truncated or replaced file is read anew, and begins again. In a folder, a file is left for the next when that
    one is there and nothing more comes. Raises SourceError for a file that is not there or not recognised.
    """
    path = Path(name)
    if not path.exists():
        raise SourceError(f"{name}: no such file or folder")
    done: set[Path] = set()
    current: _Growing | None = None
    at: Path | None = None
    try:
        while True:
            if current is None:
                at = path if not path.is_dir() else _next(path, done)
                if at is not None and at.exists():
                    try:
                        current = _Growing(at, format)
                    except OSError as error:
                        raise SourceError(f"{at}: cannot be read: {error.strerror or error}") from None
            block = current.read() if current is not None else None
            if block is not None:
                yield block
                continue
            if stop.is_set():
                if current is not None:
                    yield current.finish()
                return
            if current is not None and at is not None:
                truncated = current.truncated()
                anew = truncated or current.replaced()
                if anew or (path.is_dir() and _next(path, {*done, at}) is not None):
                    if not truncated:  # what was written since we read, before the other file was made
                        yield from iter(current.read, None)
                    yield current.finish()
                    if not anew:
                        done.add(at)
                    current = None
                    continue
            yield Block(idle=True)
            stop.wait(POLL_S)
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
