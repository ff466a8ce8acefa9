"""The compressions that are read, one member at a time and in bounded steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final, Protocol

PIECE_BYTES: Final = 1 << 20
"""Size of the content that one step gives at most."""
XZ_MEMORY_BYTES: Final = 48 << 20
"""What an xz stream may ask for; xz -8 needs 33 MiB, xz -9 needs 65."""
ZSTD_WINDOW_BYTES: Final = 32 << 20
"""What a zstd frame may refer back to; zstd -19 needs 8 MiB, --ultra -22 and --long 128."""
MAGIC_BYTES: Final = 10
"""With so many bytes `compression_of` always decides."""

_BZIP2_BLOCK, _BZIP2_END = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")
_SKIPPABLE: Final = [bytes((0x50 + i, 0x2A, 0x4D, 0x18)) for i in range(16)]
_MAGICS: Final = {
    b"\x1f\x8b\x08": "gzip",
    **{b"BZh%d" % level + rest: "bzip2" for level in range(1, 10) for rest in (_BZIP2_BLOCK, _BZIP2_END)},
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    **dict.fromkeys(_SKIPPABLE, "zstd"),
}
_FIRST_BYTES: Final = frozenset(magic[0] for magic in _MAGICS)


class BrokenError(Exception):
    """Data that cannot be decompressed, with the reason."""


class RefusedError(Exception):
    """Data that are not decompressed here: what was found, and what is expected."""


def compression_of(head: bytes) -> str | None:
    """The compression whose magic number content begins with, "" for none of them, None if more bytes must tell."""
    if not head:
        return None
    if head[0] not in _FIRST_BYTES:
        return ""
    for magic, name in _MAGICS.items():
        if head.startswith(magic):
            return name
    return None if any(magic.startswith(head) for magic in _MAGICS) else ""


class Inflater(Protocol):
    """One member: its compression, and whether its end has been reached."""

    kind: str
    ended: bool

    def step(self, data: memoryview) -> Generator[bytes, None, int]:
        """Take bytes; give content in pieces of at most 1 MiB, and at last how many bytes were taken.

        All are taken unless the member ends within them. Raises BrokenError and RefusedError, after the content that
        precedes the fault.
        """
        ...


def inflater(kind: str, head: bytes) -> Inflater:
    """What decompresses a member that begins with `head`. Raises RefusedError where this Python cannot."""
    try:
        if kind == "gzip":
            return _Gzip()
        if kind == "bzip2":
            return _Bzip2()
        if kind == "xz":
            return _Xz()
    except ImportError:
        raise RefusedError(f"found {kind} data, which this Python was built without; decompress it first") from None
    return _Skipped() if head[:4] in _SKIPPABLE else _ZstdFrame()


class _Gzip:
    kind = "gzip"

    def __init__(self) -> None:
        import zlib

        self._error = zlib.error
        self._inflate = zlib.decompressobj(wbits=31)
        self.ended = False

    def step(self, data: memoryview) -> Generator[bytes, None, int]:
        before = self._inflate.copy()
        rest: bytes | memoryview = data
        while True:
            try:
                out = self._inflate.decompress(rest, PIECE_BYTES)
            except self._error as error:
                # a failed call gives nothing; byte by byte, all content up to the fault comes, however data were cut
                yield from _until_broken(before, rest, self._error)
                raise BrokenError(str(error).partition(": ")[2] or str(error)) from None
            if out:
                yield out
            if self._inflate.eof:
                self.ended = True
                return len(data) - len(self._inflate.unused_data)
            rest = self._inflate.unconsumed_tail
            if not rest and len(out) < PIECE_BYTES:
                return len(data)
            before = self._inflate.copy()


def _until_broken(inflate: Any, data: bytes | memoryview, error: type[Exception]) -> Iterator[bytes]:
    gathered = bytearray()
    try:
        for i in range(len(data)):
            gathered += inflate.decompress(data[i : i + 1])
    except error:
        pass
    for at in range(0, len(gathered), PIECE_BYTES):
        yield bytes(gathered[at : at + PIECE_BYTES])


class _Buffered:
    """A decompressor of the standard library that keeps the input which it has not used yet."""

    kind = ""

    def __init__(self, inflate: Any, errors: tuple[type[Exception], ...]) -> None:
        self._inflate = inflate
        self._errors = errors
        self.ended = False

    def step(self, data: memoryview) -> Generator[bytes, None, int]:
        rest: bytes | memoryview = data
        while True:
            try:
                out = self._inflate.decompress(rest, PIECE_BYTES)
            except self._errors as error:
                if "memory usage limit" in str(error).lower():
                    raise RefusedError(
                        f"found {self.kind} data that need more than {XZ_MEMORY_BYTES >> 20} MiB of memory; "
                        f"decompress them first (xz -d)"
                    ) from None
                raise BrokenError(str(error)) from None
            if out:
                yield out
            if self._inflate.eof:
                self.ended = True
                return len(data) - len(self._inflate.unused_data)
            rest = b""
            if self._inflate.needs_input:
                return len(data)


class _Bzip2(_Buffered):
    kind = "bzip2"

    def __init__(self) -> None:
        import bz2

        super().__init__(bz2.BZ2Decompressor(), (OSError, ValueError))


class _Xz(_Buffered):
    kind = "xz"

    def __init__(self) -> None:
        import lzma

        super().__init__(lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY_BYTES), (lzma.LZMAError,))


class _Skipped:
    """A skippable frame of zstd: 4 bytes of magic number, 4 of length, and content that is not data."""

    kind = "zstd"

    def __init__(self) -> None:
        self._head = b""
        self._left = 8
        self.ended = False

    def step(self, data: memoryview) -> Generator[bytes, None, int]:
        used = 0
        while self._left and used < len(data):
            n = min(self._left, len(data) - used)
            if len(self._head) < 8:
                self._head += bytes(data[used : used + n])
                self._left = 8 - len(self._head) or int.from_bytes(self._head[4:], "little")
            else:
                self._left -= n
            used += n
        self.ended = not self._left
        yield from ()
        return used


class _ZstdFrame:
    """A frame of zstd, fed block by block: a block gives 128 KiB at most, whatever it is made of.

    The library's own bound is not used since not all versions of it have one.
    """

    kind = "zstd"

    def __init__(self) -> None:
        self._inflate, self._errors = _zstd()
        self._head = b""
        self._wanted = 5
        self._state = self._descriptor
        self._checksum = False
        self.ended = False

    def step(self, data: memoryview) -> Generator[bytes, None, int]:
        used = 0
        while used < len(data) and not self.ended:
            piece = data[used : used + self._wanted]
            used += len(piece)
            self._wanted -= len(piece)
            if self._state != self._body:
                self._head += bytes(piece)
                if not self._wanted:
                    # looked at before the library does, so that a frame that asks for too much is refused here
                    self._state()
            elif not self._wanted:
                self._state()
            try:
                out = self._inflate.decompress(piece)
            except self._errors as error:
                raise BrokenError(str(error).removeprefix("zstd decompress error: ")) from None
            if out:
                yield out
        if self.ended and not self._inflate.eof:
            raise BrokenError("the frame does not end with its last block")
        return used

    def _descriptor(self) -> None:
        descriptor = self._head[4]
        single = descriptor >> 5 & 1
        self._checksum = bool(descriptor >> 2 & 1)
        size = (single, 2, 4, 8)[descriptor >> 6]
        self._wanted = (not single) + (0, 1, 2, 4)[descriptor & 3] + size
        self._head, self._state = self._head[4:5], self._window

    def _window(self) -> None:
        descriptor, rest = self._head[0], self._head[1:]
        if descriptor >> 5 & 1:
            size = (1, 2, 4, 8)[descriptor >> 6]
            window = int.from_bytes(rest[-size:], "little") + 256 * (size == 2)
        else:
            base = 1 << 10 + (rest[0] >> 3)
            window = base + base // 8 * (rest[0] & 7)
        if window > ZSTD_WINDOW_BYTES:
            raise RefusedError(
                f"found zstd data that need {-(-window >> 20):,} MiB of memory to decompress, expected at most "
                f"{ZSTD_WINDOW_BYTES >> 20} MiB; decompress them first (zstd -d --long=31)"
            )
        self._next_block()

    def _next_block(self) -> None:
        self._head, self._wanted, self._state = b"", 3, self._block

    def _block(self) -> None:
        header = int.from_bytes(self._head, "little")
        self._last = bool(header & 1)
        self._wanted = 1 if header >> 1 & 3 == 1 else header >> 3
        self._state = self._body
        if not self._wanted:
            self._body()

    def _body(self) -> None:
        if not self._last:
            self._next_block()
        elif self._checksum:
            self._head, self._wanted, self._state, self._checksum = b"", 4, self._body, False
        else:
            self.ended = True


def _zstd() -> tuple[Any, tuple[type[Exception], ...]]:
    """A decompressor of one frame and its errors: of the standard library from Python 3.14 on, else of zstandard."""
    try:
        from compression import zstd

        return zstd.ZstdDecompressor(), (zstd.ZstdError,)
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        raise RefusedError(
            "found zstd data, which need the extra: pip install '.[zstd]'; or decompress them first (zstd -d)"
        ) from None
    return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj(), (zstandard.ZstdError,)
