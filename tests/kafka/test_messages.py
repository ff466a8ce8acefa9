from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.frames import KEY_WINDOW_MASK, Frames
from muonstream.kafka.messages import (
    BLOCK_WORDS,
    EndMessage,
    FrameMessage,
    Headers,
    Kind,
    MessageError,
    dma_value,
    dma_words,
    frame_messages,
    kind_of,
    loose_headers,
    loose_partition,
    loose_place,
    position_header,
)
from muonstream.sources.identity import Run
from muonstream.words import DMA_WORDS

COUNTS = st.integers(0, 10**12)
RUNS = st.builds(Run, COUNTS, st.text(max_size=20))
WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=40).map(lambda values: np.array(values, np.uint64))
PLAIN = FrameMessage(Run(591, "run 591"), 3 << 22 | 77, 0, 2, np.arange(5, dtype=np.uint64), 1234)

NAMES = st.sampled_from([name for name, _ in PLAIN.headers()])


@st.composite
def frames(draw: st.DrawFn) -> Frames:
    keys = sorted(draw(st.sets(st.integers(0, 2**40), min_size=1, max_size=6)))
    sizes = draw(st.lists(st.integers(0, 30), min_size=len(keys), max_size=len(keys)))
    starts = np.cumsum([0, *sizes])
    return Frames(np.arange(starts[-1], dtype=np.uint64), starts, np.array(keys, np.int64))


def same(a: FrameMessage, b: FrameMessage) -> bool:
    rest = [dataclasses.replace(message, words=np.empty(0, np.uint64)) for message in (a, b)]
    return np.array_equal(a.words, b.words) and repr(rest[0]) == repr(rest[1])


@given(frames(), RUNS, COUNTS, st.integers(1, 32), st.integers(1, 20))
def test_messages_of_frames_come_back_as_they_were(
    built: Frames, run: Run, position: int, part_words: int, partitions: int
) -> None:
    sent = list(frame_messages(built, run, position, part_words))
    back = [FrameMessage.decode(message.headers(), message.value()) for message in sent]
    assert all(same(a, b) for a, b in zip(sent, back, strict=True))
    assert all(kind_of(message.headers(), message.value()) is Kind.FRAME for message in sent)
    assert np.array_equal(np.concatenate([message.words for message in back]), built.words)
    assert all(len(message.words) <= part_words for message in back)
    orders = [message.order for message in back]
    assert orders == sorted(set(orders)), "what is sent only rises"
    for index, key in enumerate(built.keys.tolist()):
        parts = [message for message in back if message.key == key]
        assert [message.part for message in parts] == list(range(parts[0].parts))
        assert np.array_equal(np.concatenate([message.words for message in parts]), built.window(index))
        assert {message.partition(partitions) for message in parts} == {(key & KEY_WINDOW_MASK) % partitions}


@given(RUNS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.lists(st.text(max_size=30), max_size=3))
def test_an_end_comes_back_as_it_was(
    run: Run, words: int, late: int, stray: int, malformed: int, resets: int, faults: list[str]
) -> None:
    end = EndMessage(run, words, late, stray, malformed, resets, tuple(faults))
    assert EndMessage.decode(end.headers(), end.value()) == end
    assert kind_of(end.headers(), end.value()) is Kind.END


@given(st.integers(1, DMA_WORDS - 1), st.integers(0, 2**63))
def test_transfers_come_back_as_they_were(n: int, number: int) -> None:
    words = np.arange(n, dtype=np.uint64) << np.uint64(40)
    value = dma_value(words, Run(number))
    assert np.array_equal(dma_words(value), words)
    assert np.frombuffer(value, "<u8")[0] == number


@given(RUNS, COUNTS, st.sampled_from([Kind.JSON, Kind.DMA]))
def test_loose_messages_say_run_and_place(run: Run, position: int, kind: Kind) -> None:
    headers = [*loose_headers(kind, run), position_header(position)]
    assert loose_place(headers) == (run, position)
    assert kind_of(headers, b"anything") is kind


def with_header(name: str, value: bytes | None) -> Headers:
    """The headers of a good frame with one of them replaced, or left out."""
    kept = [(key, content) for key, content in PLAIN.headers() if key != name]
    return kept if value is None else [*kept, (name, value)]


