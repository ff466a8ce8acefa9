"""One live run, for every source and engine: all that surrounds the counting of its words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from muonstream.archive.archive import Archive
from muonstream.archive.index import Row
from muonstream.commands import common
from muonstream.commands.alarms import Alarms
from muonstream.commands.archiving import Archiving, Origin, Reporting
from muonstream.commands.compiling import compiling
from muonstream.commands.options import RunOptions
from muonstream.commands.page import LivePage, open_dashboard
from muonstream.commands.publish import Publishing
from muonstream.commands.references import of_rows
from muonstream.commands.signals import StopSignal
from muonstream.commands.summary_file import SummaryFile, conclude, summary_file
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.server import Dashboard
from muonstream.engines.pipeline import Pipeline, warm_up
from muonstream.framing.builder import FrameBuilder
from muonstream.run.monitor import Snapshot
from muonstream.sinks.service import ServiceManager

Publish = Callable[[Snapshot], None]
STAYING_S = 30.0
"""How often a service manager hears of a page that stays when its source has ended."""
ACTS_EVERY_S = 0.5
"""How often what people do on a page that stays is looked for, and kept."""
_Opened = TypeVar("_Opened")


class LiveRun:
    """A run watched live: its page, alarms, topics and summary.

    A context manager, which checks the options first and closes everything at the end. Inside, in this order: `keep`
    what the source needs open, `serve` the page, make a `pipeline` and `watch` it being fed (again and again where runs
    follow one another), then `conclude`. `catch_signals` says from when on Ctrl-C ends the run with what was counted.
    """

    def __init__(
        self, options: RunOptions, name: str, *, live: bool = True, written: Iterable[str | Path | None] = ()
    ) -> None:
        """Raise CommandError or DetectorError for options that are wrong.

        name: of the run, for messages; live: see `Board`; written: what the run reads, or writes besides its summary
        """
        view = options.view
        self.options = options
        self.stop = StopSignal()
        self._page = None if view.access is None else LivePage.of(view.access, stale_after_s=view.stale_after_s)
        self.detector = common.load_detector(options.analysis.detector_name)
        self.alarms = Alarms(options.alarms, self.detector, name, live=live)
        self.server: Dashboard | None = None
        self._written = tuple(written)
        self._summary: SummaryFile | None = None
        self._publishing: Publishing | None = None
        self._complete = True
        self.number: Callable[[], int] = lambda: options.source.number or 0
        """The run's number, once its source has said it; 0 for that in its name."""
        keeping = options.keeping
        origin = Origin(
            engine="local" if options.spark is None else "spark",
            number=lambda: self.number(),
            references=lambda: self.alarms.references,
            remembered=lambda: self.alarms.remembered,
        )
        self._archiving = None if keeping.archive is None else Archiving(keeping.archive, origin)
        self._reporting = None if keeping.report is None else Reporting(keeping.report, origin)
        self._service = ServiceManager()
        self._last: Snapshot | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.alarms)
        try:
            self._summary = self._stack.enter_context(summary_file(self.options.keeping.summary, self._written))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def keep(self, opened: AbstractContextManager[_Opened]) -> _Opened:
        """Enter a context that lasts as long as the run."""
        return self._stack.enter_context(opened)

    def catch_signals(self) -> None:
        """From now on Ctrl-C and SIGTERM set `stop`; before, they just end the program."""
        self._stack.enter_context(self.stop.listening())

    def serve(self) -> None:
        """Serve the page, if the options ask for one. Raises CommandError."""
        if self._page is None:
            return
        server = self._stack.enter_context(open_dashboard(self._page, self._problems, self.alarms.board, self._view()))
        if self.alarms.reference is not None:
            server.feed.refer_to(self.alarms.reference.together(), self.alarms.reference.about())
        server.start()
        self.alarms.page = self.alarms.page or server.url.partition("?")[0]
        common.say(f"The live page is at {server.notice} (Ctrl-C ends the run)", own_token=True)
        self.server = server

    def _view(self) -> ArchiveView | None:
        """The archive's runs, for the page."""
        folder = self.options.keeping.archive
        if folder is None:
            return None
        archive = Archive(folder)

        def refer(rows: Sequence[Row], by: str) -> None:
            reference = of_rows(archive, rows, self.detector, by=by, since=time.time())
            self.alarms.refer(reference)
            common.say(f"The reference is now {reference.name}{f', set by {by}' if by else ''}")
            if self.server is not None:
                self.server.feed.refer_to(reference.together(), reference.about())

        return ArchiveView(archive, refer=refer)

    def pipeline(
        self, source: str, *, run: str = "", workers: int | None = None, builder: FrameBuilder | None = None
    ) -> Pipeline:
        """Make the pipeline of a run, and connect the topics to which it is published. Raises KafkaAccessError.

        run: its name, "" where the source gives it later; workers: None for as many as the options say
        """
        analysis = self.options.analysis
        made = Pipeline(
            self.detector,
            run=run or self.options.source.run,
            source=source,
            workers=analysis.workers if workers is None else workers,
            builder=builder,
            reconstruct=analysis.reconstruct,
            timeline=self.alarms.timeline,
        )
        self._publishing = Publishing(self.options.publishing, self.options.kafka, made)
        return made

    def watch(self, pipeline: Pipeline, feed: Callable[[Publish], object], *, even_empty: bool = True) -> None:
        """Feed a pipeline, which publishes snapshots meanwhile; then write and show its counts, whatever ended it.

        feed: called with what takes a snapshot
        A run without any words is shown too, unless an error ended it or even_empty is false.
        """
        publishing = self._publishing
        assert publishing is not None, "the pipeline is made by `pipeline`"
        whole = False

        def publish(snapshot: Snapshot) -> None:
            with pipeline.stopwatch.lasting("publishing"):
                if self.server is not None:
                    self.server.publish(snapshot)
                else:
                    self.alarms.board.update(snapshot)
                publishing.publish(snapshot)
                self._service.alive(f"{snapshot.state}: {snapshot.account.words:,} words")
                if self._archiving is not None and snapshot.state == "running":
                    self._archiving.refresh(self.alarms.board.on(snapshot))

        with pipeline:
            try:
                feed(publish)
                whole = True
            finally:
                self._last = pipeline.snapshot("ended")
                if self._last.account.words or (whole and even_empty):
                    conclude(self._summary, self._last)
                    self._keep_last()
                self._complete = publishing.finish()

    def _keep_last(self) -> None:
        """Keep the run as it ended: in the archive, and as a report."""
        if self._last is None or (self._archiving is None and self._reporting is None):
            return
        self.alarms.board.update(self._last)
        kept = self.alarms.board.on(self._last)
        if self._archiving is not None:
            self._archiving.finish(kept)
        if self._reporting is not None:
            reference = self.alarms.reference
            self._reporting.finish(kept, None if reference is None else (reference.name, reference.together()))

    def compile(self, pipeline: Pipeline) -> None:
        """Have the kernels compiled before the first word, and announce it where that takes long."""
        if self.server is not None:
            self.server.prepare(pipeline.detector)
        with compiling(None if self.server is None else self.server.feed.say):
            warm_up(pipeline.detector, reconstruct=bool(pipeline.catalogue.muon_shapes))

    def conclude(self, keep_acts: Callable[[], object] = lambda: None) -> None:
        """Keep the page open as the options say; then raise CommandError for what went wrong in the run.

        keep_acts: stores what people have done on the page; it is called when they have
        """
        if self.options.view.stay and self.server is not None and not self.stop.is_set():
            common.say(f"The source has ended; its page stays at {self.server.notice} until Ctrl-C", own_token=True)
            self._stay(keep_acts)
        common.check_published(self._complete)
        if self._archiving is not None and self._archiving.problem:
            raise common.CommandError(f"the run is not in the archive: {self._archiving.problem}")
        if self._reporting is not None and self._reporting.problem:
            raise common.CommandError(f"the run has no report: {self._reporting.problem}")
        if self._last is not None:
            common.fail_if_misread(self._last)
            if self.options.analysis.strict:
                common.fail_if_lossy(self._last)

    def _stay(self, keep_acts: Callable[[], object]) -> None:
        """Wait for Ctrl-C, and keep the acknowledgements that come meanwhile."""
        alive_due, acts = time.monotonic() + STAYING_S, self.alarms.board.acts
        while True:
            stopped = self.stop.wait(ACTS_EVERY_S)
            if self.alarms.board.acts != acts:
                acts = self.alarms.board.acts
                keep_acts()
                if self._archiving is not None and self._last is not None and self._last.account.words:
                    self._archiving.finish(self.alarms.board.on(self._last))
            if stopped:
                return
            if time.monotonic() >= alive_due:
                self._service.alive("ended: its page stays")
                alive_due = time.monotonic() + STAYING_S

    def _problems(self) -> list[str]:
        """Current problems of publishing and of notifying people, a line each."""
        publishing = self._publishing.problems() if self._publishing is not None else []
        archiving = [self._archiving.problem] if self._archiving is not None and self._archiving.problem else []
        return [*publishing, *archiving, *self.alarms.problems()]
