"""The pipeline of the local engine: words in, snapshots out; builder here, kernels on worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import numpy as np

from muonstream.analysis.accumulate import Accumulator, Contribution
from muonstream.analysis.histograms import Catalogue
from muonstream.analysis.intervals import Intervals
from muonstream.analysis.monitor import Intake, Monitor, Snapshot, State
from muonstream.analysis.reconstruction import Reconstruction
from muonstream.builder import FrameBuilder
from muonstream.detector import Detector
from muonstream.frames import Frames
from muonstream.simulation import simulate_words
from muonstream.words import Words

BATCH_WORDS: Final = 1 << 19
"""Frames are handed to a kernel in batches of about so many words."""
FAULTS_KEPT: Final = 20
WARM_UP_WORDS: Final = 20_000


def warm_up(detector: Detector) -> None:
    """Have all kernels compiled, or loaded from disk, before any data waits for them."""
    with Pipeline(detector, workers=0) as pipeline:
        for words in np.array_split(simulate_words(WARM_UP_WORDS, detector=detector), 2):
            pipeline.push(words)
            pipeline.snapshot()
        pipeline.finish()
        pipeline.snapshot("ended")


class Pipeline:
    """Builder, kernels and monitor of one run. Not for several threads at once; the kernels have their own.

    With `workers=0` the kernel runs in the caller's thread; with `reconstruct` it looks for muons too.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        run: str = "",
        source: str = "",
        workers: int = 1,
        builder: FrameBuilder | None = None,
        intervals: Intervals | None = None,
        reconstruct: bool = False,
    ) -> None:
        self.detector = detector
        self.catalogue = Catalogue(detector, muons=reconstruct)
        self.builder = builder or FrameBuilder(detector.boards)
        self.monitor = Monitor(self.catalogue, run=run, source=source)
        self.accumulate: Callable[[Frames], Contribution] = (
            Reconstruction(self.catalogue) if reconstruct else Accumulator(self.catalogue)
        )
        self.intervals = intervals
        self.malformed = 0
        self.faults: deque[str] = deque(maxlen=FAULTS_KEPT)
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kernel") if workers else None
        self._under_way: deque[Future[Contribution]] = deque()
        self._waiting: list[Frames] = []
        self._waiting_words = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()

    def push(self, words: Words, source: int = 0) -> None:
        """Take words (uint64[n]) of a source in order of arrival."""
        self._take(self.builder.push(words, source))

    def boundary(self, source: int = 0) -> None:
        """A new file begins on this source."""
        self._take(self.builder.boundary(source))

    def end(self, source: int = 0) -> None:
        """The source has no more words."""
        self._take(self.builder.end(source))

    def count_malformed(self, n: int, faults: list[str]) -> None:
        """Count what could not be made words, each row once, with what was wrong."""
        self.malformed += n
        self.faults.extend(faults)

    def _take(self, frames: Frames) -> None:
        if not len(frames):
            return
        self._waiting.append(frames)
        self._waiting_words += len(frames.words)
        if self._waiting_words >= BATCH_WORDS:
            self._dispatch()

    def _dispatch(self) -> None:
        """Hand what waits to the kernels."""
        if not self._waiting:
            return
        frames = Frames.join(self._waiting)
        self._waiting, self._waiting_words = [], 0
        for piece in [frames] if self.intervals is None else self.intervals.pieces(frames):
            if self._pool is None:
                self._add(self.accumulate(piece))
                continue
            self._under_way.append(self._pool.submit(self.accumulate, piece))
            while self._under_way and (self._under_way[0].done() or len(self._under_way) > self._workers + 1):
                self._add(self._under_way.popleft().result())

    def _add(self, contribution: Contribution) -> None:
        self.monitor.add(contribution)
        if self.intervals is not None:
            self.intervals.add(contribution)

    def settle(self) -> None:
        """Wait for all kernels: afterwards the monitor has every closed frame."""
        self._dispatch()
        while self._under_way:
            self._add(self._under_way.popleft().result())

    def finish(self) -> None:
        """All sources have ended: count everything that is still held."""
        self._take(self.builder.finish())
        self.settle()
        if self.intervals is not None:
            self.intervals.finish()

    def intake(self) -> Intake:
        """What has come in, and what of it the kernels have not seen."""
        counts = self.builder.counts
        return Intake(
            words=counts.words + self.malformed,
            malformed=self.malformed,
            late=counts.late,
            stray=counts.stray,
            held=counts.held,
            resets=counts.resets,
            late_by_input=counts.late_by_input,
            faults=tuple(self.faults),
        )

    def snapshot(self, state: State = "running") -> Snapshot:
        """The run as it stands, words still held counted provisionally, so that it is never behind the data."""
        self.settle()
        held = self.builder.held()
        provisional = self.accumulate(held) if len(held) else None
        return self.monitor.snapshot(self.intake(), state=state, provisional=provisional)
