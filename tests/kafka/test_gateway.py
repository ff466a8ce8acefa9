"""The gateway's frames: those of the builder, cut into parts in one way, and no part sent twice."""

from __future__ import annotations

import pytest

from muonstream.detector.model import Detector
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.address import KafkaAccessError, KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.gateway import Form, Framing, Scattering, check_tails
from muonstream.kafka.messages import PART_WORDS, Kind, frame_messages
from muonstream.kafka.progress import SentSoFar
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run

WORDS = simulate_words(400_000, rate_hz=900_000.0, seed=4)  # windows of more than one part
BOARDS = Detector.default().boards
RUN = Run(591, "a run")
Sent = list[tuple[int, bytes, list[tuple[str, bytes]]]]


class Outbox:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: Sent = []

    def send(self, partition: int, value: bytes, headers: list[tuple[str, bytes]], **_: object) -> None:
        self.sent.append((partition, value, headers))


def framed(tails: list[SentSoFar]) -> Sent:
    outbox = Outbox()
    framing = Framing(outbox, RUN, tails, BOARDS)
    framing.push(WORDS)
    framing.finish()
    return outbox.sent


def test_frames_go_in_the_parts_of_frame_messages() -> None:
    builder = FrameBuilder(BOARDS)
    expected = [
        (message.partition(2), message.value(), message.headers())
        for frames in (builder.push(WORDS), builder.finish())
        for message in frame_messages(frames, RUN, len(WORDS), partitions=2)
    ]
    assert framed([SentSoFar(), SentSoFar()]) == expected
    assert max(len(value) for _, value, _ in expected) == 8 * PART_WORDS


def test_a_run_that_was_broken_off_inside_a_window_goes_on_with_its_next_part() -> None:
    whole = framed([SentSoFar()])
    keys = [(int(dict(headers)["window"]), int(dict(headers)["part"])) for _, _, headers in whole]
    cut = keys.index(next(key for key in keys if key[1] == 1))
    assert framed([SentSoFar(order=keys[cut - 1])]) == whole[cut:]


@pytest.mark.parametrize("kind", [Kind.FRAME, Kind.JSON, Kind.DMA])
def test_a_run_goes_to_as_many_partitions_as_before_even_where_each_message_would_be_at_home(kind: Kind) -> None:
    """The first message is in partition 0 whatever their number; the next one is not."""
    outbox = Outbox()
    tails = [SentSoFar()] * 2
    form: Form = Framing(outbox, RUN, tails, BOARDS) if kind is Kind.FRAME else Scattering(outbox, RUN, tails, kind)
    form.push(WORDS[:5000])
    form.finish()
    partition, value, headers = outbox.sent[0]
    found = [SentSoFar()] * 3
    found[partition] = SentSoFar().after(headers, value, RUN)
    assert found[partition].kind is kind
    connection = Connection(KafkaAddress("localhost:9092", "frames"))
    check_tails(connection, RUN, kind, found[:2])
    with pytest.raises(KafkaAccessError, match="another number of partitions than 3"):
        check_tails(connection, RUN, kind, found)
