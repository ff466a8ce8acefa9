from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_messages import RUN, as_frames, as_hits, ends, loose, objects

from muonstream.formats.hit_messages import words_of_text
from muonstream.kafka.deliveries import Deliveries, Part, fault_name
from muonstream.kafka.messages import BLOCK_WORDS
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run

WORDS = simulate_words(3000, rate_hz=20_000)
OBJECTS = objects(WORDS)


@dataclass
class Stored:
    """A message as a client gives it, which keeps count of how often its headers were asked for."""

    at: int
    said: Sequence[tuple[str, bytes]]
    content: bytes | None
    asked: list[int] = field(default_factory=list)

    def offset(self) -> int:
        return self.at

    def headers(self) -> Sequence[tuple[str, bytes]] | None:
        self.asked.append(self.at)
        return self.said or None

    def value(self) -> bytes | None:
        return self.content


def new(wanted: Run | None = None) -> Deliveries:
    deliveries = Deliveries(wanted=wanted)
    deliveries.parts[0] = Part(0)
    return deliveries


@pytest.mark.parametrize("other", [Run(9, "night"), Run(0, "noise"), Run(2, "day")])
def test_the_newest_run_is_found_behind_runs_of_any_number(other: Run) -> None:
    """Numbers need not rise: a run may have none, or be sent again after later ones."""
    ours = Run(3, "again")
    sent = [*ends(run=other), *as_hits(WORDS[:50], 1, ours), *ends(run=other)]
    messages = [Stored(place, headers, value) for place, (_, headers, value) in enumerate(sent)]
    deliveries = new(ours)
    deliveries.parts[0].newest_to = len(messages) - 1
    deliveries.take(0, messages)
    assert words_of(deliveries) == WORDS[:50].tolist()
    # another run behind it is newer, so that ours has no end
    assert (deliveries.tally.counts, deliveries.parts[0].ended) == ({"another run": 1, "run cut off": 1}, True)


def test_a_run_without_a_message_in_a_partition_ends_there_where_a_newer_one_begins() -> None:
    deliveries = new(Run(3, "again"))
    deliveries.parts[0].newest_to = 1
    (_, headers, value) = ends(run=Run(2, "day"))[0]
    deliveries.take(0, [Stored(0, headers, value)])
    assert not deliveries.parts[0].ended
    deliveries.take(0, [Stored(1, headers, value)])
    assert deliveries.parts[0].ended


def words_of(deliveries: Deliveries) -> list[int]:
    found = [words for words in deliveries.words.get(0, []) if len(words)]
    return [int(word) for word in np.concatenate(found)] if found else []


PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("row"), st.integers(0, 2900), st.integers(1, 100)),
        st.tuples(st.just("poison"), st.just(0), st.just(1)),
        st.tuples(st.just("bare"), st.integers(0, 2999), st.just(1)),
    ),
    max_size=12,
)


@given(PIECES, st.lists(st.integers(0, 1200), max_size=3))
def test_each_place_counts_once_and_in_order_however_messages_are_batched(
    pieces: list[tuple[str, int, int]], cuts: list[int]
) -> None:
    messages: list[Stored] = []
    expected: list[int] = []
    newest, repeats, poison = -1, 0, 0
    for what, first, n in pieces:
        for place in range(first, first + n):
            if what == "row":
                messages.append(Stored(len(messages), loose("json", RUN, place), OBJECTS[place]))
                repeats += place <= newest
                if place > newest:
                    expected.append(int(WORDS[place]))
                    newest = place
            elif what == "bare":
                messages.append(Stored(len(messages), [], OBJECTS[place]))
                expected.append(int(WORDS[place]))
            else:
                messages.append(Stored(len(messages), [], b"poison"))
                poison += 1
    deliveries = new()
    for part in np.split(np.arange(len(messages)), sorted(cuts)):
        deliveries.take(0, [messages[index] for index in part])
    assert words_of(deliveries) == expected
    assert deliveries.tally.counts.get("duplicate", 0) == repeats
    assert deliveries.tally.malformed == poison
    assert deliveries.parts[0].next == len(messages)


