"""The engine on Spark: a topic read and counted by executors, merged, published and stored by the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from threading import Condition, Event
from typing import Any, Final

import numpy as np

from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import STORE_EVERY_S, TopicEngine
from muonstream.formats.block import SourceError
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.messages import FrameMessage
from muonstream.kafka.offsets import TopicOffsets
from muonstream.run.monitor import Snapshot
from muonstream.sinks.store import Saved, Store, StoreError
from muonstream.sources.identity import Run
from muonstream.spark.progress import Progress, reached
from muonstream.spark.query import Query
from muonstream.spark.session import SparkError, first_line
from muonstream.spark.share import SCHEMA, TaskResult, TaskSpec, read_shares
from muonstream.spark.task import worker

LOOK_EVERY_S: Final = 0.1
ROUND_WORDS: Final = 1 << 20
"""Loose words are pushed in rounds of about this many, some of each partition, so that few are held."""


def _undecided(run: Run | None, named: bool) -> bool:
    """Whether the run is still undecided: none has come, or the one asked for by number has no name yet."""
    return run is None or (named and run == Run(run.number))


class StoppedError(Exception):
    """No more micro-batches are taken."""


class SparkEngine(TopicEngine):
    """Takes one run of a topic, micro-batch by micro-batch.

    Executors decode messages and, where these are frames, count them; loose words come to the driver, whose builder
    makes the frames. With a store, a micro-batch's number, what came of it and how far each partition was taken are
    written in one transaction: one that Spark gives again changes nothing.

    limits: how many messages a micro-batch and a record batch may have, by the words that a message holds; where it is
    given, Spark begins when the first messages are there
    """

    def __init__(
        self,
        reader: TopicOffsets,
        pipeline: Pipeline,
        deliveries: Deliveries,
        query: Query,
        *,
        store: Store | None = None,
        name: str = "",
        limits: Callable[[float], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(reader, pipeline, deliveries, store=store, name=name)
        self._limits = limits
        self.ends = reader
        self.query = query
        self._batch = -1
        self._changed = Condition()
        self._closing = False
        self._looked = self._logged = -1
        self._error: Exception | None = None
        self._detector = pipeline.detector.model_dump_json()

    def restore(self, saved: Saved) -> None:
        """Resume from the state stored by this engine or the local one. Raises StoreError when it does not fit."""
        super().restore(saved)
        found = saved.reader.get("spark")
        if found is None:
            return
        if self.query.resume(found["checkpoint"], found["query"]):
            self._batch = int(found["batch"])
        for part, kept in found["parts"].items():
            at = self.deliveries.parts[int(part)]
            at.pieces = [
                FrameMessage(Run(**piece["run"]), words=words, **piece["counts"])
                for piece, words in zip(kept["pieces"], _cut(saved.state["pieces"][part], kept), strict=True)
            ]
            at.first, at.before = at.next, (at.key, at.piece)
            at.next = int(kept["next"])
            at.key, at.piece = at.pieces[-1].order

    def begin(self, positions: Mapping[int, int] | None = None, *, newest_to: Mapping[int, int] | None = None) -> None:
        """Find where to begin, as the local engine does; an existing checkpoint is resumed."""
        stored = {p: part.next for p, part in self.deliveries.parts.items()}
        super().begin(positions, newest_to=newest_to)
        if any(self.ends.next[p] != at for p, at in stored.items()):
            self.query.renew()
            self._batch = -1

    def _saved(self, ended: bool) -> Saved:
        saved = super()._saved(ended)
        parts = {str(p): part for p, part in self.deliveries.parts.items() if part.pieces}
        kept = {
            p: {
                "next": part.next,
                "pieces": [
                    {
                        "run": asdict(piece.run),
                        "counts": {name: getattr(piece, name) for name in ("key", "part", "parts", "position")},
                        "words": len(piece.words),
                    }
                    for piece in part.pieces
                ],
            }
            for p, part in parts.items()
        }
        words = {p: np.concatenate([piece.words for piece in part.pieces]) for p, part in parts.items()}
        spark = {"batch": self._batch, "checkpoint": self.query.name, "query": self.query.identity, "parts": kept}
        state = {**saved.state, "pieces": words}
        return replace(saved, state=state, reader={**saved.reader, "spark": spark})

    def run(
        self,
        stop: Event,
        *,
        publish: Callable[[Snapshot], None],
        interval_s: float = 0.5,
        store_every_s: float = STORE_EVERY_S,
    ) -> Snapshot:
        """Take micro-batches until the run is over or `stop` is set, and give the final snapshot.

        Each is stored as it comes: `store_every_s` is for engines without micro-batches.
        Raises SparkError, SourceError, KafkaAccessError or StoreError; the micro-batches until then are stored.
        """
        try:
            if not self.over:
                self._start()
                self._watch(stop, publish, interval_s)
        finally:
            with self._changed:
                self._closing = True
            self._tell()
            self.query.stop()
            if not self.over and self._error is None:
                self.keep_acts()  # before held words, which belong to the run that continues, are counted
            self.pipeline.finish()
            if self.over and self._error is None:
                self.save(ended=True)
                self.query.discard()
            with self._changed:
                last = self._snapshot("ended")
                publish(last)
        return last

    def _start(self) -> None:
        """Start Spark's query once the run to read is known."""
        if self._limits is not None:
            self.pipeline.engine = (("Engine", self.query.where), ("Micro-batch", "none: no message yet"))
            if not self.ends.lag:
                return
            try:
                size = self.ends.words_per_message()
            except SourceError:
                return  # the broker does not answer at the moment; this is retried
            self.query.limit(*self._limits(size))
        self.query.start(dict(self.ends.next), self._take_batch)

    def _watch(self, stop: Event, publish: Callable[[Snapshot], None], interval_s: float) -> None:
        """Publish a snapshot each interval_s and after each micro-batch, until the run is over."""
        due, shown = time.monotonic(), self._batch
        while not self.over and not stop.is_set():
            self.ends.ask()
            added = self.ends.new_partitions()
            if not self.query.begun:
                self._start()
            self._tell()
            with self._changed:
                if self._batch == shown:
                    self._changed.wait(LOOK_EVERY_S)
                if self._error is not None:
                    raise self._error
                if self._acted:
                    self.save()
                if added:
                    self.adopt(added)
                if not self.deliveries.framed:
                    self._let_idle_go()
                self.deliveries.reset()
                self._end_where_deleted()
                if self.deliveries.ended:
                    self._count()
                now = self._batch != shown or time.monotonic() >= due
                snapshot = self._snapshot() if now and not self.over else None
                shown = self._batch
                if snapshot is not None:
                    # publish under the lock: micro-batches append to the same intervals
                    publish(snapshot)
            if snapshot is not None:
                due = time.monotonic() + interval_s
            if (
                self.query.begun
                and not self.query.active
                and self._error is None
                and not self.over
                and not stop.is_set()
            ):
                raise self.query.fault()

    def _tell(self) -> None:
        """Report Spark's progress: on the page, and once a micro-batch in the log."""
        told = self.query.last_progress()
        if told is None:
            return
        with self._changed:
            self.ends.passed(reached(told, self.ends.topic))
        progress = self._progress(told)
        self.pipeline.engine = (("Engine", self.query.where), *progress.lines())
        if progress.batch != self._looked:
            self._looked = progress.batch
            # a micro-batch may have finished since the last look
            for one in map(self._progress, self.query.progress_since(self._logged)):
                if one.messages and one.batch > self._logged:
                    one.log()
                    self._logged = one.batch

    def _progress(self, told: Mapping[str, Any]) -> Progress:
        return Progress.of(told, self.pipeline.builder.held_words, self.ends.lag, self.query.trigger_s)

    def _take_batch(self, messages: Any, number: int) -> None:
        """Spark calls this with each micro-batch. An error ends the query, and the batch is not committed."""
        try:
            with self._changed:
                if self._closing:
                    raise StoppedError
                self._check(number)
                order = self._order()
            shares = self._shares(messages, order)
            with self._changed:
                if self._closing:
                    raise StoppedError
                # a repeated micro-batch may hold more than before if its plan was lost, so offsets decide, not its
                # number
                self._batch = max(self._batch, number)
                self._take_shares(shares)
                self.save()
                self._changed.notify_all()
        except StoppedError:
            raise
        except Exception as error:
            with self._changed:
                if not self._closing:  # otherwise it was interrupted on purpose
                    self._error = _told(error)
                self._changed.notify_all()
            raise

    def _check(self, number: int) -> None:
        """Raise StoreError when micro-batches are missing between the store and the checkpoint."""
        self.query.check()
        if number > self._batch + 1 and self.query.resumed:
            raise StoreError(
                f"the checkpoint {self.query.name} resumes at micro-batch {number} but the store at "
                f"{self._batch + 1}, so they do not belong together; use the matching --store, or another "
                "--checkpoint to resume from the store alone"
            )

    def _order(self) -> TaskSpec:
        deliveries, intervals = self.deliveries, self.pipeline.intervals
        windows = 0 if intervals is None else intervals.windows
        muons = bool(self.pipeline.catalogue.muon_shapes)
        judged = self.pipeline.timeline is not None
        return TaskSpec(
            self._detector, windows, deliveries.run, deliveries.named, dict(deliveries.parts), muons, judged
        )

    def _shares(self, messages: Any, order: TaskSpec) -> list[TaskResult]:
        """The tasks' results of a micro-batch. Where they disagree on the run, they are repeated with the run given."""
        shares = self._collect(messages, order)
        found = sorted((min(share.parts), share.run) for share in shares if share.run not in (None, order.run))
        if _undecided(order.run, order.named) and len({run for _, run in found}) > 1:
            shares = self._collect(messages, replace(order, run=found[0][1]))
        return shares

    def _collect(self, messages: Any, order: TaskSpec) -> list[TaskResult]:
        rows = messages.coalesce(self.query.tasks).mapInArrow(worker(order), SCHEMA).toArrow()
        return read_shares(row.as_buffer() for row in rows.column(0))

    def _take_shares(self, shares: Sequence[TaskResult]) -> None:
        deliveries, pipeline = self.deliveries, self.pipeline
        deliveries.reset()
        for share in shares:
            self._adopt_parts(share)
            if _undecided(deliveries.run, deliveries.named) and share.run is not None:
                deliveries.run = share.run
            deliveries.framed |= share.framed
            deliveries.accounts |= share.accounts
            deliveries.ended += share.ended
            for name, n in share.tally["counts"].items():
                deliveries.tally.add(name, share.tally["last"][name], n)
            for partition, words in share.words.items():
                deliveries.words.setdefault(partition, []).extend(words)
            if share.framed:
                pipeline.disordered()
            pipeline.add(share.contributions, share.frames)
        self._dirty = True
        self._count()

    def _adopt_parts(self, share: TaskResult) -> None:
        for partition, part in share.parts.items():
            if partition not in self.deliveries.parts:
                self._added.add(partition)
            self.deliveries.parts[partition] = part
            self.ends.next[partition] = part.next
            self.pipeline.builder.add_source(partition)

    def _push(self) -> None:
        """Some of each partition in turn: a window waits for all of them."""
        words = {p: np.concatenate(several) for p, several in sorted(self.deliveries.words.items())}
        rounds = max(1, -(-sum(map(len, words.values())) // ROUND_WORDS))
        for i in range(rounds):
            for partition, all_of_it in words.items():
                n = len(all_of_it)
                self.pipeline.push(all_of_it[i * n // rounds : (i + 1) * n // rounds], partition)


def _cut(words: Any, kept: Mapping[str, Any]) -> list[Any]:
    ends = np.cumsum([piece["words"] for piece in kept["pieces"]])
    return np.split(words, ends[:-1])


def _told(error: Exception) -> Exception:
    """An error of Spark in one line; muonstream's own errors unchanged."""
    if isinstance(error, StoreError | SparkError):
        return error
    return SparkError(f"Spark: {first_line(str(error))}")
