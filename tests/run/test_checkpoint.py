from __future__ import annotations

import json
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.checkpoint import MAGIC, VERSION, CheckpointError, StateDict, pack, unpack
from muonstream.run.intervals import Intervals
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.words import WINDOW_ORBITS, Words, encode

DETECTOR = Detector.default()
CALM = simulate_words(60_000, rate_hz=20_000, seed=7)


def wild(seed: int) -> Words:
    """Two boards with everything that the builder keeps in mind: disorder, strays, a gap, a reset, late words."""
    rng = np.random.default_rng(seed)
    orbits = np.sort(rng.integers(0, 90 * WINDOW_ORBITS, 6000)) + rng.integers(0, 300, 6000)
    orbits[2000:] += 40 * WINDOW_ORBITS
    orbits[4000:] -= orbits[4000] - 50
    where = rng.integers(0, 6000, 40)
    orbits[where] = rng.integers(0, 1 << 32, 40)
    words = encode(
        fpga=rng.integers(0, 2, 6000),
        channel=rng.integers(0, 130, 6000),
        orbit=np.clip(orbits, 0, 2**32 - 1),
        bx=rng.integers(0, 3564, 6000),
        tdc=rng.integers(1, 31, 6000),
    )
    head = np.where(rng.random(6000) < 0.03, 4, 2).astype(np.uint64)
    return (words & np.uint64((1 << 61) - 1)) | head << np.uint64(61)


def result(pipeline: Pipeline) -> dict[str, Any]:
    """Everything that is counted, without what the clock has a hand in."""
    pipeline.finish()
    snapshot = pipeline.snapshot("ended")
    closed = [] if pipeline.intervals is None else pipeline.intervals.take()
    return {
        "summary": json.dumps(summary(snapshot)),
        "total": snapshot.total.tolist(),
        "recent": snapshot.recent.tolist(),
        "recent_seconds": snapshot.recent_seconds,
        "rates": [array.tolist() for array in (snapshot.rates.time_s, snapshot.rates.hits_hz)],
        "sequence": snapshot.sequence,
        "intervals": [(interval.sequence, interval.counts.tolist()) for interval in closed],
    }


def pipeline() -> Pipeline:
    made = Pipeline(DETECTOR, run="a run", source="somewhere", workers=0)
    made.intervals = Intervals(made.catalogue, windows=7)
    return made


def resumed(data: bytes) -> Pipeline:
    made = pipeline()
    made.restore(unpack(data))
    return made


def test_a_state_of_everything_comes_back_the_same() -> None:
    state: StateDict = {
        "text": "µ\x00",
        "numbers": [1, -(2**62), 0.1, None, True],
        "empty": np.empty((0, 3), np.int64),
        "words": np.arange(2**19, dtype=np.uint64) * np.uint64(2**40 + 1),
        "floats": np.array([[0.1, np.inf], [-0.0, np.nan]]),
        "deep": {"er": {"zeros": np.zeros(2000, np.int64)}},
    }
    data = pack(state)
    again = unpack(data)
    assert list(again) == list(state)
    assert (again["text"], again["numbers"]) == (state["text"], state["numbers"])
    for name in ("empty", "words", "floats"):
        assert again[name].dtype == state[name].dtype
        assert again[name].shape == state[name].shape
        assert again[name].tobytes() == state[name].tobytes()
    assert again["deep"]["er"]["zeros"].tolist() == [0] * 2000
    assert pack(again) == data


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 6000), max_size=4))
def test_saved_and_restored_between_any_pushes_nothing_changes(seed: int, cuts: list[int]) -> None:
    words, cuts = wild(seed), sorted(cuts)
    whole = pipeline()
    part = pipeline()
    part.restarts = -len(cuts)
    for piece in np.split(words, cuts)[:-1]:
        whole.push(piece, 3)
        whole.snapshot()
        part.push(piece, 3)
        part.snapshot()
        part = resumed(pack(part.state()))
    for source in (5, 3):  # one more source, after the restarts
        whole.push(np.split(words, cuts)[-1], source)
        part.push(np.split(words, cuts)[-1], source)
    assert part.intake() == whole.intake()
    assert result(part) == result(whole)


@given(st.integers(1, len(CALM) - 1))
def test_a_state_at_any_word_is_the_same_however_it_came_about(cut: int) -> None:
    at_once, twice = pipeline(), pipeline()
    at_once.push(CALM[:cut])
    twice.push(CALM[: cut // 2])
    twice = resumed(pack(twice.state()))
    twice.restarts = 0
    twice.push(CALM[cut // 2 : cut])
    assert at_once.builder.counts == twice.builder.counts
    assert result(at_once) == result(twice)


def test_what_was_left_out_elsewhere_and_malformed_rows_are_kept() -> None:
    first = pipeline()
    first.push(CALM)
    first.count_malformed(3, ["one", "two", "three"])
    second = resumed(pack(first.state()))
    intake = second.intake()
    assert (intake.malformed, intake.faults, intake.restarts) == (3, ("one", "two", "three"), 1)
    assert intake.words == len(CALM) + 3
    assert second.snapshot().account.balanced


def test_damaged_foreign_and_newer_states_are_refused() -> None:
    data = pack({"a": np.arange(10)})
    for broken, reason in (
        (b"", "not the state"),
        (b"something else entirely, and long enough", "not the state"),
        (data[:-1], "damaged"),
        (data[:40] + b"!" + data[41:], "damaged"),
        (data[:10] + (VERSION + 1).to_bytes(8, "little") + data[18:], f"version {VERSION + 1}"),
    ):
        with pytest.raises(CheckpointError, match=reason) as raised:
            unpack(broken)
        assert "\n" not in str(raised.value)
    with pytest.raises(TypeError, match="object"):
        pack({"a": object()})
    with pytest.raises(TypeError, match="float32"):
        pack({"a": np.zeros(1, np.float32)})


def test_another_detector_and_other_intervals_are_refused_in_one_line() -> None:
    data = pack(pipeline().state())
    other = Pipeline(Detector.load("run591"), workers=0)
    with pytest.raises(CheckpointError, match="detector") as raised:
        other.restore(unpack(data))
    assert "\n" not in str(raised.value)
    longer = Pipeline(DETECTOR, workers=0)
    longer.intervals = Intervals(longer.catalogue, windows=8)
    with pytest.raises(CheckpointError, match="intervals of 7 windows"):
        longer.restore(unpack(data))


@given(st.data())
def test_damage_under_a_right_check_sum_is_refused_or_read(data: st.DataObject) -> None:
    """Whatever somebody wrote: a state, or one line."""
    good = pack({"a": np.arange(5), "b": [1, {"c": np.zeros(3)}], "d": "text", "e": np.arange(2000)})
    body = bytearray(good[len(MAGIC) + 16 :])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.sampled_from([len(body), len(body) // 2, 3, 0]))]
    head = MAGIC + np.array([VERSION, zlib.crc32(bytes(body))], "<u8").tobytes()
    with suppress(CheckpointError):
        assert isinstance(unpack(head + bytes(body)), dict)


@pytest.mark.parametrize("wrong", [{}, {"identity": {}}, {"identity": None}, {"identity": 1}])
def test_a_state_of_something_else_is_refused_in_a_line(wrong: StateDict) -> None:
    with Pipeline(Detector.default(), workers=0) as pipeline:
        with pytest.raises(CheckpointError):
            pipeline.restore(wrong)
        whole = pipeline.state()
    for name in ("builder", "monitor", "elsewhere", "faults"):
        with Pipeline(Detector.default(), workers=0) as pipeline, pytest.raises(CheckpointError):
            pipeline.restore(whole | {name: 7})