@pytest.mark.parametrize(
    ("headers", "value", "fault", "named"),
    [
        (with_header("version", b"2"), PLAIN.value(), "wrong version", "'2'"),
        (with_header("version", None), PLAIN.value(), "wrong version", "none"),
        *(
            (with_header(name, None), PLAIN.value(), "missing header", name)
            for name in ("run-number", "epoch", "window", "part", "parts", "words", "position")
        ),
        (with_header("window", b"-1"), PLAIN.value(), "wrong header", "window"),
        (with_header("window", b"4194304"), PLAIN.value(), "wrong header", "4194304"),
        (with_header("epoch", b"1.0"), PLAIN.value(), "wrong header", "epoch"),
        (with_header("epoch", b"9" * 19), PLAIN.value(), "wrong header", "epoch"),
        (with_header("part", b"2"), PLAIN.value(), "wrong header", "part 2 of 2"),
        (with_header("words", b"6"), PLAIN.value(), "truncated value", "6 words"),
        (PLAIN.headers(), PLAIN.value()[:-1], "truncated value", "39 bytes"),
        (PLAIN.headers(), PLAIN.value()[:-8], "truncated value", "32 bytes"),
        (PLAIN.headers(), b"", "truncated value", "0 bytes"),
        (PLAIN.headers(), None, "truncated value", "no value"),
    ],
)
def test_a_broken_frame_has_one_named_fault(headers: Headers, value: bytes | None, fault: str, named: str) -> None:
    with pytest.raises(MessageError, match=named) as raised:
        FrameMessage.decode(headers, value)
    assert raised.value.fault == fault
    assert "\n" not in str(raised.value)


@given(
    st.lists(st.tuples(st.text(max_size=8) | NAMES, st.none() | st.binary(max_size=8)), max_size=4),
    st.none() | st.binary(max_size=40),
)
def test_no_bytes_whatever_raise_anything_else(headers: Headers, value: bytes | None) -> None:
    for decode in (kind_of, FrameMessage.decode, EndMessage.decode):
        for said in (headers, [*PLAIN.headers()[:4], *headers], [*headers, *PLAIN.headers()]):
            with suppress(MessageError):
                decode(said, value)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"null", b"{}", b'{"words": 1}', b'{"words": NaN'])
def test_a_broken_end_is_named(value: bytes | None) -> None:
    with pytest.raises(MessageError) as raised:
        EndMessage.decode(EndMessage(Run()).headers(), value)
    assert raised.value.fault == "truncated value"


@pytest.mark.parametrize(
    ("value", "kind"),
    [(bytes(8 * DMA_WORDS), Kind.DMA), (b'{"HEAD": 2}', Kind.JSON), (b' \n{"HEAD": 2}', Kind.JSON)],
)
def test_messages_without_headers_are_known_by_their_bytes(value: bytes, kind: Kind) -> None:
    assert kind_of(None, value) is kind
    assert kind_of([], value) is kind


@pytest.mark.parametrize(
    ("headers", "value", "fault"),
    [
        ([], None, "tombstone"),
        ([], b"", "empty value"),
        ([], b"hello", "unknown kind"),
        ([], bytes(8 * DMA_WORDS - 8), "unknown kind"),
        ([], b"\0\0\0\1\5\2\2\2\2", "Avro or Protobuf"),
        ([], b"Obj\1\4", "Avro"),
        ([("kind", b"picture")], b"{}", "unknown kind"),
    ],
)
def test_what_is_none_of_ours_is_named(headers: Headers, value: bytes | None, fault: str) -> None:
    with pytest.raises(MessageError) as raised:
        kind_of(headers, value)
    assert raised.value.fault == fault


@pytest.mark.parametrize("n_bytes", [0, 8, 8 * DMA_WORDS + 8, 20])
def test_transfers_of_another_size_are_named(n_bytes: int) -> None:
    with pytest.raises(MessageError, match=f"found {n_bytes} bytes") as raised:
        dma_words(bytes(n_bytes))
    assert raised.value.fault == "truncated value"


@given(st.integers(0, 10**12), st.integers(1, 64))
def test_loose_words_go_in_blocks(position: int, partitions: int) -> None:
    home = loose_partition(position, partitions)
    assert 0 <= home < partitions
    first = position - position % BLOCK_WORDS
    assert loose_partition(first, partitions) == loose_partition(first + BLOCK_WORDS - 1, partitions) == home


def test_blocks_are_spread_evenly() -> None:
    homes = [loose_partition(block * BLOCK_WORDS, 16) for block in range(4096)]
    counts = np.bincount(homes, minlength=16)
    assert counts.min() > 200
    assert counts.max() < 320


@given(st.integers(0, 2**40), st.text(max_size=9), st.integers(0, 2**30), st.integers(0, 2**40))
def test_headers_say_the_same_in_whatever_order_they_come(number: int, name: str, key: int, position: int) -> None:
    message = FrameMessage(Run(number, name), key, 1, 3, np.arange(5, dtype=np.uint64), position)
    found = [FrameMessage.decode(headers, message.value()) for headers in (message.headers(), message.headers()[::-1])]
    for one in found:
        assert (one.run, one.order, one.parts, one.position) == (message.run, (key, 1), 3, position)
        assert (one.words == message.words).all()
