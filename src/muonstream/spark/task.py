"""The work of Spark's executors: messages in, a share of the run out, by the same kernel as in the local engine."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator, Contribution
from muonstream.counting.steps import parts_of
from muonstream.detector.model import Detector
from muonstream.frames import Frames, ScatteredFrames
from muonstream.kafka.columns import ColumnDeliveries, Rows
from muonstream.kafka.deliveries import Part
from muonstream.run.intervals import Intervals
from muonstream.spark.share import TaskResult, TaskSpec, merged

BATCH_WORDS: Final = 1 << 18
"""Frames are passed to the kernel in batches of about this many words."""


@lru_cache(maxsize=2)
def _kernel(
    detector: str, muons: bool, every_slot: bool
) -> tuple[Catalogue, Callable[[Frames | ScatteredFrames], Contribution]]:
    """The kernel of a detector (JSON), made once a worker."""
    catalogue = Catalogue(Detector.model_validate_json(detector), muons=muons)
    # imported objects stay: searching them for garbage after each task took a fifth of a worker's time
    gc.freeze()
    if not muons:
        return catalogue, Accumulator(catalogue, every_slot=every_slot)
    from muonstream.muons.reconstruction import Reconstruction

    return catalogue, Reconstruction(catalogue, every_slot=every_slot)


class Task:
    """Takes the messages of some partitions, in order in each."""

    def __init__(self, order: TaskSpec) -> None:
        catalogue, self._accumulate = _kernel(order.detector, order.muons, order.every_slot)
        self._intervals = Intervals(catalogue, windows=order.windows) if order.windows else None
        self._deliveries = ColumnDeliveries(wanted=order.run, named=order.named)
        self._order = order
        self._contributions: dict[int, list[Contribution]] = {}
        self._words = 0

    def take(self, rows: Rows) -> None:
        """Take a batch of messages."""
        deliveries = self._deliveries
        for partition, stretch in rows.stretches():
            part = deliveries.parts.get(partition)
            if part is None:
                part = self._order.parts.get(partition) or Part(stretch[0].offset())
                deliveries.parts[partition] = part
            # processed messages are never counted again, even if they are read again
            messages = stretch.after(part.next)
            if not part.ended:
                deliveries.take(partition, messages)
        if sum(len(frame.words) for frame in deliveries.frames) >= BATCH_WORDS:
            self._count()

    def _count(self) -> None:
        frames = self._deliveries.joined()
        self._deliveries.frames = []
        self._words += len(frames.words)
        for piece in self._pieces(frames):
            number = 0 if self._intervals is None else self._intervals.number(int(piece.keys[0]))
            several = self._contributions.setdefault(number, [])
            several.append(self._accumulate(piece))
            if len(several) >= 8:
                several[:] = [merged(several, every_slot=self._order.every_slot)]

    def _pieces(self, frames: Frames) -> Iterable[Frames | ScatteredFrames]:
        if not len(frames):
            return []
        pieces: Iterable[Frames] = [frames] if self._intervals is None else self._intervals.pieces(frames)
        return pieces if not self._order.every_slot else (part for piece in pieces for part in parts_of(piece))

    def share(self) -> TaskResult:
        """What was found."""
        self._count()
        deliveries = self._deliveries
        return TaskResult(
            parts=deliveries.parts,
            tally=deliveries.tally.state(),
            run=deliveries.run,
            framed=deliveries.framed,
            accounts=deliveries.accounts,
            ended=deliveries.ended,
            frames=self._words,
            contributions=[
                merged(self._contributions[number], every_slot=self._order.every_slot)
                for number in sorted(self._contributions)
            ],
            words=deliveries.words,
        )


def worker(order: TaskSpec) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The function for Spark's `mapInArrow` that carries out an order."""

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        task = Task(order)
        found = False
        for batch in batches:
            if batch.num_rows:
                found = True
                task.take(Rows(batch))
        if found:
            for row in task.share().rows():
                yield pyarrow.RecordBatch.from_arrays([pyarrow.array([row], pyarrow.binary())], ["share"])

    return work
