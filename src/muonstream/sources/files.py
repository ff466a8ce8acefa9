"""Files of words: local, compressed, standard input, or any URL that fsspec knows."""

from __future__ import annotations

import os
import select
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from muonstream.buffers import Buffers
from muonstream.formats.block import Block, SourceError
from muonstream.formats.recognise import ENOUGH_BYTES, SAMPLE_BYTES, Format, check, decoder, recognise

READ_BYTES: Final = 1 << 24
BUFFERS: Final = 8
"""Pieces of a file that are in use at once: one that is read, some that kernels count."""
IDLE_S: Final = 0.1
"""Live standard input is idle when nothing has come for so long."""
_GZIP: Final = b"\x1f\x8b"


def is_local(name: str) -> bool:
    """Whether a source's name is a path: not standard input, nor a URL, a topic or a simulation."""
    return name != "-" and "://" not in name and not name.startswith("sim:")


def is_stream(name: str) -> bool:
    """Whether a name stands for what can be read but once, as standard input and named pipes can."""
    there = is_local(name) and os.path.exists(name)
    return name == "-" or (there and not (os.path.isfile(name) or os.path.isdir(name)))


def open_bytes(name: str, *, wait: bool = True) -> BinaryIO:
    """Open a file, `-` for standard input, or a URL such as s3://bucket/file for reading.

    wait: open a named pipe only when somebody writes to it

    Raises SourceError in one line.
    """
    for scheme, what in (("kafka://", "a topic"), ("sim:", "a simulation")):
        if name.startswith(scheme):
            raise SourceError(f"{name}: found {what}, allowed are files; muonstream run takes it")
    if name == "-":
        # unbuffered, so that a live stream is not waited for until a whole piece is there
        return open(0, "rb", buffering=0, closefd=False)
    if "://" in name:
        return _open_url(name)
    path = Path(name)
    try:
        if path.is_dir():
            raise SourceError(f"{name}: found a folder, allowed is a file")
        if not wait and path.is_fifo():
            # once open it is waited for with select, until somebody writes
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
        raise SourceError(f"{name}: cannot be read: {str(error) or type(error).__name__}") from None
    return opened


def _raw_pieces(handle: BinaryIO, live: bool) -> Iterator[bytes | memoryview]:
    """A file's bytes in pieces; if live, an empty one whenever nothing has come for a while."""
    buffers = Buffers(BUFFERS)
    while True:
        if live and not select.select([handle], [], [], IDLE_S)[0]:
            yield b""
            continue
        if isinstance(handle, FileIO):
            buffer = buffers.room(READ_BYTES // 8).view(np.uint8).data
            piece: bytes | memoryview = buffer[: handle.readinto(buffer)]
        else:
            piece = handle.read(READ_BYTES)
        if not piece:
            return
        yield piece


def read_pieces(handle: BinaryIO, name: str, *, live: bool = False) -> Iterator[bytes | memoryview]:
    """A file's bytes in pieces, decompressed if they are gzip's; if live, an empty one while nothing comes.

    A piece stays as it is as long as anybody has a view of it; afterwards its memory is used again.

    Raises SourceError for broken gzip.
    """
    gzip: zlib._Decompress | None = None
    begun = inside = False
    first = b""
    try:
        for piece in _raw_pieces(handle, live):
            if piece and not begun:
                if first:
                    piece, first = b"".join((first, piece)), b""
                if piece == _GZIP[:1]:
                    # a pipe may give one byte alone
                    first = bytes(piece)
                    continue
                begun = True
                gzip = zlib.decompressobj(wbits=31) if piece[: len(_GZIP)] == _GZIP else None
            if gzip is None or not piece:
                yield piece
                continue
            while piece:
                out = gzip.decompress(piece)
                if out:
                    yield out
                inside, piece = not gzip.eof, gzip.unused_data
                if gzip.eof:
                    # another member may follow
                    gzip = zlib.decompressobj(wbits=31)
        if inside:
            raise SourceError(f"{name}: gzip data end too early")
        if first:
            yield first
    except zlib.error as error:
        raise SourceError(f"{name}: broken gzip data: {error}") from None


def read_blocks(name: str, format: Format | None = None, *, live: bool = False) -> Iterator[Block]:
    """All blocks of a file; its format is recognised unless it is named.

    live: standard input and pipes give idle blocks while nothing comes, so that who reads can do other things on time

    Raises SourceError for a file that is not there, empty, unreadable, or of no or another format.
    """
    live = live and is_stream(name)
    handle = open_bytes(name, wait=not live)
    with handle:
        pieces = read_pieces(handle, name, live=live)
        sample = b""
        try:
            for piece in pieces:
                sample += piece
                if len(sample) >= (SAMPLE_BYTES if piece else ENOUGH_BYTES):
                    break
                if not piece:
                    yield Block(idle=True)
            if not sample:
                raise SourceError(f"{name}: is empty")
            if format is None:
                format = recognise(sample[:SAMPLE_BYTES], name)
            else:
                check(sample[:SAMPLE_BYTES], format, name)
            decode = decoder(format, name)
            block = decode.feed(sample)
            block.begins = True
            yield block
            for piece in pieces:
                yield decode.feed(piece) if piece else Block(idle=True)
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from None
        yield decode.feed(b"", last=True)
