"""The engine on a topic: one run's messages through a pipeline, its state and positions stored together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from threading import Event
from typing import Any, Final

import numpy as np

from muonstream.counting.kernel import SLOT_WINDOWS
from muonstream.engines.pipeline import GatewayLosses, Pipeline
from muonstream.formats.block import SourceError
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.kafka.deliveries import Deliveries, Part
from muonstream.kafka.reader import TopicReader
from muonstream.run.checkpoint import CheckpointError
from muonstream.run.monitor import Snapshot
from muonstream.sinks.store import Position, Saved, Store, StoreError
from muonstream.sources.identity import Run

STORE_EVERY_S: Final = 1.0
IDLE_EVERY_S: Final = 0.25
IDLE_WINDOWS: Final = 50
"""Ask the broker whether a partition is drained only once another partition leads it by this many windows. The builder
applies its own, larger, idle limit."""
HELD_HIGH: Final = 4 << 20
"""With this many words held, partitions that run ahead are paused."""
HELD_LOW: Final = 2 << 20
AHEAD_WINDOWS: Final = 16
STUCK_S: Final = 5.0
"""When nothing has come for this long, all partitions are read: the others may hold no messages of the run."""
ORDER_WINDOWS: Final = 2


class TopicEngine:
    """Takes one run of a topic. The pipeline's sources are the partitions.

    With a store, positions and results are written in one transaction, so that after any end of the process another
    engine resumes from there and nothing is counted twice or lost.
    """

    def __init__(
        self,
        reader: TopicReader,
        pipeline: Pipeline,
        deliveries: Deliveries,
        *,
        store: Store | None = None,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """name: of the topic in the store."""
        self.reader = reader
        reader.on_lost = self.lost
        self.pipeline = pipeline
        self.deliveries = deliveries
        self._step = -1
        self._store = store
        self._name = name
        self._clock = clock
        self._idle_due = self._read_at = clock()
        self._dirty = False
        self._stored_acts = self._acts
        self._added: set[int] = set()
        self._accounted = False
        self._partitions = 0
        """how many the run was sent to, as its end says; 0 before, or where it does not say"""
        self._sent_words = 0
        """how many words its gateway has read, as the end says"""
        self._data_ends: tuple[int, ...] = ()
        """below which offsets its words are, by partition, as the end says"""
        self._end_due = 0.0
        self._waiting: frozenset[int] = frozenset()
        self._named = bool(pipeline.monitor.run)

    def restore(self, saved: Saved) -> None:
        """Resume from the stored state, before `begin`. Raises StoreError when it does not fit."""
        try:
            self.pipeline.restore(saved.state)
        except CheckpointError as error:
            raise StoreError(f"run {saved.run!r} in the store: {error}") from None
        self._named = bool(self.pipeline.monitor.run)  # results that were sent under this name are identified by it
        kept, deliveries = saved.reader, self.deliveries
        deliveries.tally.restore(kept["tally"])
        deliveries.run = Run(**kept["run"]) if kept["run"] else None
        deliveries.framed = bool(kept["framed"])
        self._accounted = bool(kept["accounted"])
        self._added = set(kept.get("added", ()))
        self._partitions = int(kept.get("partitions", 0))
        self._sent_words = int(kept.get("sent_words", 0))
        self._data_ends = tuple(map(int, kept.get("data_ends", ())))
        for partition, at in saved.positions.items():
            key = at.epoch << KEY_WINDOW_BITS | at.window
            part = Part(at.next, key, at.piece, begun=partition in kept["begun"], ended=partition in kept["ended"])
            part.newest_to = int(kept.get("newest_to", {}).get(str(partition), -1))
            deliveries.parts[partition] = part

    def begin(self, positions: Mapping[int, int] | None = None, *, newest_to: Mapping[int, int] | None = None) -> None:
        """Begin to read, where we were, else at these positions, else as the reader's `begin` says.

        newest_to: the offset of each partition up to which no run is newer than the one wanted, where that is known
        Raises SourceError for an offset that is gone.
        """
        parts = self.deliveries.parts
        stored = {**(positions or {}), **{p: part.next for p, part in parts.items()}}
        self.reader.start(stored, [p for p, part in parts.items() if part.ended])
        self.adopt()
        for partition, offset in (newest_to or {}).items():
            self.deliveries.parts[partition].newest_to = offset

    def adopt(self, added: Iterable[int] = ()) -> None:
        """Take the reader's partitions as they are now; added: those that came in mid-run."""
        self._added |= set(added)
        for partition, offset in self.reader.next.items():
            part = self.deliveries.parts.setdefault(partition, Part(offset))
            if not part.ended:
                part.next = offset
            self.pipeline.builder.add_source(partition)

    def lost(self, partition: int, first: int, last: int) -> None:
        """Count messages that can no longer be read, offsets first to last - 1, and continue after them."""
        self.deliveries.reset()
        self.deliveries.skip(partition, first, last)
        self._take_frames()
        self._dirty = True

    @property
    def over(self) -> bool:
        """Whether every partition has had the run's end, but for those added in mid-run that have none of it.

        One was added in mid-run if the engine saw it come, or, as it may have been down, if the end says so.
        """
        parts, sent_to = self.deliveries.parts, self._partitions
        ended = [p for p, part in parts.items() if part.ended]
        added = self._added | ({p for p in parts if p >= sent_to} if sent_to else set())
        return bool(ended) and all(p in added and not parts[p].begun for p in parts.keys() - set(ended))

    def run(
        self,
        stop: Event,
        *,
        publish: Callable[[Snapshot], None],
        interval_s: float = 0.5,
        store_every_s: float = STORE_EVERY_S,
    ) -> Snapshot:
        """Take messages until the run is over or `stop` is set, and give the final snapshot.

        publish: gets a snapshot each interval_s by the clock, and the last
        Raises SourceError, KafkaAccessError or StoreError; the results until then are stored and published.
        """
        due, store_due = self._clock(), self._clock() + store_every_s
        whole = False
        try:
            while not self.over and not stop.is_set():
                whole = True
                batch = self.reader.read()
                whole = False
                self._take(batch)
                whole = True
                if self._clock() >= due:
                    publish(self._snapshot())
                    due = self._clock() + interval_s
                if self._acted or (self._dirty and self._clock() >= store_due):
                    self.save()
                    store_due = self._clock() + store_every_s
            whole = True
        finally:
            ended = self.over
            if whole and not ended and (self._dirty or self._acted):
                self.save()  # held words belong to the run that continues
            self.pipeline.finish()
            if whole and ended:
                self.save(ended=True)
            last = self._snapshot("ended")
            publish(last)
        return last

    def _snapshot(self, state: Any = "running") -> Snapshot:
        pipeline = self.pipeline
        pipeline.lag_messages = 0 if self.over else self.reader.lag
        pipeline.notes = self.deliveries.tally.lines()
        missing = self._sent_words - pipeline.intake().words
        if self.over and missing > 0:
            # such as what was deleted before anybody began to read
            sent = f"the run's end says {self._sent_words:,} words"
            pipeline.notes = (*pipeline.notes, f"incomplete: {sent}, {missing:,} of them did not come")
        pipeline.notes = (*pipeline.notes, *self._waiting_lines())
        return pipeline.snapshot(state)

    def _waiting_lines(self) -> Iterator[str]:
        """A line for each drained partition whose end is awaited after others', from the second snapshot on."""
        parts, before = self.deliveries.parts, self._waiting
        several = not self.over and any(part.ended for part in parts.values())
        drained = {p for p, part in parts.items() if several and not part.ended and self.reader.caught_up(p)}
        self._waiting = frozenset(drained)
        for partition in sorted(drained & before):
            yield f"waiting for the run's end in partition {partition}: others have ended, and this one is drained"

    def _take(self, batch: Mapping[int, list[Any]]) -> None:
        if added := self.reader.new_partitions():
            self.adopt(added)
        deliveries = self.deliveries
        deliveries.reset()
        for partition, messages in batch.items():
            if not deliveries.parts[partition].ended:
                deliveries.take(partition, messages)
        self._end_where_deleted()
        if batch:
            self._dirty = True
            self._read_at = self._clock()
        self._take_frames()
        self._count()

    def _end_where_deleted(self) -> None:
        """End the partitions whose run's end Kafka has deleted, as offsets alone show.

        Another partition's end says below which offset all of the run's words are. Once the broker keeps nothing that
        low, and has nothing more to read, neither words nor the end can still come.
        """
        parts, ends = self.deliveries.parts, self._data_ends
        if not ends or self._clock() < self._end_due:
            return
        self._end_due = self._clock() + IDLE_EVERY_S
        for partition, part in parts.items():
            if part.ended or partition >= len(ends) or not self.reader.caught_up(partition):
                continue
            try:
                low, high = self.reader.watermarks(partition, 0.5)
            except SourceError:
                continue  # it has no leader for a moment
            if low > ends[partition] and high <= self.reader.next[partition]:
                part.next = max(part.next, self.reader.next[partition])
                self.deliveries.end_without_message(partition, low)
                self._dirty = True

    def _take_frames(self) -> None:
        """Give the frames that were collected to the pipeline."""
        pipeline = self.pipeline
        if self.deliveries.frames:
            pipeline.disordered()
            pipeline.take(self.deliveries.joined())

    def _count(self) -> None:
        """Count the deliveries' findings, except frames."""
        deliveries, pipeline = self.deliveries, self.pipeline
        if self._decided and deliveries.run is not None and not self._named:
            self._named = True
            pipeline.monitor.run = deliveries.run.name or f"run {deliveries.run.number}"
        self._push()
        account = deliveries.account
        if account is not None and not self._accounted:
            self._accounted = True
            pipeline.faults.extend(account.faults)
            self._partitions, self._sent_words = account.partitions, account.words
            self._data_ends = account.offsets
            pipeline.elsewhere = GatewayLosses(
                account.late, account.stray, account.malformed, account.resets, account.forced
            )
        for partition in deliveries.ended:
            pipeline.end(partition)
            self.reader.stop_at(partition, deliveries.parts[partition].next)
        pipeline.malformed = deliveries.tally.malformed
        if deliveries.framed:
            self._close_intervals()
        else:
            self._hold_back()
            self._let_idle_go()

    @property
    def _decided(self) -> bool:
        """Whether the run is decided: one asked for by number has a name once it has begun."""
        run = self.deliveries.run
        return run is not None and (bool(run.name) or any(part.begun for part in self.deliveries.parts.values()))

    def _push(self) -> None:
        """Give the loose words that were collected to the builder."""
        for partition, words in self.deliveries.words.items():
            self.pipeline.push(np.concatenate(words), partition)

    def _close_intervals(self) -> None:
        """Tell how far frames are complete, since those of several partitions do not come in order."""
        parts = self.deliveries.parts
        keys = [part.key for part in parts.values()]
        behind = [part.key for p, part in parts.items() if not part.ended and not self.reader.caught_up(p)]
        complete = max(min([max(keys) - ORDER_WINDOWS, *behind]), 0)
        pipeline = self.pipeline
        step = complete // SLOT_WINDOWS
        # waiting for the kernels costs time: where nothing but steps is closed, it is done once a step
        if pipeline.intervals is not None or (pipeline.timeline is not None and step != self._step):
            self._step = step
            pipeline.settle()
            pipeline.close(complete)

    def _hold_back(self) -> None:
        """Back-pressure: pause partitions that run ahead while too many words are held, and read the others."""
        reader, builder = self.reader, self.pipeline.builder
        held = builder.held_words
        if held < HELD_LOW or self._clock() - self._read_at > STUCK_S:
            reader.pause(())
            return
        open_parts = [p for p, part in self.deliveries.parts.items() if not part.ended]
        ahead = set(reader.paused)
        if held > HELD_HIGH:
            ahead = {p for p in open_parts if builder.lag_windows(p) > AHEAD_WINDOWS}
        if ahead:
            # those that hold the others back may have nothing to read: then all must go on until that is certain
            reader.pause(ahead if any(not reader.caught_up(p) for p in open_parts if p not in ahead) else ())

    def _let_idle_go(self) -> None:
        """Partitions that are drained, according to the broker's answer now, do not hold the watermark."""
        builder = self.pipeline.builder
        if self._clock() < self._idle_due or not builder.held_words:
            return
        self._idle_due = self._clock() + IDLE_EVERY_S
        open_parts = [p for p, part in self.deliveries.parts.items() if not part.ended]
        lags = {p: builder.lag_windows(p) for p in open_parts}
        if max(lags.values(), default=0) <= IDLE_WINDOWS:
            return
        quiet = [p for p in open_parts if self.reader.caught_up(p)]
        self.pipeline.idle([p for p in quiet if self.reader.confirm(p)])

    def save(self, *, ended: bool = False) -> None:
        """Write state and positions to the store, all or nothing. Raises StoreError."""
        acts = self._acts
        if self._store is not None and (self._decided or self.pipeline.intake().words):
            self._store.save(self._saved(ended))
            self._dirty = False
        self._stored_acts = acts

    def keep_acts(self) -> None:
        """Store what people have done since the run's end, such as acknowledging alarms. Raises StoreError."""
        if self._acted:
            self.save(ended=self.over)

    @property
    def _acts(self) -> int:
        return 0 if self.pipeline.board is None else self.pipeline.board.acts

    @property
    def _acted(self) -> bool:
        """Whether people have acknowledged alarms, or withdrawn that, since the last save."""
        return self._acts != self._stored_acts

    def _saved(self, ended: bool) -> Saved:
        """The run's state for the store."""
        deliveries = self.deliveries
        parts = deliveries.parts
        positions = {}
        for partition, part in parts.items():
            offset, key, piece = part.resume
            positions[partition] = Position(offset, key >> KEY_WINDOW_BITS, key & KEY_WINDOW_MASK, piece)
        run = deliveries.run
        reader = {
            "tally": deliveries.tally.state(),
            "run": asdict(run) if run is not None else None,
            "framed": deliveries.framed,
            "accounted": self._accounted,
            "begun": [p for p, part in parts.items() if part.begun],
            "ended": [p for p, part in parts.items() if part.ended],
            "added": sorted(self._added),
            "partitions": self._partitions,
            "sent_words": self._sent_words,
            "newest_to": {p: part.newest_to for p, part in parts.items()},
            "data_ends": list(self._data_ends),
        }
        return Saved(self._name, stored_name(run), ended, self.pipeline.state(), positions, reader)


def stored_name(run: Run | None) -> str:
    """The name of a run in the store."""
    return "" if run is None else f"{run.number} {run.name}".rstrip()
