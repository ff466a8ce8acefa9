from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.counting.rates import RateSeries
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.message.message import encode as page_message
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.packing import unpacked
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import MOST_BYTES, SnapshotError, decode, encode
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words


def snapshot_of(detector: Detector, n: int = 60_000) -> Snapshot:
    with Pipeline(detector, run="run 7 é", source="kafka://lab:9092/frames", workers=0) as pipeline:
        pipeline.push(simulate_words(n, detector, rate_hz=2000.0))
        pipeline.count_malformed(2, ["line 1: nothing", "line 2: nothing"])
        return pipeline.snapshot()


SNAPSHOT = replace(
    snapshot_of(Detector.default()),
    late_by_input={"0": 3},
    lag_messages=17,
    restarts=2,
    engine=(("Input", "3 messages/s"),),
    words_per_second=1 / 3,
)


def differences(found: Snapshot, expected: Snapshot) -> list[str]:
    """The fields that are not the same, bit for bit."""
    out = []
    for field in fields(Snapshot):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if field.name in ("total", "recent"):
            same = a.dtype == b.dtype and np.array_equal(a, b)
        elif field.name == "rates":
            pairs = [(getattr(a, one.name), getattr(b, one.name)) for one in fields(RateSeries)]
            same = all(
                np.asarray(x).tobytes() == np.asarray(y).tobytes() and np.shape(x) == np.shape(y) for x, y in pairs
            )
        elif field.name == "catalogue":
            same = a.entries == b.entries
        else:
            same = a == b and type(a) is type(b)
        if not same:
            out.append(field.name)
    return out


def test_a_snapshot_comes_back_bit_for_bit() -> None:
    data = encode(SNAPSHOT)
    found = decode(data)
    assert differences(found, SNAPSHOT) == []
    assert summary(found) == summary(SNAPSHOT)
    assert page_message(found) == page_message(SNAPSHOT)
    found.total[0] += 1  # its arrays are its own
    assert encode(decode(data)) == data


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9),
    st.text(),
)
def test_any_number_and_name_come_back(number: float, counts: list[int], name: str) -> None:
    total = SNAPSHOT.total.copy()
    total[: len(counts)] = counts
    series = SNAPSHOT.rates
    rates = replace(series, hits_hz=np.full_like(series.hits_hz, number))
    snapshot = replace(SNAPSHOT, total=total, rates=rates, wall_time=number, run=name, faults=(name,))
    assert differences(decode(encode(snapshot)), snapshot) == []


def test_the_longest_run_fits_with_its_rates_thinned() -> None:
    n, chambers = 4096, len(SNAPSHOT.detector.chambers)
    rng = np.random.default_rng(1)
    rates = RateSeries(
        np.linspace(0.0, 8000.0, n), 1.0, rng.random((n, chambers)), rng.random(n), rng.random((n, chambers))
    )
    total = rng.integers(0, 2**40, SNAPSHOT.total.shape)
    snapshot = replace(SNAPSHOT, rates=rates, total=total)
    found = decode(encode(snapshot))
    assert len(encode(snapshot)) <= MOST_BYTES
    assert differences(found, replace(snapshot, rates=rates.thinned(600))) == []
    assert 500 < len(found.rates.time_s) <= 600
    assert np.isclose(found.rates.hits_hz.mean(), rates.hits_hz.mean(), atol=0.01)


def test_rates_are_thinned_further_where_it_must_be_smaller_and_too_large_is_named() -> None:
    whole = len(encode(SNAPSHOT, rate_bins=10_000))
    smaller = encode(SNAPSHOT, rate_bins=10_000, most_bytes=whole - 100)
    assert len(smaller) <= whole - 100
    assert len(decode(smaller).rates.time_s) < len(SNAPSHOT.rates.time_s)
    with pytest.raises(SnapshotError, match=r"run 7 é': found .* expected at most 100"):
        encode(SNAPSHOT, most_bytes=100)


@pytest.mark.parametrize("name", ["telescope", "run591"])
def test_bundled_detectors_fit_and_come_back(name: str) -> None:
    snapshot = snapshot_of(Detector.load(name))
    assert differences(decode(encode(snapshot)), snapshot) == []


