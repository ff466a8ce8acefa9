"""A ring of words in shared memory: one program writes, one reads, and neither waits for the other.

The file, of little-endian uint64s, is described in docs/local-sources.md. `RESERVED` is raised before words are copied
into the ring, `WRITTEN` after it; a reader that copies words and then finds `RESERVED` more than the ring's size above
their number knows that they may have been overwritten (a sequence lock: H. Boehm, Can seqlocks get along with
programming language memory models?, MSPC 2012). So what is lost is counted exactly, and nothing torn is ever read.

Writer and reader each hold a lock on a byte of the file, which the system releases when they end, however that happens.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from muonstream.compiled import INTERPRETED, compiled
from muonstream.formats.block import SourceError
from muonstream.sources.schemes import RING
from muonstream.words import WORD_BYTES, Words

MAGIC: Final = int.from_bytes(b"MUONRING", "little")
VERSION: Final = 1
HEADER_BYTES: Final = 4096
FEWEST_WORDS, MOST_WORDS = 1 << 10, 1 << 32
DEFAULT_WORDS: Final = 1 << 23

_MAGIC, _VERSION, _CAPACITY, _SESSION, _STATE = range(5)
_RESERVED, _WRITTEN, _READ = 8, 9, 16
_FIELDS: Final = 17
_OPEN, _ENDED = 1, 2
_WRITER_BYTE, _READER_BYTE = 0, 1
_FOLDER: Final = Path("/dev/shm")


def _load_acquire(typing_context: Any, array: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])
        return builder.load_atomic(at, ordering="acquire", align=8)

    return types.uint64(array, types.int64), codegen


def _store_release(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])
        builder.store_atomic(args[2], at, ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


def _fence(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


# interpreted, in tests only, Python's reads and writes are in order as they are
load_acquire: Any = np.ndarray.__getitem__ if INTERPRETED else intrinsic(_load_acquire)
store_release: Any = np.ndarray.__setitem__ if INTERPRETED else intrinsic(_store_release)
fence: Any = (lambda: None) if INTERPRETED else intrinsic(_fence)


@compiled
def _copy_in(header: Any, data: Any, words: Any) -> None:
    """Put words (uint64[n], at most the ring's size) into the ring, over the oldest."""
    size: Any = len(data)
    n: Any = len(words)
    written: Any = np.int64(header[_WRITTEN])
    store_release(header, _RESERVED, np.uint64(written + n))
    fence()
    at = written % size
    first = min(n, size - at)
    data[at : at + first] = words[:first]
    data[: n - first] = words[first:]
    store_release(header, _WRITTEN, np.uint64(written + n))


@compiled
def _copy_out(header: Any, data: Any, position: int, out: Any) -> tuple[int, int, int]:
    """Copy words from `position` on into out (uint64[m]).

    Gives how many there are, and the two cursors as they are afterwards: up to where words may be on their way into the
    ring, and up to where they are there.
    """
    size = len(data)
    written = np.int64(load_acquire(header, _WRITTEN))
    n: Any = min(written - position, len(out), size)
    if n > 0:
        at = position % size
        first = min(n, size - at)
        out[:first] = data[at : at + first]
        out[first:n] = data[: n - first]
    fence()
    reserved = np.int64(load_acquire(header, _RESERVED))
    return int(n), int(reserved), int(np.int64(load_acquire(header, _WRITTEN)))


@compiled
def _cursor(header: Any, index: int) -> int:
    return int(np.int64(load_acquire(header, index)))


@compiled
def _set_cursor(header: Any, index: int, value: int) -> None:
    store_release(header, index, np.uint64(value))


def ring_path(name: str) -> Path:
    """The file of `shm:NAME`, or of `shm:/a/path`. Raises SourceError."""
    place = name.removeprefix(RING)
    if not place or place in (".", "..") or "\0" in place:
        raise SourceError(f"{name}: found no name, expected shm:NAME or shm:/a/path")
    if "/" not in place and not _FOLDER.is_dir():
        raise SourceError(f"{name}: this system has no {_FOLDER}; name a file in memory: shm:/a/path")
    return Path(place) if "/" in place else _FOLDER / place


class _Mapped:
    """A ring's file, mapped, and the lock on one of its bytes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, 0)
        words = np.frombuffer(self._map, np.uint64)
        self.header: NDArray[np.uint64] = words[: HEADER_BYTES // WORD_BYTES]
        self.data: Words = words[HEADER_BYTES // WORD_BYTES :]

    def close(self) -> None:
        """Unmap the ring, which frees the lock."""
        del self.header, self.data
        with suppress(BufferError):  # a view of it is left somewhere: it is unmapped with that
            self._map.close()
        os.close(self._descriptor)


def _lock(descriptor: int, byte: int) -> bool:
    """Lock a byte of a file for as long as the descriptor is open; False where another has it."""
    request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError:
        return False
    return True


def _is_locked(descriptor: int, byte: int) -> bool:
    """Whether another has locked a byte of a file."""
    request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    found = struct.unpack_from("h", fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request))[0]
    return bool(found != fcntl.F_UNLCK)


class _Opened:
    """A ring that this program has open; a context manager."""

    _ring: _Mapped

    def close(self) -> None:
        """Let go of the ring, and of the lock."""
        self._ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_capacity(name: str, capacity: int) -> None:
    """Raise SourceError for a number of words that no ring has."""
    if capacity & (capacity - 1) or not FEWEST_WORDS <= capacity <= MOST_WORDS:
        raise SourceError(f"{name}: found a ring of {capacity:,} words, expected a power of two from 1,024 on")


def _check_system(name: str) -> None:
    if not hasattr(fcntl, "F_OFD_SETLK") or sys.byteorder != "little":
        raise SourceError(f"{name}: rings need Linux, on a little-endian machine")


class RingWriter(_Opened):
    """Makes a ring and writes words into it; a context manager. Raises SourceError where another writer has it.

    capacity: in words, a power of two
    """

    def __init__(self, name: str, capacity: int = DEFAULT_WORDS) -> None:
        _check_system(name)
        self.name, self.path = name, ring_path(name)
        _check_capacity(name, capacity)
        made = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            if self.path.exists():
                self._refuse_taken()
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SourceError(f"{name}: cannot be made: {error.strerror or error}") from None
        try:
            os.truncate(descriptor, HEADER_BYTES + WORD_BYTES * capacity)
            _lock(descriptor, _WRITER_BYTE)
            self._ring = _Mapped(descriptor)
            header = self._ring.header
            header[_VERSION], header[_CAPACITY], header[_STATE] = VERSION, capacity, _OPEN
            header[_SESSION] = int.from_bytes(os.urandom(7), "little") + 1
            header[_MAGIC] = MAGIC
            os.rename(made, self.path)
        except OSError as error:
            os.unlink(made)
            raise SourceError(f"{name}: cannot be made: {error.strerror or error}") from None

    def _refuse_taken(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if _is_locked(descriptor, _WRITER_BYTE):
                raise SourceError(f"{self.name}: another program is writing to this ring; name another")
        finally:
            os.close(descriptor)

    @property
    def written(self) -> int:
        """Words written so far."""
        return _cursor(self._ring.header, _WRITTEN)

    @property
    def room(self) -> int:
        """Words that can be written without overwriting any that the reader has not read."""
        return len(self._ring.data) - self.unread

    @property
    def unread(self) -> int:
        """Words that the reader has not read yet."""
        return self.written - _cursor(self._ring.header, _READ)

    def write(self, words: Words) -> None:
        """Write words (uint64[n]), over the oldest, at once; whoever must not lose any looks at `room` first."""
        size = len(self._ring.data)
        for begin in range(0, len(words), size // 4):
            _copy_in(self._ring.header, self._ring.data, words[begin : begin + size // 4])

    def end(self) -> None:
        """The run has ended: no more words come."""
        _set_cursor(self._ring.header, _STATE, _ENDED)


class RingReader(_Opened):
    """Reads the words of a ring that is there. Raises SourceError for anything else, FileNotFoundError for nothing.

    position: the number of the next word; earlier: words that had been written and read, or overwritten, before this
    reader came
    """

    def __init__(self, name: str) -> None:
        _check_system(name)
        self.name, self.path = name, ring_path(name)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from None
        try:
            self._check(descriptor)
            if not _lock(descriptor, _READER_BYTE):
                raise SourceError(f"{name}: another program is reading this ring")
            self._ring = _Mapped(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        read, written = (_cursor(self._ring.header, index) for index in (_READ, _WRITTEN))
        size = len(self._ring.data)
        # at a writer's heels words would be overwritten while they are read
        self.position = max(read, 0 if written <= size // 2 else written - size // 2)
        self.earlier = self.position

    def _check(self, descriptor: int) -> None:
        """Raise SourceError unless the file is a ring as this version knows it; nothing is mapped before."""
        head = os.pread(descriptor, WORD_BYTES * _FIELDS, 0)
        fields = struct.unpack(f"<{len(head) // WORD_BYTES}Q", head[: len(head) // WORD_BYTES * WORD_BYTES])
        size = os.fstat(descriptor).st_size
        if len(fields) < _FIELDS or fields[_MAGIC] != MAGIC:
            raise SourceError(f"{self.name}: found something other than a ring of words in {self.path}")
        if fields[_VERSION] != VERSION:
            raise SourceError(f"{self.name}: found a ring of version {fields[_VERSION]}, expected {VERSION}")
        capacity = fields[_CAPACITY]
        _check_capacity(self.name, capacity)
        if size != HEADER_BYTES + WORD_BYTES * capacity:
            raise SourceError(
                f"{self.name}: found {size:,} bytes, expected {HEADER_BYTES + WORD_BYTES * capacity:,} for a ring of "
                f"{capacity:,} words"
            )

    @property
    def capacity(self) -> int:
        """Words that the ring holds."""
        return len(self._ring.data)

    @property
    def ended(self) -> bool:
        """Whether the writer has said that the run has ended."""
        return _cursor(self._ring.header, _STATE) == _ENDED

    @property
    def has_writer(self) -> bool:
        """Whether the writer's program still runs."""
        return _is_locked(self._descriptor, _WRITER_BYTE)

    @property
    def waiting(self) -> int:
        """Words written and not read yet."""
        return _cursor(self._ring.header, _WRITTEN) - self.position

    def read(self, out: Words) -> tuple[Words, int]:
        """The next words, as a view of out (uint64[n]), and how many in front of them were overwritten unread.

        After a loss a quarter of the ring is skipped, or the next words would be overwritten while they are read.
        Raises SourceError for cursors that no writer sets.
        """
        position, size = self.position, len(self._ring.data)
        n, reserved, written = _copy_out(self._ring.header, self._ring.data, position, out)
        if n < 0 or written < position or reserved - written > size:
            raise SourceError(
                f"{self.name}: found {written:,} words written and {reserved:,} begun, after {position:,} were read: "
                "its writer does not keep to the layout"
            )
        lost = max(reserved - size - position, 0)
        words = out[min(lost, n) : n]
        if lost >= n > 0:
            n = lost = min(lost + size // 4, written - position)
        self.position += n
        _set_cursor(self._ring.header, _READ, self.position)
        return words, lost

    def remove(self) -> None:
        """Remove the ring, unless another one has its name by now."""
        if not self.replaced:
            with suppress(OSError):
                os.unlink(self.path)

    @property
    def replaced(self) -> bool:
        """Whether the name belongs to another ring by now, or to none."""
        try:
            return os.stat(self.path).st_ino != os.fstat(self._descriptor).st_ino
        except OSError:
            return True
