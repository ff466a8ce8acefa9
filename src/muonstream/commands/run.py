"""`muonstream run` and `muonstream demo`: a source watched live."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType

from muonstream.commands import common
from muonstream.commands.alarms import AlarmOptions, Alarms
from muonstream.commands.compiling import compiling
from muonstream.commands.page import LivePage, PageOptions, open_dashboard
from muonstream.commands.publish import Publishing, PublishOptions
from muonstream.commands.summary_file import SummaryFile, conclude, summary_file
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline, warm_up
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format
from muonstream.framing.builder import FrameBuilder
from muonstream.run.monitor import Snapshot
from muonstream.simulation.scenario import SimulationConfig
from muonstream.sources.files import is_local, is_stream, read_blocks
from muonstream.sources.follow import follow
from muonstream.sources.pace import paced
from muonstream.sources.runs import run_name
from muonstream.sources.simulated import parse, simulated


@contextmanager
def stopping(stop: Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`, so that the run ends with what was done; a second one ends at once."""

    def handler(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _multiple(pace: str, default: float | None) -> float | None:
    """The pace option: None for as fast as possible. Raises CommandError."""
    if pace == "":
        return default
    if pace == "max":
        return None
    try:
        value = float(pace)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise common.CommandError(f"--pace: found {pace!r}, expected max or a number above 0")
    return value


def _blocks(
    source: str, format: Format | None, detector: Detector, pace: str, follow_it: bool | None, stop: Event
) -> Iterator[Block]:
    """The blocks that a source name, a pace and --follow ask for.

    A file or folder is followed unless it is paced; a folder even then, standard input, pipes and URLs never are.
    With --no-follow a folder's files are read as they are now, to their end.
    """
    simulation = source.startswith("sim:")
    multiple = _multiple(pace, 1.0 if simulation else None)
    local = is_local(source) and not is_stream(source)
    if follow_it is None:
        follow_it = local and (multiple is None or os.path.isdir(source))
    elif follow_it and not local:
        raise common.CommandError(f"--follow: found {source}, expected a file or a folder")
    if simulation:
        blocks = simulated(parse(source), detector)
    elif follow_it:
        blocks = follow(source, format, stop, expected=Expected.of(detector.channel_map()))
    elif os.path.isdir(source) and local:
        at_once = Event()
        at_once.set()
        blocks = follow(source, format, at_once, expected=Expected.of(detector.channel_map()))
    else:
        blocks = read_blocks(source, format, expected=Expected.of(detector.channel_map()), live=True)
    if multiple is not None:
        return paced(blocks, multiple, stop)
    return blocks if follow_it else _until(blocks, stop)


def _is_live(source: str, pace: str, follow_it: bool | None) -> bool:
    """Whether words come as time goes by, so that their absence says something; not from a file read at once."""
    if source.startswith("sim:") or not is_local(source) or is_stream(source) or os.path.isdir(source):
        return True
    if follow_it is False:
        return pace not in ("", "max")
    return follow_it is True or pace != "max"


def _until(blocks: Iterator[Block], stop: Event) -> Iterator[Block]:
    for block in blocks:
        yield block
        if stop.is_set():
            return


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What the command line says of a run that is watched live, whatever its source.

    page: None for no page; run: its name, "" for that of its source
    """

    detector_name: str = "telescope"
    page: PageOptions | None = None
    stay: bool = True
    interval_s: float = 0.5
    summary_path: Path | None = None
    strict: bool = False
    run: str = ""
    workers: int = 1
    reconstruct: bool = False
    stale_after_s: float = STALE_AFTER_S
    publishing: PublishOptions = field(default_factory=PublishOptions)
    alarms: AlarmOptions = field(default_factory=AlarmOptions)

    def live_page(self) -> LivePage | None:
        """The page that is asked for. Raises CommandError for an option of it that is wrong."""
        return None if self.page is None else LivePage.of(self.page, stale_after_s=self.stale_after_s)


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What the command line says of reading a source other than a topic.

    pace: "" for that of the source; follow_it: None for what suits the source
    """

    format_name: str | None = None
    pace: str = ""
    follow_it: bool | None = None
    idle_seconds: float = 5.0


def run_demo(page_options: PageOptions, *, duration_s: float | None, rate_hz: float, reconstruct: bool) -> int:
    """A simulated telescope, live."""
    status = [common.OK]
    with common.clear_errors(status):
        options = LiveOptions(page=page_options, stay=False)
        page = options.live_page()
        detector = Detector.default()
        config = SimulationConfig(rate_hz=rate_hz, duration_s=duration_s, hot_cell=(2, 17), dead_cell=(3, 40))
        stop = Event()
        blocks = paced(simulated(config, detector), 1.0, stop)
        alarms = Alarms(AlarmOptions(), detector, "demo")
        source = "simulated telescope"
        _live(
            blocks,
            stop,
            Pipeline(detector, run="demo", source=source, reconstruct=reconstruct, timeline=alarms.timeline),
            alarms,
            page,
            options,
        )
    return status[0]


def run_live(source: str, reading: ReadingOptions, options: LiveOptions) -> int:
    """Watch a source other than a topic; gives the exit code."""
    status = [common.OK]
    with common.clear_errors(status):
        page = options.live_page()
        detector = common.load_detector(options.detector_name)
        stop = Event()
        format = common.format_of(reading.format_name)
        blocks = _blocks(source, format, detector, reading.pace, reading.follow_it, stop)
        name = options.run or run_name(source)
        alarms = Alarms(options.alarms, detector, name, live=_is_live(source, reading.pace, reading.follow_it))
        pipeline = Pipeline(
            detector,
            run=name,
            source=source,
            workers=options.workers,
            reconstruct=options.reconstruct,
            builder=FrameBuilder(detector.boards, idle_seconds=reading.idle_seconds),
            timeline=alarms.timeline,
        )
        _live(blocks, stop, pipeline, alarms, page, options)
    return status[0]


@contextmanager
def serve_page(
    page: LivePage | None, alarms: Alarms, *, problems: Callable[[], Sequence[str]]
) -> Iterator[Dashboard | None]:
    """The live page while the context lasts; None without one. Raises CommandError."""
    if page is None:
        yield None
        return
    with open_dashboard(page, lambda: [*problems(), *alarms.problems()], alarms.board) as server:
        if alarms.reference is not None:
            server.feed.refer_to(alarms.reference)
        server.start()
        alarms.page = alarms.page or server.url.partition("?")[0]
        common.say(f"The live page is at {server.notice} (Ctrl-C ends the run)")
        yield server


def get_ready(pipeline: Pipeline, server: Dashboard | None) -> None:
    """Have the kernels compiled before the first word, and say so where that takes long."""
    if server is not None:
        server.prepare(pipeline.detector)
    with compiling(None if server is None else server.feed.say):
        warm_up(pipeline.detector, reconstruct=bool(pipeline.catalogue.muon_shapes))


def watch_run(
    pipeline: Pipeline,
    feed: Callable[[Callable[[Snapshot], None]], object],
    server: Dashboard | None,
    alarms: Alarms,
    topics: Publishing,
    summary: SummaryFile | None,
    *,
    even_empty: bool = True,
) -> tuple[Snapshot, bool]:
    """Feed a run, which publishes snapshots as it goes on, then write and show what was counted, whatever ended it.

    A run without any word has an account too, unless an error ended it, or even_empty says otherwise.
    Gives the last snapshot, and whether all that was to be published has been.
    """
    whole = False

    def publish(snapshot: Snapshot) -> None:
        with pipeline.stopwatch.lasting("publishing"):
            if server is not None:
                server.publish(snapshot)
            else:
                alarms.board.update(snapshot)
            topics.publish(snapshot)

    try:
        feed(publish)
        whole = True
    finally:
        snapshot = pipeline.snapshot("ended")
        if snapshot.account.words or (whole and even_empty):
            conclude(summary, snapshot)
        published = topics.finish()
    return snapshot, published


def keep_page_open(server: Dashboard | None, stop: Event) -> None:
    """Leave the page open until Ctrl-C."""
    if server is not None and not stop.is_set():
        common.say(f"The source has ended; its page stays at {server.notice} until Ctrl-C")
        stop.wait()


def _live(
    blocks: Iterator[Block],
    stop: Event,
    pipeline: Pipeline,
    alarms: Alarms,
    page: LivePage | None,
    options: LiveOptions,
) -> None:
    topics = Publishing(options.publishing, pipeline)

    def feed(publish: Callable[[Snapshot], None]) -> None:
        run_blocks(pipeline, blocks, publish=publish, interval_s=options.interval_s, say=common.say)

    with (
        summary_file(options.summary_path, [pipeline.monitor.source]) as summary,
        pipeline,
        alarms,
        serve_page(page, alarms, problems=topics.problems) as server,
    ):
        # until the first word there is nothing to finish: Ctrl-C just ends it
        get_ready(pipeline, server)
        with stopping(stop):
            snapshot, published = watch_run(pipeline, feed, server, alarms, topics, summary)
            if options.stay:
                keep_page_open(server, stop)
            common.check_published(published)
            common.fail_if_misread(snapshot)
            if options.strict:
                common.fail_if_lossy(snapshot)
