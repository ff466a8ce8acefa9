"""Files of words: local, standard input, or any URL that fsspec knows; alone, or as the parts of a run."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from muonstream.buffers import Buffers
from muonstream.errors import without_secrets
from muonstream.formats.block import Block, SourceError, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.sources.ahead import ahead
from muonstream.sources.gathered import gathered
from muonstream.sources.reader import InputReader
from muonstream.sources.sameness import KnownInputs, Twin
from muonstream.sources.schemes import LIVE_ONLY, is_local

READ_BYTES: Final = 1 << 24
SLICE_BYTES: Final = 1 << 21
"""Bytes read and decoded at a time, few enough to stay in the processor's cache."""
LIVE_WORDS: Final = 1 << 18
"""Blocks of a run that is watched are gathered up to this size: Ctrl-C is seen between blocks."""
_ALIGNED: Final = 64
BUFFERS: Final = 8
"""Pieces of a file in use at once: one being read, some being counted by kernels."""
IDLE_S: Final = 0.1
"""Live standard input is idle when nothing has come for this long."""
ASK_S: Final = 10.0
"""A live input whose format is still undecided after this long is reported, with what would decide it."""
EVERY: Final = Expected.any()


def is_stream(name: str) -> bool:
    """Whether a name stands for something that can be read only once, such as standard input or a named pipe."""
    there = is_local(name) and os.path.exists(name)
    return name == "-" or (there and not (os.path.isfile(name) or os.path.isdir(name)))


def open_bytes(name: str, *, wait: bool = True) -> BinaryIO:
    """Open a file, `-` for standard input, or a URL such as s3://bucket/file for reading.

    wait: open a named pipe only once a process writes to it

    Raises SourceError in one line.
    """
    for scheme, what in LIVE_ONLY.items():
        if name.startswith(scheme):
            raise SourceError(f"{name}: expected a file, found {what}; muonstream run reads it")
    if name == "-":
        # unbuffered, so that reading a live stream does not wait for a whole piece
        return open(0, "rb", buffering=0, closefd=False)
    if "://" in name:
        return _open_url(name)
    path = Path(name)
    try:
        if path.is_dir():
            raise SourceError(
                f"{name}: expected a file, found a folder; give its files ({os.path.join(name, '*')}), or read it with "
                f"muonstream run {name}"
            )
        if not wait and path.is_fifo():
            # once open, it is polled with select until a process writes to it
            pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            os.set_blocking(pipe, True)
            return open(pipe, "rb", buffering=0)
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise SourceError(f"{name}: no such file") from None
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from None


def _open_url(name: str) -> BinaryIO:
    try:
        import fsspec
    except ImportError:
        raise SourceError(f"{name}: URLs need the extra: pip install '.[remote]'") from None
    try:
        opened: BinaryIO = fsspec.open(name, "rb").open()
    except Exception as error:  # each filesystem has errors of its own
        reason = " ".join(without_secrets(str(error), of=name).split())
        raise SourceError(f"{name}: cannot be read: {reason or type(error).__name__}") from None
    return opened


