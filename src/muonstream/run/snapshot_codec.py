"""Snapshots as bytes and back, complete: the messages of the topic `snapshots`.

Layout: 4 bytes `MUSN`, a version byte, then zlib data of a header and arrays, little endian, as `packing` has them.
The header has the snapshot's plain values, its detector, and the arrays' names, types and shapes. Numbers come back as
they were, to the last bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_rates import MuonSeries
from muonstream.counting.rates import RateSeries
from muonstream.detector.model import Detector, DetectorError
from muonstream.errors import MuonstreamError, shown
from muonstream.formats.block import ByteAccount, InputReport
from muonstream.muons.events import MuonEvent
from muonstream.packing import packed, unpacked
from muonstream.run.account import Account
from muonstream.run.engine_times import EngineTimes
from muonstream.run.monitor import Snapshot
from muonstream.run.plain_types import check_fields
from muonstream.verdicts.verdicts import as_plain, of_plain

MAGIC: Final = b"MUSN"
VERSION: Final = 1
RATE_BINS: Final = 600
"""Rates are thinned to about this many bins, the number that the page shows."""
MOST_BYTES: Final = 512 << 10
MOST_INFLATED_BYTES: Final = 256 << 20
PLAIN: Final = (
    "run",
    "source",
    "state",
    "epoch",
    "sequence",
    "data_time_s",
    "live_time_s",
    "newest_orbit",
    "wall_time",
    "data_wall_time",
    "recent_seconds",
    "gaps",
    "resets",
    "words_per_second",
    "late_by_input",
    "lag_messages",
    "restarts",
)
"""The fields that JSON holds as they are; the others are converted field by field."""
_CONVERTED: Final = frozenset({"detector", "catalogue", "total", "recent", "rates", "verdicts"})
"""Fields of JSON's types, which are checked against them."""
_BROKEN: Final = (ValueError, LookupError, AttributeError, OverflowError, RecursionError, DetectorError)
"""Errors that broken values cause, besides the TypeError that names one."""
INPUTS: Final = 50
"""Number of the newest inputs that a snapshot carries."""
RATES: Final = ("time_s", "hits_hz", "scintillator_hz", "active_cells")
RESETS: Final = "resets_s"
"""Not in snapshots of older versions."""
MUON_RATES: Final = ("segments_hz", "full_hz", "tracks_hz", "muons_hz", "velocity_time_s", "velocity_sums")
TYPES: Final = {"<i8", "<f8"}


class SnapshotError(MuonstreamError, ValueError):
    """Bytes that are not a snapshot of ours, or a snapshot that cannot be made small enough: one line."""


def encode(snapshot: Snapshot, *, rate_bins: int = RATE_BINS, most_bytes: int = MOST_BYTES) -> bytes:
    """A snapshot as at most most_bytes; its rates are thinned to rate_bins, or fewer if it must be smaller.

    Raises SnapshotError when it is too large even so.
    """
    while True:
        data = _encode(replace(snapshot, rates=snapshot.rates.thinned(rate_bins)))
        if len(data) <= most_bytes:
            return data
        if rate_bins <= 8:
            raise SnapshotError(
                f"run {snapshot.run!r}: found a snapshot of {len(data)} bytes, expected at most {most_bytes}"
            )
        rate_bins //= 2


