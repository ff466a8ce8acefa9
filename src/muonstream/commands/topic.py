"""`muonstream run kafka://…`: the runs of a topic, watched live and resumed after a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from muonstream.commands import common
from muonstream.commands.alarms import Alarms
from muonstream.commands.publish import Publishing
from muonstream.commands.run import LiveOptions, get_ready, keep_page_open, serve_page, stopping, watch_run
from muonstream.commands.summary_file import summary_file
from muonstream.commands.topics import connect
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import STORE_EVERY_S, TopicEngine, stored_name
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.reader import Begin, TopicReader
from muonstream.kafka.topics import FRAMES
from muonstream.run.monitor import Snapshot
from muonstream.sinks.store import Saved, Store
from muonstream.sources.identity import Run


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """What the command line says of reading a topic.

    begin: see `Begin.parse`; number: of the run, None for the newest; follow: take later runs too
    """

    store: Path | None = None
    begin: str = ""
    number: int | None = None
    follow: bool = False
    store_every_s: float = STORE_EVERY_S
    properties: Path | None = None
    timeout_s: float = 60.0


class RunSelection:
    """Which run is taken, and from where: as it was stored, as it was asked for, else the newest."""

    def __init__(self, reader: TopicReader, store: Store | None, name: str, options: TopicOptions) -> None:
        self.saved: Saved | None = None
        self.positions: Mapping[int, int] = {}
        self.wanted: Run | None = None
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

    def _newest(self, reader: TopicReader, options: TopicOptions) -> None:
        """No run is under way in the store: take the newest, or with --follow the next."""
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


def run_topic(
    source: str,
    options: TopicOptions,
    live: LiveOptions,
) -> int:
    """A topic, live; gives the exit code."""
    status = [common.OK]
    with common.clear_errors(status), ExitStack() as stack:
        page = live.live_page()
        detector = common.load_detector(live.detector_name)
        begin = Begin.parse(options.begin)
        stop = Event()
        alarms = stack.enter_context(Alarms(live.alarms, detector, live.run or source))
        summary = stack.enter_context(summary_file(live.summary_path, [options.store]))
        stack.enter_context(stopping(stop))
        connection = connect(source, default_topic=FRAMES, properties=options.properties, timeout_s=options.timeout_s)
        store = stack.enter_context(Store(options.store)) if options.store is not None else None
        problems: list[Publishing] = []
        server = stack.enter_context(
            serve_page(
                page,
                alarms,
                problems=lambda: [line for topics in problems for line in topics.problems()],
            )
        )
        engines: list[TopicEngine] = []
        reader = TopicReader(connection, begin=begin, on_lost=lambda *what: engines[-1].lost(*what))
        stack.callback(reader.close)
        if not reader.open(stop, common.say):
            return status[0]
        name = str(connection.address)
        choice = RunSelection(reader, store, name, options)
        first = True
        while True:
            engine = _engine(detector, reader, choice, options, store, live, alarms)
            topics = Publishing(live.publishing, engine.pipeline)
            engines[:], problems[:] = [engine], [topics]
            with engine.pipeline:
                feed = topic_feed(engine, choice, options, stop, live.interval_s)
                get_ready(engine.pipeline, server)
                snapshot, published = watch_run(
                    engine.pipeline, feed, server, alarms, topics, summary, even_empty=first
                )
            first = False
            if not options.follow or stop.is_set():
                break
            choice.saved, choice.wanted, choice.positions = None, None, dict(reader.next)
        if live.stay:
            keep_page_open(server, stop)
        common.check_published(published)
        if live.strict:
            common.fail_if_lossy(snapshot)
    return status[0]


def _engine(
    detector: Detector,
    reader: TopicReader,
    choice: RunSelection,
    options: TopicOptions,
    store: Store | None,
    live: LiveOptions,
    alarms: Alarms,
) -> TopicEngine:
    name = str(reader.connection.address)
    pipeline = Pipeline(
        detector,
        run=live.run,
        source=name,
        workers=live.workers,
        reconstruct=live.reconstruct,
        timeline=alarms.timeline,
    )
    pipeline.board = alarms.board
    deliveries = Deliveries(wanted=choice.wanted, named=options.number is not None)
    return TopicEngine(reader, pipeline, deliveries, store=store, name=name)


def topic_feed(
    engine: TopicEngine, choice: RunSelection, options: TopicOptions, stop: Event, interval_s: float
) -> Callable[[Callable[[Snapshot], None]], object]:
    """What feeds an engine its topic, from where the choice says, publishing as it goes on."""

    def feed(publish: Callable[[Snapshot], None]) -> None:
        if choice.saved is not None:
            engine.restore(choice.saved)
        engine.begin(choice.positions)
        run = choice.saved.run if choice.saved is not None else stored_name(choice.wanted) or "the first that comes"
        words = engine.pipeline.intake().words
        after = f"after {words:,} words" if words else "from its beginning"
        common.say(f"Reading {engine.reader.connection.address}, run {run}, {after}")
        engine.run(stop, publish=publish, interval_s=interval_s, store_every_s=options.store_every_s)

    return feed
