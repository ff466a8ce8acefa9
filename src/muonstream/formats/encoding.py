"""Encodings of text, and text of two or four bytes a character as one byte a character."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
"""utf-8 stands for every encoding whose first 128 characters are those of ASCII, one byte each, such as Latin-1."""

UNITS: Final[dict[Encoding, str]] = {"utf-16-le": "<u2", "utf-16-be": ">u2", "utf-32-le": "<u4", "utf-32-be": ">u4"}
"""Encodings of more than one byte a character, and numpy's type of a code unit."""
_MARKS: Final[tuple[tuple[bytes, Encoding], ...]] = (
    # UTF-32's first: the mark of UTF-16 is its beginning
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SAMPLE_BYTES: Final = 4096
_FEWEST_BYTES: Final = 16
MARK: Final = 0xFF
"""What a byte order mark becomes in text of one byte a character."""
_OTHER: Final = 0x3F
_BLANKS: Final = (0xA0, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x3000)


def _one_byte_table() -> NDArray[np.uint8]:
    """The byte of each character below 0x10000: ASCII's own, blanks as spaces, a mark, and ? for all others."""
    table = np.full(1 << 16, _OTHER, np.uint8)
    table[:128] = np.arange(128)
    table[list(_BLANKS)] = 0x20
    table[0xFEFF] = MARK
    return table


_ONE_BYTE: Final = _one_byte_table()


def width_of(encoding: Encoding) -> int:
    """Bytes of a character, of a code unit in UTF-16."""
    return 1 if encoding == "utf-8" else int(encoding[4:6]) // 8


def leading_nuls(sample: bytes | memoryview) -> int:
    """How many NUL bytes are in front of everything else."""
    n = 0
    while n < len(sample):
        piece = bytes(sample[n : n + _SAMPLE_BYTES])
        if rest := piece.lstrip(b"\0"):
            return n + len(piece) - len(rest)
        n += len(piece)
    return n


def encoding_of(sample: bytes | memoryview) -> Encoding:
    """The encoding of text by its first bytes: by its mark, or by where the zero bytes among its characters are.

    NUL bytes in front of the text do not count.
    """
    beginning = bytes(sample[:4])
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding
    first = leading_nuls(sample)
    for encoding in UNITS:
        width = width_of(encoding)
        # zeros of a big-endian text's first character are part of it
        begin = first - first % width
        n = min(len(sample) - begin, _SAMPLE_BYTES) // width
        if n * width < _FEWEST_BYTES:
            continue
        units = np.frombuffer(sample, UNITS[encoding], n, begin)
        usual, ascii_share = np.mean((units > 0) & (units < 256)), np.mean((units > 0) & (units < 128))
        if usual > 0.9 and ascii_share > 0.5:
            return encoding
    return "utf-8"


class Transcoder:
    """Makes text of one byte a character: each character becomes one byte, so that places and counts stay exact."""

    def __init__(self, encoding: Encoding) -> None:
        self._unit = UNITS.get(encoding)
        self.width = width_of(encoding)
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """The whole characters of what has come so far."""
        if self._unit is None:
            return data
        data = b"".join((self._rest, data))
        whole = len(data) - len(data) % self.width
        self._rest = data[whole:]
        units = np.frombuffer(data, self._unit, whole // self.width)
        return bytes(_ONE_BYTE[np.minimum(units, 0xFFFF)])

    @property
    def cut(self) -> int:
        """Bytes of a character that is not whole."""
        return len(self._rest)
