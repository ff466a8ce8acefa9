from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.formats.binary import BinaryDecoder
from muonstream.formats.plausible import CHUNK, PADDING, RUN_WORD, flag_chunks
from muonstream.formats.step import (
    BOARDS,
    CANDIDATE,
    CHANGED,
    END,
    FULL,
    LOST,
    MISSING,
    MORE,
    PHASE,
    REFERENCE,
    RUN,
    SHORT,
    STATE_FIELDS,
    walk,
)
from muonstream.words import Words
from tools.streams import StreamConfig, as_dma, make_words

WORDS = make_words(StreamConfig(words=4000, seed=5))
GARBAGE = np.random.default_rng(3).integers(0, 2**64, 400, np.uint64)


def state(run: int = -1, phase: int = -1) -> NDArray[np.int64]:
    s = np.zeros(STATE_FIELDS, np.int64)
    s[[REFERENCE, CANDIDATE, BOARDS, RUN, PHASE]] = -1, -1, 0b11, run, phase
    return s


def walked(
    words: Words, s: NDArray[np.int64], *, last: bool = True, events: int = 64
) -> tuple[int, int, list[int], list[list[int]]]:
    flags = np.empty(0 if s[RUN] >= 0 else len(words) // CHUNK, np.uint8)
    if len(flags):
        flag_chunks(words, np.uint64(0), flags)
    kinds, found = np.zeros(len(words), np.uint8), np.empty((events, 3), np.int64)
    ended, stop, n = walk(words, np.uint64(0), flags, s, kinds, found, last)
    return ended, stop, kinds.tolist(), found[:n].tolist()


def test_good_words_are_walked_to_the_end() -> None:
    ended, stop, kinds, events = walked(WORDS, state())
    assert (ended, stop, events) == (len(WORDS), END, [])
    assert not any(kinds)


@given(st.integers(17, len(WORDS) - 1))
def test_garbage_stops_the_walk_where_it_begins(at: int) -> None:
    words = np.concatenate([WORDS[:at], GARBAGE])
    ended, stop, _, _ = walked(words, state())
    assert stop == LOST
    assert at - 8 <= ended <= at + 3


@given(st.integers(1, 3990), st.integers(0, 2**64 - 1))
def test_a_single_odd_value_does_not_stop_it(at: int, value: int) -> None:
    words = WORDS.copy()
    words[at] = value
    assert walked(words, state())[:2] == (len(words), END)


def test_it_asks_for_more_before_it_decides_on_an_odd_value() -> None:
    words = np.concatenate([WORDS[:100], GARBAGE[:1]])
    assert walked(words, state(), last=False)[:2] == (100, MORE)
    assert walked(words, state(), last=True)[:2] == (101, END)


def test_padding_and_ancillary_words_are_kinds_of_their_own() -> None:
    words = np.insert(make_words(StreamConfig(words=900, ancillary=9)), 300, np.zeros(40, np.uint64))
    _, stop, kinds, _ = walked(words, state())
    assert stop == END
    assert kinds.count(PADDING) == 40
    assert kinds.count(0) == len(words) - 40


@pytest.mark.parametrize(
    ("cut", "what", "value"), [(slice(1290, 1298), SHORT, 120), (slice(1290, 1291), CHANGED, None)]
)
def test_events_of_transfers(cut: slice, what: int, value: int | None) -> None:
    values = np.frombuffer(as_dma(WORDS), "<u8").copy()
    if what == SHORT:
        values = np.delete(values, np.arange(cut.start + 1, cut.stop + 1))
    else:
        values[cut] = 592
    ended, stop, kinds, events = walked(values, state(591, 128))
    assert (ended, stop) == (len(values), END)
    assert events[0][0] == what
    if value is not None:
        assert events == [[SHORT, 1290 + 129 - 8, value]]
    assert kinds.count(RUN_WORD) == -(-len(WORDS) // 128)


def test_a_missing_run_word_is_an_event_and_its_place_holds_a_word() -> None:
    values = np.delete(np.frombuffer(as_dma(WORDS), "<u8"), 1290)
    ended, stop, kinds, events = walked(values, state(591, 128))
    assert (ended, stop) == (len(values), END)
    assert [event[:2] for event in events] == [[MISSING, 1290]]
    assert kinds.count(RUN_WORD) == -(-len(WORDS) // 128) - 1


def test_a_full_list_of_events_stops_the_walk() -> None:
    values = np.delete(np.frombuffer(as_dma(WORDS), "<u8"), [200, 400, 900])
    ended, stop, _, events = walked(values, state(591, 128), events=2)
    assert stop == FULL
    assert len(events) == 1
    assert ended < len(values)


@pytest.mark.parametrize("shift", range(1, 8))
@pytest.mark.parametrize("start", [0, 1_000_000, 1_100_000, 2_871_700_134, 3_000_000_000, 4_000_000_000])
@pytest.mark.parametrize("ancillary", [0, 4])
def test_any_shift_is_noticed_within_a_few_words(shift: int, start: int, ancillary: int) -> None:
    words = make_words(StreamConfig(words=900, start=start, ancillary=ancillary))
    data = words.astype("<u8").tobytes()
    shifted = np.frombuffer(data[: 8 * 400] + data[8 * 400 + shift : -8 + shift], "<u8")
    ended, stop, _, _ = walked(shifted, state())
    assert stop == LOST
    assert 384 <= ended <= 408


@pytest.mark.parametrize("start", [0, 1_000_000, 2_871_700_134, 4_000_000_000])
@pytest.mark.parametrize("ancillary", [1, 2, 4, 30])
def test_streams_in_step_are_not_taken_for_others(start: int, ancillary: int) -> None:
    for seed in range(5):
        words = make_words(StreamConfig(words=3000, start=start, ancillary=ancillary, seed=seed))
        assert walked(words, state())[:2] == (len(words), END)


def damaged(words: Words, at: int, lost: int, then: int = 0) -> bytes:
    """Words that lose bytes at byte `at`, and so many bytes later the rest of eight, unless `then` is 0."""
    data = words.astype("<u8").tobytes()
    behind = data[at + then + 8 - lost :] if then else b""
    return data[:at] + (data[at + lost : at + then] + behind if then else data[at + lost :])


def notes_of(data: bytes) -> list[str]:
    decoder = BinaryDecoder("f", boards=3)
    return [note for block in (decoder.feed(data), decoder.feed(b"", last=True)) for note in block.notes]


@pytest.mark.parametrize("ancillary", [0, 4])
@pytest.mark.parametrize("lost", [1, 3, 7])
@pytest.mark.parametrize("then", [26, 41, 47])
def test_bytes_lost_twice_within_a_few_words_are_noticed(lost: int, then: int, ancillary: int) -> None:
    words = make_words(StreamConfig(words=900, ancillary=ancillary, packet=1, triggers=0))
    hits = np.flatnonzero(words >> np.uint64(61) == 2)
    at = next(8 * int(i) for i in hits if i > 300 and (words[i : i + 8] >> np.uint64(61) == 2).all())
    (note,) = [note for note in notes_of(damaged(words, at + 2, lost, then)) if "out of step" in note]
    # an ancillary word in front of the place may be passed over with it
    assert any(f"byte {place:,}: out of step" in note for place in (at - 8, at))


@pytest.mark.parametrize("ancillary", [0, 4])
@pytest.mark.parametrize("lost", [1, 4, 7])
@pytest.mark.parametrize("behind", [1, 2, 3, 5])
def test_the_last_words_out_of_step_are_noticed(behind: int, lost: int, ancillary: int) -> None:
    words = np.concatenate(
        [make_words(StreamConfig(words=900, ancillary=ancillary)), make_words(StreamConfig(words=6, start=1_002_000))]
    )
    data = damaged(words, 8 * (len(words) - 1 - behind) + 1, lost)
    assert any("out of step" in note for note in notes_of(data))


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("ancillary", [0, 1, 4])
def test_a_stream_that_ends_inside_a_word_is_in_step(cut: int, ancillary: int) -> None:
    for seed in range(5):
        words = make_words(StreamConfig(words=300, ancillary=ancillary, seed=seed))
        assert not any("out of step" in note for note in notes_of(words.astype("<u8").tobytes()[:-cut]))