def raw_pieces(handle: BinaryIO, live: bool) -> Iterator[bytes | memoryview]:
    """A file's bytes in pieces; if live, an empty one whenever nothing has come for a while. A piece's memory is reused
    once there is no view of it left.
    """
    buffers = Buffers(BUFFERS)
    room, at = memoryview(b""), 0
    while True:
        if live and not select.select([handle], [], [], IDLE_S)[0]:
            yield b""
            continue
        if isinstance(handle, FileIO):
            if len(room) - at < SLICE_BYTES:
                room, at = memoryview(b""), 0  # the old one may be free by now
                room = buffers.room(READ_BYTES // 8).view(np.uint8).data
            n = handle.readinto(room[at : at + SLICE_BYTES])
            piece: bytes | memoryview = room[at : at + n]
            at += -(-n // _ALIGNED) * _ALIGNED
        else:
            piece = handle.read(SLICE_BYTES)
        if not piece:
            return
        yield piece


def read_blocks(
    name: str, format: Format | None = None, *, expected: Expected = EVERY, live: bool = False
) -> Iterator[Block]:
    """All blocks of a file; its format is recognised unless it is named.

    live: standard input and pipes give idle blocks while nothing comes, so that the caller can do other things on time

    Raises SourceError for a file that is missing, empty, unreadable, or shows no format or another one.
    """
    yield from read_input(name, InputReader(name, Wanted(expected, format)), live=live)


def read_input(name: str, reader: InputReader, *, live: bool = False, finish: bool = True) -> Iterator[Block]:
    """All blocks of a file through a reader of its own; without `finish` the reader may take more afterwards.

    Raises SourceError as `read_blocks` does.
    """
    blocks = _input_blocks(name, reader, live and is_stream(name), finish)
    # data from a pipe are passed on at once: the next may be a long time coming
    yield from blocks if is_stream(name) else gathered(blocks, LIVE_WORDS if live else READ_BYTES // 8)


def _input_blocks(name: str, reader: InputReader, live: bool, finish: bool) -> Iterator[Block]:
    with open_bytes(name, wait=not live) as handle:
        since, asked = time.monotonic(), False
        try:
            for piece in raw_pieces(handle, live):
                if piece:
                    yield from reader.feed(piece)
                elif not asked and reader.raw_bytes and reader.form is None and time.monotonic() - since > ASK_S:
                    asked = True
                    yield Block(idle=True, notes=[undecided(reader)])
                else:
                    yield Block(idle=True)
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from None
    if finish:
        yield from reader.finish()
    if not reader.raw_bytes or (finish and not reader.content_bytes):
        raise SourceError(f"{name}: is empty")


def passed_over(name: str, twin: Twin) -> Block:
    """The report of a file that holds nothing but the words of another one."""
    again = name if twin.name != name else f"{name} (given again)"
    return InputReader(again, Wanted(EVERY)).pass_over(twin.why, os.path.getsize(name))


def is_empty(name: str) -> bool:
    """Whether a file is there and has no bytes; False for anything but a plain file."""
    try:
        return os.path.isfile(name) and not os.path.getsize(name)
    except OSError:
        return False


def empty(name: str) -> Block:
    """The report of an empty file among others, such as one that was opened just before the run ended."""
    return InputReader(name, Wanted(EVERY)).pass_over("is empty", 0)


def undecided(reader: InputReader) -> str:
    """A line about an input whose format is not known yet."""
    return (
        f"{reader.name}: found no format yet in the {counted(reader.raw_bytes, 'byte')} so far; nothing is lost "
        f"meanwhile. Waiting for {reader.missing}"
    )


def read_parts(
    files: Sequence[str],
    format: Format | None = None,
    *,
    expected: Expected = EVERY,
    live: bool = False,
    known: KnownInputs | None = None,
) -> Iterator[Block]:
    """All blocks of files that are parts of one run, one after another.

    known: inputs of other runs; these files are added to it. Without it they are compared with each other

    The form of the first part helps to recognise the others, and a word, row or transfer that was cut between two parts
    is put together again. A file that is the same as one before it, by identity or word for word, is passed over with a
    note; so are an empty one and the words of a longer one that were read before.
    Raises SourceError as `read_blocks` does.
    """
    if known is None and len(files) > 1:
        known = KnownInputs(Wanted(expected, format))
    content = ContentCheck("")
    previous: InputReader | None = None
    for name in files:
        if known is not None and is_empty(name):
            yield empty(name)
            continue
        twin = None if known is None else known.meet(name)
        if twin is not None and twin.whole:
            yield passed_over(name, twin)
            continue
        before = None if previous is None else previous.form
        reader = InputReader(name, Wanted(expected, format, before), previous, content)
        blocks = read_input(name, reader, live=live, finish=False)
        if twin is not None:
            yield Block(notes=[f"{name}: {twin.why}"])
            reader.leave_out(twin.known_hits)
        # a pipe may be waited for, and Ctrl-C should end that
        yield from blocks if is_stream(name) else ahead(blocks)
        previous = reader
    if previous is not None:
        yield from previous.finish()
        yield previous.conclude(content)