def _encode(snapshot: Snapshot) -> bytes:
    arrays = {"total": snapshot.total, "recent": snapshot.recent}
    arrays |= {name: getattr(snapshot.rates, name) for name in (*RATES, RESETS)}
    muons = snapshot.rates.muons
    if muons is not None:
        arrays |= {name: getattr(muons, name) for name in MUON_RATES}
    little = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    header = {
        **{name: getattr(snapshot, name) for name in PLAIN},
        "begun_wall_time": snapshot.begun_wall_time,
        "late_by_input": dict(snapshot.late_by_input),
        "forced": snapshot.forced,
        "account": asdict(snapshot.account),
        "faults": list(snapshot.faults),
        "width_s": snapshot.rates.width_s,
        "velocity_width_s": None if muons is None else muons.velocity_width_s,
        "with_muons": bool(snapshot.catalogue.muon_shapes),
        "entries": [[entry.name, entry.size] for entry in snapshot.catalogue.entries.values()],
        "muons": [event.as_dict() for event in snapshot.muons],
        "engine": [list(pair) for pair in snapshot.engine],
        "times": None if snapshot.times is None else snapshot.times.as_plain(),
        "verdicts": None if snapshot.verdicts is None else as_plain(snapshot.verdicts),
        "inputs": [asdict(report) for report in snapshot.inputs[-INPUTS:]],
        "detector": snapshot.detector.model_dump(mode="json") | _beside_identity(snapshot.detector),
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in little.items()],
    }
    return MAGIC + bytes([VERSION]) + zlib.compress(packed(header, little.values()), 6)


def _beside_identity(detector: Detector) -> dict[str, Any]:
    """What a detector file says beside what identifies the detector; left out if it says nothing, for older readers."""
    known = {"known": [one.as_plain() for one in detector.known]} if detector.known else {}
    return ({"guidance": dict(detector.guidance)} if detector.guidance else {}) | known


def decode(data: bytes, entries: Sequence[tuple[str, int]] | None = None) -> Snapshot:
    """The snapshot that the bytes hold. Raises SnapshotError.

    entries: names and sizes of its histograms in their order, for a snapshot of an old version, which does not say them
    """
    if data[: len(MAGIC)] != MAGIC or len(data) <= len(MAGIC):
        raise SnapshotError(f"found {len(data)} bytes that are not a snapshot")
    if data[len(MAGIC)] != VERSION:
        raise SnapshotError(f"found a snapshot of version {data[len(MAGIC)]}, expected {VERSION}")
    body = _inflated(data[len(MAGIC) + 1 :])
    try:
        header, rest = unpacked(body)
        arrays = _arrays(header["arrays"], rest)
        detector = Detector.model_validate(header["detector"])
        catalogue = Catalogue(detector, muons=bool(header.get("with_muons", False)))
        velocity_width_s = header.get("velocity_width_s")
        muons = None
        if velocity_width_s is not None:
            muons = MuonSeries(velocity_width_s=velocity_width_s, **{name: arrays[name] for name in MUON_RATES})
        snapshot = Snapshot(
            **{name: header[name] for name in PLAIN},
            account=Account(**header["account"]),
            detector=detector,
            catalogue=catalogue,
            total=_laid_out(arrays["total"], header.get("entries", entries), catalogue),
            recent=_laid_out(arrays["recent"], header.get("entries", entries), catalogue),
            rates=RateSeries(
                width_s=header["width_s"],
                muons=muons,
                **{name: arrays[name] for name in RATES},
                resets_s=arrays.get(RESETS, np.empty(0)),
            ),
            faults=tuple(header["faults"]),
            muons=tuple(MuonEvent.from_dict(event) for event in header.get("muons", ())),
            inputs=tuple(
                InputReport(**{**report, "bytes": ByteAccount(**report["bytes"])})
                for report in header.get("inputs", ())
            ),
            forced=int(header.get("forced", 0)),
            verdicts=None if header.get("verdicts") is None else of_plain(header["verdicts"]),
            begun_wall_time=float(header.get("begun_wall_time", 0.0)),
            engine=tuple((str(name), str(value)) for name, value in header.get("engine", ())),
            times=None if header.get("times") is None else EngineTimes.of_plain(header["times"]),
        )
        check_fields(snapshot, _CONVERTED)
        if snapshot.verdicts is not None:
            check_fields(snapshot.verdicts, frozenset({"judgement"}))
        _check_arrays(snapshot)
    except TypeError as error:
        raise SnapshotError(f"found a snapshot with a value of a wrong type: {shown(str(error))}") from None
    except _BROKEN as error:
        raise SnapshotError(f"found a snapshot that is broken: {type(error).__name__}") from None
    if not len(snapshot.total) == len(snapshot.recent) == catalogue.size:
        raise SnapshotError(
            f"found {len(snapshot.total)} counts, expected the detector's {catalogue.size}: another version counted "
            "more or less, and its snapshot does not say what"
        )
    return snapshot


