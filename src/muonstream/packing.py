"""A JSON header and arrays as bytes: the container of snapshots in topics and of messages to the page.

Layout: the header's length (uint32, little endian), the header (JSON, UTF-8), the arrays one after another. The header
and each array are padded to a multiple of an alignment. The header also says what the arrays are called, and of which
type and shape they are, in the words of whoever packs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(header: Mapping[str, Any], arrays: Iterable[NDArray[Any]], *, alignment: int = 1) -> bytes:
    """A header of plain JSON types and arrays as bytes. Raises ValueError for NaN and infinity in the header."""
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % alignment)
    parts = [struct.pack("<I", len(text)), text]
    for array in arrays:
        data = np.ascontiguousarray(array).tobytes()
        parts += [data, bytes(-len(data) % alignment)]
    return b"".join(parts)


def unpacked(body: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header, and the bytes of the arrays behind it. Raises ValueError for bytes that hold no header."""
    if len(body) < 4:
        raise ValueError(f"found {len(body)} bytes, expected a header")
    (length,) = struct.unpack_from("<I", body)
    if length > len(body) - 4:
        raise ValueError(f"found {len(body) - 4} bytes, expected a header of {length}")
    header = json.loads(body[4 : 4 + length])
    if not isinstance(header, dict):
        raise ValueError(f"found a header of type {type(header).__name__}, expected an object")
    return header, memoryview(body)[4 + length :]
