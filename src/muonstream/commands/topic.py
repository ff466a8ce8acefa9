"""`muonstream run kafka://…`: the runs of a topic, watched live and resumed after a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from muonstream.commands import common
from muonstream.commands.live import LiveRun, Publish
from muonstream.commands.options import RunOptions, SourceOptions
from muonstream.commands.topics import connect
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine, stored_name
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.reader import BATCH_BYTES, RECONSTRUCTED_BYTES, Begin, TopicReader
from muonstream.kafka.topics import FRAMES
from muonstream.sinks.store import Saved, Store
from muonstream.sources.identity import Run


class RunSelection:
    """Which run is read, and from where: as stored, else as the options say, else the newest."""

    def __init__(self, reader: TopicReader, store: Store | None, name: str, options: SourceOptions) -> None:
        self.saved: Saved | None = None
        self.positions: Mapping[int, int] = {}
        self.wanted: Run | None = None
        self.newest_to: Mapping[int, int] = {}
        number = options.number
        if store is not None:
            run = None
            if number is not None:
                known = [run for source, run, _ in store.runs() if source == name]
                run = next((run for run in known if run.split(" ")[0] == str(number)), str(number))
            self.saved = store.load(name, run)
        if number is not None:
            self.wanted = Run(number)
            newest = reader.newest_run()
            if newest is None or newest.number != number:
                there = f"its newest run is {stored_name(newest)}" if newest else "there is no run yet"
                common.say(f"{name}: {there}; if run {number} is not in it, it is waited for")
        elif self.saved is None or self.saved.ended:
            self._newest(reader, options)

    def _newest(self, reader: TopicReader, options: SourceOptions) -> None:
        """The store has no unfinished run: take the newest, or with --follow the next."""
        goes_on = self.saved is not None and options.follow
        if not goes_on and options.begin not in ("", "earliest"):
            return
        newest = None if goes_on else reader.newest_run()
        if self.saved is not None and (
            options.follow or (newest is not None and stored_name(newest) != self.saved.run)
        ):
            self.positions = {part: at.next for part, at in self.saved.positions.items()}
            self.saved = None
        self.wanted = newest
        if newest is not None:
            self.newest_to = reader.newest_to


def run_topic(options: RunOptions) -> None:
    """Watch a topic with the local engine. Raises CommandError, KafkaAccessError, SourceError or StoreError."""
    source, keeping, kafka = options.source, options.keeping, options.kafka
    begin = Begin.parse(source.begin)
    with LiveRun(options, source.run or source.name, written=[keeping.store]) as live:
        live.catch_signals()
        connection = connect(source.name, default_topic=FRAMES, properties=kafka.properties, timeout_s=kafka.timeout_s)
        store = live.keep(Store(keeping.store)) if keeping.store is not None else None
        live.serve()
        batch_bytes = RECONSTRUCTED_BYTES if options.analysis.reconstruct else BATCH_BYTES
        reader = live.keep(closing(TopicReader(connection, begin=begin, batch_bytes=batch_bytes)))
        if not reader.open(live.stop):
            return
        choice = RunSelection(reader, store, str(connection.address), source)
        last = watch_runs(live, choice, partial(_engine, live, reader, choice, store))
        live.conclude(last.keep_acts)


def watch_runs(live: LiveRun, choice: RunSelection, make_engine: Callable[[], TopicEngine]) -> TopicEngine:
    """Watch the run that was chosen, and with --follow those that come after it, each with an engine of its own.

    Gives the last engine.
    """
    first = True
    while True:
        engine = make_engine()
        live.number = partial(_number, engine)
        live.compile(engine.pipeline)
        live.watch(engine.pipeline, topic_feed(live, engine, choice), even_empty=first)
        first = False
        if not live.options.source.follow or live.stop.is_set():
            return engine
        choice.saved, choice.wanted, choice.positions = None, None, dict(engine.reader.next)
        choice.newest_to = {}


def _number(engine: TopicEngine) -> int:
    """The number of an engine's run, 0 while it is not known."""
    return 0 if engine.deliveries.run is None else engine.deliveries.run.number


def _engine(live: LiveRun, reader: TopicReader, choice: RunSelection, store: Store | None) -> TopicEngine:
    name = str(reader.connection.address)
    return TopicEngine(reader, topic_pipeline(live, name), topic_deliveries(live, choice), store=store, name=name)


def topic_pipeline(live: LiveRun, name: str, **options: Any) -> Pipeline:
    """The pipeline of a run of a topic, with the board of its alarms; options: as of `LiveRun.pipeline`."""
    pipeline = live.pipeline(name, **options)
    pipeline.board = live.alarms.board
    return pipeline


def topic_deliveries(live: LiveRun, choice: RunSelection) -> Deliveries:
    """What takes the messages of the run that was chosen."""
    return Deliveries(wanted=choice.wanted, named=live.options.source.number is not None)


def topic_feed(live: LiveRun, engine: TopicEngine, choice: RunSelection) -> Callable[[Publish], object]:
    """The function that feeds an engine its topic, from where the choice says, and publishes meanwhile."""
    interval_s, store_every_s = live.options.view.interval_s, live.options.keeping.store_every_s

    def feed(publish: Publish) -> None:
        if choice.saved is not None:
            engine.restore(choice.saved)
        engine.begin(choice.positions, newest_to=choice.newest_to)
        run = choice.saved.run if choice.saved is not None else stored_name(choice.wanted) or "the first that comes"
        words = engine.pipeline.intake().words
        after = f"after {words:,} words" if words else "from its beginning"
        common.say(f"Reading {engine.reader.connection.address}, run {run}, {after}")
        engine.run(live.stop, publish=publish, interval_s=interval_s, store_every_s=store_every_s)

    return feed