def test_a_snapshot_from_before_resets_and_the_begin_were_in_it_is_read() -> None:
    body = zlib.decompress(encode(SNAPSHOT)[5:])
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    del header["begun_wall_time"]
    at, kept, described = 4 + length, [], []
    for name, kind, shape in header["arrays"]:
        size = 8 * int(np.prod(shape))
        if name != "resets_s":
            kept.append(body[at : at + size])
            described.append([name, kind, shape])
        at += size
    text = json.dumps(header | {"arrays": described}).encode()
    found = decode(b"MUSN\x01" + zlib.compress(b"".join([struct.pack("<I", len(text)), text, *kept])))
    assert found.begun_wall_time == 0
    assert len(found.rates.resets_s) == 0
    assert np.array_equal(found.total, SNAPSHOT.total)


GOOD = encode(SNAPSHOT)
BODY = zlib.decompress(GOOD[5:])


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "found 0 bytes that are not a snapshot"),
        (b"MUSN", "found 4 bytes that are not a snapshot"),
        (b'{"Index": 1}', "found 12 bytes that are not a snapshot"),
        (b"MUSN\x02" + GOOD[5:], "version 2, expected 1"),
        (GOOD[:-10], "cut short"),
        (GOOD[:5] + b"\x00" + GOOD[6:], "compressed data are broken"),
        (GOOD[:5] + zlib.compress(BODY[:-8]), "is broken"),
        (GOOD[:5] + zlib.compress(BODY + b"12345678"), "is broken"),
        (GOOD[:5] + zlib.compress(b"\x02\x00\x00\x00{}"), "is broken: KeyError"),
        (GOOD[:5] + zlib.compress(struct.pack("<I", 10**9)), "is broken"),
        (GOOD[:5] + zlib.compress(b""), "is broken"),
        (GOOD[:5] + zlib.compress(BODY.replace(b'"<i8"', b'"|O8"')), "is broken: ValueError"),
        (GOOD[:5] + zlib.compress(BODY.replace(b'"cells_per_layer":16', b'"cells_per_layer":15')), "is broken|counts"),
    ],
)
def test_what_is_no_snapshot_is_refused_in_one_line(data: bytes, wrong: str) -> None:
    with pytest.raises(SnapshotError, match=wrong) as raised:
        decode(data)
    assert "\n" not in str(raised.value)


def with_header(change: dict[str, object]) -> bytes:
    """The good snapshot with other values in its header."""
    (length,) = struct.unpack_from("<I", BODY)
    text = json.dumps(json.loads(BODY[4 : 4 + length]) | change).encode()
    return GOOD[:5] + zlib.compress(struct.pack("<I", len(text)) + text + BODY[4 + length :])


JSON_VALUES = [None, True, "now", 1.5, 10**400, float("nan"), [1], {"a": 1}, [[1, 2]]]


@pytest.mark.parametrize("name", [*json.loads(BODY[4 : 4 + struct.unpack_from("<I", BODY)[0]])])
def test_a_value_of_a_wrong_type_is_refused_or_does_no_harm(name: str) -> None:
    """What is taken is shown: the page of a run that is analysed elsewhere must not end by one message."""
    for value in JSON_VALUES:
        with suppress(SnapshotError):
            found = decode(with_header({name: value}))
            Feed().publish(found)
            page_message(found)
            summary(found)


def test_the_field_of_a_wrong_type_is_named() -> None:
    with pytest.raises(SnapshotError, match="wrong type: 'late_by_input'"):
        decode(with_header({"late_by_input": [1]}))


def test_a_snapshot_of_a_version_with_other_histograms_is_read_by_their_names() -> None:
    """What this version has not is left out, and what that one had not is 0: an archive is read for years."""
    whole = decode(GOOD)
    catalogue = whole.catalogue
    entries = [[entry.name, entry.size] for entry in catalogue.entries.values()]
    header, _ = unpacked(zlib.decompress(GOOD[5:]))
    assert header["entries"] == entries
    first = next(iter(catalogue.entries.values()))
    renamed = [["no_more", first.size], *entries[1:]]
    found = decode(with_header({"entries": renamed}))
    assert not catalogue.view(found.total, first.name).any()
    assert np.array_equal(found.total[first.size :], whole.total[first.size :])
    with pytest.raises(SnapshotError, match="broken"):
        decode(with_header({"entries": entries[1:]}))