def test_of_a_long_row_only_few_headers_are_asked_for() -> None:
    asked: list[int] = []
    sent = as_hits(WORDS)
    messages = [Stored(index, said, value, asked) for index, (_, said, value) in enumerate(sent)]
    deliveries = new()
    deliveries.take(0, messages)
    assert words_of(deliveries) == WORDS.tolist()
    assert len(asked) <= 2 * (1 + len(WORDS) // BLOCK_WORDS) + 1


def test_nothing_is_taken_after_the_end() -> None:
    sent = [*as_frames(WORDS), *ends(), *as_frames(WORDS, run=Run(8))]
    deliveries = new()
    deliveries.take(0, [Stored(index, said, value) for index, (_, said, value) in enumerate(sent)])
    part = deliveries.parts[0]
    assert part.ended
    assert part.next == len(as_frames(WORDS)) + 1
    assert len(deliveries.joined().words) == len(WORDS)


def test_a_window_whose_parts_have_not_all_come_is_read_again_after_a_restart() -> None:
    sent = as_frames(WORDS, part_words=200)
    messages = [Stored(index, said, value) for index, (_, said, value) in enumerate(sent)]
    for cut in range(len(messages) + 1):
        first = new()
        first.take(0, messages[:cut])
        offset, key, piece = first.parts[0].resume
        second = new(RUN)
        second.parts[0] = Part(offset, key, piece, begun=True)
        second.take(0, messages[offset:])
        together = np.concatenate([first.joined().words, second.joined().words])
        assert sorted(together.tolist()) == sorted(WORDS.tolist())
        keys = [*first.joined().keys.tolist(), *second.joined().keys.tolist()]
        assert len(keys) == len(set(keys))  # no window in two pieces


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"{", "bad JSON"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": NaN'), "no number"),
        (b"[]", "no object"),
        (b"{}", "missing field"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": 2, "head": 2'), "field twice"),
        (b"2,1,17,123456,3563", "bad row"),
        (b" \n", "empty value"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": "two"'), "wrong type"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": null'), "wrong type"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": 2.5'), "fraction"),
        (OBJECTS[0].replace(b'"HEAD": 2', b'"HEAD": -1'), "out of range"),
    ],
)
def test_faults_have_names(text: bytes, name: str) -> None:
    words, faults = words_of_text(text)
    assert (words, list(map(fault_name, faults))) == ([], [name])


NAMES = ["kind", "version", "run-name", "run-number", "epoch", "window", "part", "parts", "words", "position", "other"]
TEXTS = st.one_of(
    st.none(),
    st.sampled_from([b"frame", b"end", b"json", b"dma", b"1", b"0", b"7", b"cosmics", b"1" * 19, b"9" * 5000]),
    st.integers(0, 1 << 62).map(lambda n: b"%d" % n),
    st.binary(max_size=4),
)
VALUES = st.one_of(
    st.none(),
    st.sampled_from([OBJECTS[0], b"{", b"[" * 100_000, b'{"words":1e999}', bytes(8), bytes(16), bytes(1032)]),
    st.binary(max_size=40),
)


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=11),
                # as ours, but for one of them
                st.tuples(
                    st.sampled_from([as_hits(WORDS[:1]), as_frames(WORDS[:9]), ends()]), st.integers(0, 9), TEXTS
                ).map(
                    lambda made: [
                        (name, made[2] if index == made[1] else text)
                        for index, (name, text) in enumerate(made[0][0][1])
                    ]
                ),
            ),
            VALUES,
        ),
        max_size=6,
    )
)
def test_whatever_comes_is_counted_and_nothing_raises(sent: list[tuple[Any, bytes | None]]) -> None:
    deliveries = new()
    deliveries.take(0, [Stored(index, headers, value) for index, (headers, value) in enumerate(sent)])
    deliveries.joined()
    part = deliveries.parts[0]
    assert part.ended or part.next == len(sent)
    taken = sum(map(len, deliveries.words.get(0, []))) + len(deliveries.frames) + len(part.pieces)
    told = sum(deliveries.tally.counts.values()) + len(deliveries.accounts)
    assert part.ended or told + taken >= len(sent)


def test_what_is_gone_is_passed_over_with_the_rest_of_its_window() -> None:
    deliveries = new()
    sent = as_frames(WORDS, part_words=100)
    messages = [Stored(at, headers, value) for at, (_, headers, value) in enumerate(sent)]
    parts = [int(dict(headers)["part"]) for _, headers, _ in sent]
    cut = parts.index(2) + 1  # three parts of a window, of which there are more
    assert parts[cut] == 3
    deliveries.take(0, messages[:cut])
    assert deliveries.parts[0].resume[0] == cut - 3
    deliveries.skip(0, cut, cut + 40)
    assert deliveries.parts[0].resume == (cut + 40, *deliveries.frames[-1].order)
    assert len(deliveries.frames) == cut
    assert deliveries.tally.counts == {"incomplete window": 1, "lost": 40}
    deliveries.parts[0].ended = True
    deliveries.skip(0, cut + 40, cut + 50)
    assert (deliveries.parts[0].next, deliveries.tally.counts["lost"]) == (cut + 40, 50)
    deliveries.skip(3, 0, 7)  # of a partition from which nothing was taken yet
    assert deliveries.tally.counts["lost"] == 57
