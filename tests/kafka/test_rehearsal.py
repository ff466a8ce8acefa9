"""Whether a topic has the words of a source, whatever of the run was sent before a gateway was killed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.formats.block import Block
from muonstream.kafka.gateway import Form, Framing, Scattering
from muonstream.kafka.messages import EndMessage, Kind
from muonstream.kafka.progress import SentSoFar
from muonstream.kafka.rehearsal import Rehearsal
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from muonstream.words import Words

BOARDS = Detector.default().boards
RUN = Run(7, "cosmics")
PARTITIONS = 3
WORDS = simulate_words(5000)
Message = tuple[list[tuple[str, bytes]], bytes]


class Topic:
    """A topic in memory."""

    def __init__(self) -> None:
        self.messages: list[list[Message]] = [[] for _ in range(PARTITIONS)]

    def send(self, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self.messages[partition].append((headers, value))


def sent(words: Words, kind: Kind) -> list[list[Message]]:
    """All messages of a run, with its end, by partition."""
    topic = Topic()
    tails = [SentSoFar()] * PARTITIONS
    form: Form = Framing(topic, RUN, tails, BOARDS) if kind is Kind.FRAME else Scattering(topic, RUN, tails, kind)
    for at in range(0, len(words), 4000):
        form.push(words[at : at + 4000])
    form.finish()
    end = EndMessage(RUN, words=len(words))
    for partition in range(PARTITIONS):
        topic.send(partition, end.value(), end.headers())
    return topic.messages


SENT = {kind: sent(WORDS, kind) for kind in (Kind.FRAME, Kind.JSON, Kind.DMA)}


def difference(tails: Sequence[SentSoFar], kind: Kind, words: Words, step: int) -> str:
    rehearsal = Rehearsal(RUN, kind, tails, boards=BOARDS)
    for at in range(0, len(words), step):
        if rehearsal.settled:
            break
        rehearsal.push(words[at : at + step])
    return rehearsal.finish()


def tails_of(messages: list[list[Message]], shares: Sequence[float]) -> list[SentSoFar]:
    """What is found where each partition has this share of its messages."""
    return [
        reduce(lambda tail, message: tail.after(*message, RUN), some[: round(share * len(some))], SentSoFar())
        for some, share in zip(messages, shares, strict=True)
    ]


SHARES = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.999, 1.0]), min_size=PARTITIONS, max_size=PARTITIONS)


@given(st.sampled_from(sorted(SENT)), SHARES, st.integers(1000, 6000))
def test_what_was_sent_of_the_same_words_is_the_same_run(kind: Kind, shares: list[float], step: int) -> None:
    assert difference(tails_of(SENT[kind], shares), kind, WORDS, step) == ""


@given(st.sampled_from(sorted(SENT)), SHARES, st.integers(1000, 6000))
def test_other_words_are_another_run_as_soon_as_anything_was_sent(kind: Kind, shares: list[float], step: int) -> None:
    tails = tails_of(SENT[kind], shares)
    found = difference(tails, kind, simulate_words(4500, seed=2), step)
    assert bool(found) == any(tail != SentSoFar() for tail in tails)


@pytest.mark.parametrize("kind", SENT)
def test_a_source_that_is_shorter_or_longer_is_another_one(kind: Kind) -> None:
    whole, half = tails_of(SENT[kind], [1.0] * PARTITIONS), tails_of(SENT[kind], [0.5] * PARTITIONS)
    assert "its source has only 1,000" in difference(half, kind, WORDS[:1000], 500)
    assert difference(whole, kind, WORDS[:4999], 500)
    longer = np.concatenate([WORDS, simulate_words(100, start_orbit=10**6)])
    expected = "it has 5,000 words and has ended, its source has 5,100"
    if kind is Kind.DMA:  # the last transfer is not full
        expected = "its words differ from those of the source"
    assert difference(whole, kind, longer, 500).startswith(expected)
    assert difference(half, kind, longer, 500) == ""


def test_malformed_rows_are_words_of_the_source() -> None:
    end = EndMessage(RUN, words=3, malformed=3)
    tails = [SentSoFar().after(end.headers(), end.value(), RUN)] * PARTITIONS
    rehearsal = Rehearsal(RUN, Kind.FRAME, tails, boards=BOARDS)
    rehearsal.account_for(Block(malformed=2))
    assert not rehearsal.settled
    rehearsal.account_for(Block(malformed=1))
    assert rehearsal.finish() == ""