def _laid_out(counts: Counts, entries: Any, catalogue: Catalogue) -> Counts:
    """Counts of a version with other histograms, as this one has them: by name, 0 for those that are new.

    entries: names and sizes of the histograms as they were, None where an older version did not say
    Raises ValueError where they do not fit.
    """
    if entries is None or entries == [[entry.name, entry.size] for entry in catalogue.entries.values()]:
        return counts
    if sum(size for _, size in entries) != len(counts):
        raise ValueError("entries")
    made = catalogue.zeros()
    at = 0
    for name, size in entries:
        entry = catalogue.entries.get(name)
        if entry is not None:
            # kinds of what is counted are added behind the others; any other axis means what it did only as it was
            grown = entry.axis.label == "kind" and entry.shape[-1] == entry.size > size
            if entry.size != size and not grown:
                raise ValueError(name)
            made[entry.offset : entry.offset + size] = counts[at : at + size]
        at += size
    return made


def _check_arrays(snapshot: Snapshot) -> None:
    """Check types and shapes of what a snapshot has in arrays. Raises TypeError naming the first that is wrong."""
    rates, muons = snapshot.rates, snapshot.rates.muons
    n, chambers = len(np.atleast_1d(rates.time_s)), len(snapshot.detector.chambers)
    expected: list[tuple[str, Any, str, tuple[int, ...]]] = [
        ("total", snapshot.total, "i", (snapshot.catalogue.size,)),
        ("recent", snapshot.recent, "i", (snapshot.catalogue.size,)),
        ("time_s", rates.time_s, "f", (n,)),
        ("hits_hz", rates.hits_hz, "f", (n, chambers)),
        ("scintillator_hz", rates.scintillator_hz, "f", (n,)),
        ("active_cells", rates.active_cells, "f", (n, chambers)),
        (RESETS, rates.resets_s, "f", (len(np.atleast_1d(rates.resets_s)),)),
    ]
    if muons is not None:
        m = len(np.atleast_1d(muons.velocity_time_s))
        expected += [
            ("segments_hz", muons.segments_hz, "f", (n, chambers)),
            ("full_hz", muons.full_hz, "f", (n, chambers)),
            ("tracks_hz", muons.tracks_hz, "f", (n, 2)),
            ("muons_hz", muons.muons_hz, "f", (n,)),
            ("velocity_time_s", muons.velocity_time_s, "f", (m,)),
            ("velocity_sums", muons.velocity_sums, "i", (m, chambers, 4)),
        ]
    for name, array, kind, shape in expected:
        if array.dtype.kind != kind or (array.shape != shape and name not in ("total", "recent")):
            raise TypeError(name)
    widths = (rates.width_s, 0.0 if muons is None else muons.velocity_width_s)
    if not all(isinstance(width, float | int) and 0 <= width < 1e12 for width in widths):
        raise TypeError("width_s")


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        body = inflate.decompress(data, MOST_INFLATED_BYTES)
    except zlib.error:
        raise SnapshotError("found a snapshot whose compressed data are broken") from None
    if not inflate.eof:
        raise SnapshotError("found a snapshot that is cut short or too large")
    return body


def _arrays(described: list[Any], body: memoryview) -> dict[str, Any]:
    """The arrays by name, each its own and writable. Raises ValueError."""
    out: dict[str, Any] = {}
    at = 0
    for name, dtype, shape in described:
        if dtype not in TYPES:
            raise ValueError(dtype)
        size = int(np.prod(shape))
        values = np.frombuffer(body, dtype, size, at).reshape(shape)
        out[name] = values.astype(np.dtype(dtype).newbyteorder("="))
        at += size * 8
    if at != len(body):
        raise ValueError("more data than described")
    return out
