"""A run's state as bytes and back, bit for bit: plain values and arrays, with a version and a check sum."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue
from muonstream.errors import MuonstreamError

MAGIC: Final = b"muonstate\x00"
VERSION: Final = 2
COMPRESS_BELOW_BYTES: Final = 1 << 22
"""Larger arrays are not compressed: they are held words, which compress badly, and saving must be fast."""
_ARRAY: Final = "\x00array"
_DTYPES: Final = ("<i8", "<u8", "<f8", "|u1")

StateDict = dict[str, Any]
"""Names to numbers, texts, None, lists of these, arrays of 64-bit numbers or of bytes, and further
dictionaries. Bytes have been compressed by whoever gives them."""


class CheckpointError(MuonstreamError):
    """A state that cannot be resumed: one line with what was found and what is expected."""


def pack(state: StateDict) -> bytes:
    """The state as bytes. Raises TypeError for a value of any other type."""
    arrays: list[NDArray[Any]] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            little = array.dtype.newbyteorder("<").str
            if little not in _DTYPES:
                raise TypeError(f"found an array of {array.dtype}, expected {', '.join(_DTYPES)}")
            arrays.append(array.astype(little, copy=False))
            return {_ARRAY: [little, *array.shape]}
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"found a {type(value).__name__}, expected plain values and arrays")

    header = json.dumps(plain(state)).encode()
    parts = [np.uint64(len(header)).tobytes(), header]
    for array in arrays:
        raw = array.tobytes()
        packed = zlib.compress(raw, 1) if array.itemsize > 1 and len(raw) <= COMPRESS_BELOW_BYTES else raw
        if len(packed) >= len(raw):
            packed = raw
        parts += [np.array([len(packed), len(raw)], "<u8").tobytes(), packed]
    body = b"".join(parts)
    return MAGIC + np.array([VERSION, zlib.crc32(body)], "<u8").tobytes() + body


def unpack(data: bytes) -> StateDict:
    """The state that `pack` was given. Raises CheckpointError for bytes that are damaged or of another version."""
    begin = len(MAGIC) + 16
    if len(data) < begin or not data.startswith(MAGIC):
        raise CheckpointError("found bytes that are not the state of a run")
    version, check = np.frombuffer(data, "<u8", 2, len(MAGIC)).tolist()
    if version != VERSION:
        raise CheckpointError(f"found a state of version {version}, expected {VERSION}")
    if zlib.crc32(memoryview(data)[begin:]) != check:
        raise CheckpointError("found a damaged state: its check sum is wrong")
    try:
        return _unpacked(data, begin)
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        OverflowError,
        RecursionError,
        MemoryError,
        zlib.error,
    ) as error:
        raise CheckpointError(f"found a damaged state: {type(error).__name__} while it was read") from None


def _unpacked(data: bytes, begin: int) -> StateDict:
    """The state behind the check sum, which does not protect against bytes written on purpose."""
    at = begin + 8 + int(np.frombuffer(data, "<u8", 1, begin)[0])

    def restored(value: Any) -> Any:
        nonlocal at
        if isinstance(value, dict):
            if _ARRAY not in value:
                return {name: restored(inner) for name, inner in value.items()}
            dtype, *shape = value[_ARRAY]
            if dtype not in _DTYPES:
                raise ValueError(dtype)
            packed, raw = np.frombuffer(data, "<u8", 2, at).tolist()
            content = data[at + 16 : at + 16 + packed]
            at += 16 + packed
            if len(content) != packed:
                raise ValueError("an array is cut short")
            if packed < raw:
                inflate = zlib.decompressobj()
                content = inflate.decompress(content, raw)
            return np.frombuffer(content, dtype).reshape(shape).copy()
        return [restored(inner) for inner in value] if isinstance(value, list) else value

    state = restored(json.loads(data[begin + 8 : at]))
    if not isinstance(state, dict):
        raise TypeError(type(state).__name__)
    return state


_JUDGED_BY: Final = {"thresholds", "description", "estimated"}
"""Parts of a detector file that change no counts, such as guidance: a state is resumed even if they change."""


def identity(catalogue: Catalogue) -> StateDict:
    """What a state needs to be resumed: the same channels and geometry, and the same catalogue of histograms.

    detector_sha256 covers all that identifies a detector, counted_sha256 the parts that change counts.
    """
    layout = [(entry.name, entry.shape) for entry in catalogue.entries.values()]
    detector = catalogue.detector
    return {
        "detector": detector.name,
        "detector_sha256": _sha256(detector.model_dump_json()),
        "counted_sha256": _sha256(detector.model_dump_json(exclude=_JUDGED_BY)),
        "catalogue_sha256": _sha256(json.dumps(layout)),
        "muons": bool(catalogue.muon_shapes),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_identity(found: StateDict, catalogue: Catalogue) -> None:
    """Raise CheckpointError when a state was made with another detector or another catalogue."""
    now = identity(catalogue)
    # states of older versions have only the first, which a threshold added since then changes
    compared = "counted_sha256" if "counted_sha256" in found else "detector_sha256"
    if found[compared] != now[compared]:
        name = f"{found['detector']!r}" + (", as it was" if found["detector"] == now["detector"] else "")
        older = (
            "" if "counted_sha256" in found else ", or this version knows more of it than the one that wrote the state"
        )
        raise CheckpointError(
            f"found the state of a run with the detector {name}; now it is {now['detector']!r}, of which the file says "
            f"something else{older}; go on with the same detector file and version, or begin a new store"
        )
    if found.get("muons", False) != now["muons"]:
        was, option = ("with", "--reconstruct") if now["muons"] is False else ("without", "--no-reconstruct")
        raise CheckpointError(
            f"found the state of a run {was} reconstruction; go on with {option}, or begin a new store"
        )
    if found["catalogue_sha256"] != now["catalogue_sha256"]:
        raise CheckpointError("found a state of another version, with other histograms; begin a new store")
