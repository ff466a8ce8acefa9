from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.kafka.grouping import LooseHeaders, groups
from muonstream.kafka.messages import Kind
from muonstream.sources.identity import Run

OBJECT = b'{"HEAD":2}'


@dataclass(frozen=True)
class Sent:
    """A message; headers are counted when they are asked for."""

    at: int
    head: list[tuple[str, bytes]] | None
    text: bytes | None

    def offset(self) -> int:
        return self.at

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.head

    def value(self) -> bytes | None:
        return self.text


def loose(position: int, number: bytes = b"1") -> list[tuple[str, bytes]]:
    return [
        ("kind", b"json"),
        ("version", b"1"),
        ("run-number", number),
        ("run-name", b"cosmics"),
        ("position", b"%d" % position),
    ]


def mark_of(message: Sent) -> LooseHeaders:
    """What one message is, as the formats' description has it."""
    found = dict(message.head or ())
    if found.get("kind") == b"json" and found["run-number"].isdigit():
        return LooseHeaders(Kind.JSON, found["run-number"], found["run-name"], int(found["position"]))
    if message.head:
        return LooseHeaders(None)
    return LooseHeaders(Kind.JSON) if message.text and message.text[:1] == b"{" else LooseHeaders(None)


OTHERS = st.sampled_from([None, [("kind", b"frame")]])


@st.composite
def heads(draw: st.DrawFn) -> list[list[tuple[str, bytes]] | None]:
    """Headers of a stream: loose hits, each the next, but for jumps far ahead or far back; and others among them."""
    steps = st.sampled_from([1, 1, 1, 1, 1, 1, 1000, -1100])
    found: list[list[tuple[str, bytes]] | None] = []
    position, number = 100_000, b"1"
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.booleans()):
            for step in draw(st.lists(steps, max_size=12)):
                position += step
                found.append(loose(position, number))
        else:
            found += [draw(OTHERS)] * draw(st.integers(1, 3))
            number = draw(st.sampled_from([b"1", b"2"]))
    return found


@given(heads(), st.lists(st.sampled_from([OBJECT, OBJECT, OBJECT, b"", b"x", None]), min_size=1, max_size=7))
def test_groups_are_those_of_looking_at_every_message(
    said: list[list[tuple[str, bytes]] | None], texts: list[bytes | None]
) -> None:
    messages = [Sent(i, head, OBJECT if head else texts[i % len(texts)]) for i, head in enumerate(said)]
    marks = [mark_of(message) for message in messages]
    seen = 0
    before: LooseHeaders | None = None
    for mark, first, positions in groups(messages):
        assert first == seen
        assert mark[:3] != (before and before[:3])
        of_group = marks[first : first + len(positions)]
        assert [one[:3] for one in of_group] == [mark[:3]] * len(of_group)
        np.testing.assert_array_equal(positions, [one.position for one in of_group])
        seen += len(positions)
        before = mark
    assert seen == len(messages)


def test_headers_of_a_long_row_are_not_asked_for() -> None:
    asked: list[int] = []

    class Counted(Sent):
        def headers(self) -> list[tuple[str, bytes]] | None:
            asked.append(self.at)
            return self.head

    messages = [Counted(i, loose(100 + i), OBJECT) for i in range(10_000)]
    [(mark, first, positions)] = groups(messages)
    assert (mark, first) == (LooseHeaders(Kind.JSON, b"1", b"cosmics", 100), 0)
    np.testing.assert_array_equal(positions, np.arange(100, 10_100))
    assert asked[:4] == [0, 923, 924, 1947]
    assert len(asked) == 20


BLOCKS = st.lists(st.tuples(st.sampled_from([b"5", b"6"]), st.integers(0, 5), st.integers(1, 4)), max_size=12)


@given(BLOCKS)
def test_blocks_that_come_again_or_of_another_run_are_not_taken_for_what_they_replace(
    blocks: list[tuple[bytes, int, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.kafka.grouping.BLOCK_WORDS", 4)
        said = [loose(4 * block + i, number) for number, block, n in blocks for i in range(n)]
        messages = [Sent(i, head, OBJECT) for i, head in enumerate(said)]
        found = [(mark.number, int(position)) for mark, _, positions in groups(messages) for position in positions]
    assert found == [(mark.number, mark.position) for mark in map(mark_of, messages)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"run-number": None},
        {"run-number": b"1" * 5000},
        {"run-number": b"-1"},
        {"run-name": None},
        {"version": None},
        {"kind": None},
    ],
)
def test_headers_that_are_not_ours_are_looked_at_more_closely(wrong: dict[str, bytes | None]) -> None:
    head: Any = [(name, wrong.get(name, value)) for name, value in loose(5)]
    [(mark, _, _)] = groups([Sent(0, head, b"x")])
    assert mark.kind is None


@pytest.mark.parametrize("place", [None, b"", b"9" * 19, b"x"])
def test_a_place_that_is_none_is_no_place(place: bytes | None) -> None:
    head: Any = [(name, place if name == "position" else value) for name, value in loose(5)]
    [(mark, _, positions)] = groups([Sent(0, head, OBJECT)])
    assert (mark.kind, mark.run, positions.tolist()) == (Kind.JSON, Run(1, "cosmics"), [-1])
