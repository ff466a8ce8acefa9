"""The gateway's frames: those of the builder, cut into parts in one way, and no part sent twice."""

from __future__ import annotations

from muonstream.detector.model import Detector
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.gateway import Framing
from muonstream.kafka.messages import PART_WORDS, frame_messages
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
        for message in frame_messages(frames, RUN, len(WORDS))
    ]
    assert framed([SentSoFar(), SentSoFar()]) == expected
    assert max(len(value) for _, value, _ in expected) == 8 * PART_WORDS


def test_a_run_that_was_broken_off_inside_a_window_goes_on_with_its_next_part() -> None:
    whole = framed([SentSoFar()])
    keys = [(int(dict(headers)["window"]), int(dict(headers)["part"])) for _, _, headers in whole]
    cut = keys.index(next(key for key in keys if key[1] == 1))
    assert framed([SentSoFar(order=keys[cut - 1])]) == whole[cut:]
