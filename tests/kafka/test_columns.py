from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kafka_messages import RUN, Sent, as_frames, as_hits, as_transfers, bare, ends
from record_batches import batch
from test_deliveries import Stored

from muonstream.kafka.columns import ColumnDeliveries, Rows
from muonstream.kafka.deliveries import Deliveries, Part
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from muonstream.spark.share import TaskSpec
from muonstream.spark.task import Task

WORDS = simulate_words(2000, rate_hz=20_000)
OTHER = Run(8, "later")
POISON: list[Sent] = [
    (0, [], b""),
    (0, [], None),
    (0, [], b"{"),
    (0, [], b'{"HEAD": 2}'),
    (0, [], b"nothing of ours"),
    (0, [("kind", b"json")], b"{}"),
    (0, [("kind", b"\xff")], b"x"),
    (0, [("a", b"")], b" {}"),
    (0, [], b'  {"HEAD": 2, "FPGA": 0, "TDC_CHANNEL": 5, "ORBIT_CNT": 3, "BX_COUNTER": 7, "TDC_MEAS": 1}'),
    (0, [], b'{"HEAD": 2.0, "FPGA": 0, "TDC_CHANNEL": 5, "ORBIT_CNT": 3, "BX_COUNTER": 7, "TDC_MEAS": 1}'),
]
FIELDS = '"HEAD": 2, "FPGA": 0, "TDC_CHANNEL": 5, "ORBIT_CNT": 3, "BX_COUNTER": 7, "TDC_MEAS": 1'
FORMS: list[Sent] = [
    (0, [], text.encode())
    for text in (
        f"{{{FIELDS}}}",
        f"\n {{{FIELDS}}}",
        f"\ufeff{{{FIELDS}}}",
        f"{{{FIELDS}}}".replace('"', "'"),
        f"[{{{FIELDS}}}, {{{FIELDS}}}]",
        f"{{{FIELDS}}}\n{{}}\n{{{FIELDS}}}",
        f'{{"schema": 1, "payload": {{{FIELDS}}}}}',
        f"{{{FIELDS}}}".lower(),
        "2,0,5,3,7,1",
        "2,0,5",
        # as long as a transfer
        f"{{{FIELDS}}}".ljust(1032),
    )
]
FORMS += [(0, [], np.concatenate([[np.uint64(run)], WORDS[:128]]).astype("<u8").tobytes()) for run in (122, 123, 379)]
N_WORDS = [1, 1, 1, 1, 2, 2, 1, 1, 1, 0, 1, 128, 128, 128]
POOLS: dict[str, list[Sent]] = {
    "frames": as_frames(WORDS, part_words=64),
    "hits": as_hits(WORDS),
    "bare": bare(as_hits(WORDS)),
    "transfers": as_transfers(WORDS),
    "poison": POISON,
    "forms": FORMS,
    "other": as_hits(WORDS[:40], run=OTHER),
    "end": [*ends(), *ends(run=OTHER)],
}
PIECES = st.lists(st.tuples(st.sampled_from(sorted(POOLS)), st.integers(0, 1999), st.integers(1, 60)), max_size=10)


def cut(pieces: Sequence[tuple[str, int, int]]) -> list[Sent]:
    sent: list[Sent] = []
    for name, first, n in pieces:
        pool = POOLS[name]
        sent += (pool * 2)[first % len(pool) :][:n]
    return sent


def found(deliveries: Deliveries) -> Any:
    words = {p: np.concatenate(several).tolist() for p, several in deliveries.words.items()}
    frames = [(frame.order, frame.parts, frame.words.tolist()) for frame in deliveries.frames]
    parts = {p: (part.next, part.key, part.piece, part.begun, part.ended) for p, part in deliveries.parts.items()}
    return words, frames, parts, deliveries.tally.state(), deliveries.run, deliveries.ended, deliveries.accounts


@given(PIECES, st.lists(st.integers(1, 80), max_size=5), st.sampled_from([None, RUN]))
def test_columns_hold_what_messages_hold(
    pieces: list[tuple[str, int, int]], cuts: list[int], wanted: Run | None
) -> None:
    sent = cut(pieces)
    plain, columns = Deliveries(wanted=wanted), ColumnDeliveries(wanted=wanted)
    plain.parts[0], columns.parts[0] = Part(0), Part(0)
    edges = sorted({0, len(sent), *np.cumsum(cuts).clip(max=len(sent)).tolist()})
    for first, last in pairwise(edges):
        messages = [Stored(first + i, headers, value) for i, (_, headers, value) in enumerate(sent[first:last])]
        if not plain.parts[0].ended:
            plain.take(0, messages)
        for _, stretch in Rows(batch(sent[first:last], first)).stretches():
            if not columns.parts[0].ended:
                columns.take(0, stretch)
    assert found(columns) == found(plain)


def test_each_form_of_a_message_is_recognised() -> None:
    columns = ColumnDeliveries()
    for at, (sent, n_words) in enumerate(zip(FORMS, N_WORDS, strict=True)):
        columns.reset()
        columns.parts[0] = Part(0)
        for _, stretch in Rows(batch([sent])).stretches():
            columns.take(0, stretch)
        assert sum(map(len, columns.words.get(0, []))) == n_words, at
    assert columns.tally.counts == {"missing field": 1, "bad row": 1}


def test_a_slice_of_a_batch_is_read_where_it_lies() -> None:
    sent = [*as_hits(WORDS[:50]), *bare(as_hits(WORDS[50:100])), *POISON]
    whole = batch(sent)
    one, other = ColumnDeliveries(), ColumnDeliveries()
    one.parts[0], other.parts[0] = Part(30), Part(30)
    for _, stretch in Rows(whole).stretches():
        one.take(0, stretch.after(30))
    for _, stretch in Rows(whole.slice(30)).stretches():
        other.take(0, stretch)
    assert found(one) == found(other)


def test_a_message_is_the_same_by_its_index() -> None:
    sent = [*as_hits(WORDS[:3]), (0, [], None)]
    ((partition, stretch),) = Rows(batch(sent, 7)).stretches()
    assert partition == 0
    assert [message.offset() for message in stretch] == [7, 8, 9, 10]
    assert [message.value() for message in stretch] == [value for _, _, value in sent]
    assert stretch[1].headers() == list(sent[1][1])
    assert stretch[-1].headers() is None
    assert [message.offset() for message in stretch.after(9)] == [9, 10]


def test_a_task_takes_nothing_again() -> None:
    sent = as_hits(WORDS[:100])
    from muonstream.detector.model import Detector

    order = TaskSpec(Detector.default().model_dump_json(), 0, RUN, False, {0: Part(40)})
    task = Task(order)
    task.take(Rows(batch(sent)))
    share = task.share()
    assert np.concatenate(share.words[0]).tolist() == WORDS[40:100].tolist()
    assert asdict(share.parts[0])["next"] == 100
    assert share.tally["counts"] == {}
