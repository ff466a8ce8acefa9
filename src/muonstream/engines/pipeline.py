"""The pipeline of the local engine: words in, snapshots out; builder here, kernels on worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator, Contribution
from muonstream.counting.steps import Steps, parts_of
from muonstream.detector.model import Detector
from muonstream.engines.interrupts import DEADLINE, held_back
from muonstream.engines.kernels import Analysis, Kernels
from muonstream.formats.block import FAULTS_KEPT, Block, InputReport
from muonstream.frames import Frames, ScatteredFrames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.checkpoint import CheckpointError, StateDict, check_identity, identity
from muonstream.run.engine_times import Stopwatch
from muonstream.run.intervals import Intervals
from muonstream.run.monitor import Intake, Monitor, Snapshot, State
from muonstream.words import Words

if TYPE_CHECKING:
    from muonstream.muons.reconstruction import Reconstruction
    from muonstream.verdicts.timeline import Timeline

BATCH_WORDS: Final = 1 << 20
"""Frames are handed to kernels in batches of about so many words."""
RECONSTRUCTED_WORDS: Final = 1 << 16
"""Words of a piece that a kernel reconstructs at once: at 5 us a word, the most that one costs, 0.3 s. A signal is seen
between pieces only."""
PROVISIONAL_WORDS: Final = 1 << 20
"""With more words held, or a sixteenth of that with reconstruction, a snapshot shows them as held, not counted."""
REMARKS_KEPT: Final = 200
WARM_UP_WORDS: Final = 20_000


def warm_up(detector: Detector, *, reconstruct: bool = False) -> None:
    """Have all kernels compiled, or loaded from disk, before any data waits for them."""
    from muonstream.simulation.telescope import simulate_words

    with Pipeline(detector, workers=0, reconstruct=reconstruct) as pipeline:
        for words in np.array_split(simulate_words(WARM_UP_WORDS, detector=detector), 2):
            pipeline.push(words)
            pipeline.snapshot()
        pipeline.finish()
        pipeline.snapshot("ended")


@dataclass(frozen=True, slots=True)
class GatewayLosses:
    """Words that whoever built the frames did not put into any; counter resets and windows closed early there."""

    late: int = 0
    stray: int = 0
    malformed: int = 0
    resets: int = 0
    forced: int = 0


class Remembered(Protocol):
    """Something with a state of plain types, which people change meanwhile."""

    @property
    def acts(self) -> int:
        """How often they have."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Pipeline:
    """Builder, kernels and monitor of one run. Not for several threads at once; the kernels have their own.

    Ctrl-C in the middle of a method is held back until its end, so that no word is counted nowhere.

    With `workers=0` the kernel runs in the caller's thread alone; with `reconstruct` it looks for muons too. Without
    `pairs` it leaves out pairs of hits, which only verdicts need. With `timeline` each step of data time is judged.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        run: str = "",
        source: str = "",
        workers: int = 1,
        builder: FrameBuilder | None = None,
        reconstruct: bool = False,
        pairs: bool = True,
        timeline: Callable[[Catalogue], Timeline] | None = None,
    ) -> None:
        DEADLINE.forget()
        self.detector = detector
        self.catalogue = Catalogue(detector, muons=reconstruct)
        self.timeline = None if timeline is None else timeline(self.catalogue)
        self.board: Remembered | None = None
        """Further states that are kept and restored with the run's."""
        self.steps = Steps(self.catalogue)
        every_slot = self.timeline is not None
        self.builder = builder or FrameBuilder(detector.boards)
        self.monitor = Monitor(self.catalogue, run=run, source=source)
        self.reconstruction: Reconstruction | None = None
        analyse: Analysis = Accumulator(self.catalogue, pairs=pairs, every_slot=every_slot)
        if reconstruct:
            # imported only where it is needed: it takes a twentieth of the time to start
            from muonstream.muons.reconstruction import Reconstruction

            analyse = self.reconstruction = Reconstruction(self.catalogue, pairs=pairs, every_slot=every_slot)
            self.reconstruction.hurried = lambda: DEADLINE.over
        self.stopwatch = Stopwatch()
        self._provisional_words = PROVISIONAL_WORDS // 16 if reconstruct else PROVISIONAL_WORDS
        piece_words = RECONSTRUCTED_WORDS if reconstruct else None
        self._kernels = Kernels(analyse, workers, self.stopwatch, piece_words=piece_words)
        self.intervals: Intervals | None = None
        """Where counts of equal intervals are collected, set before the first word."""
        self.malformed = 0
        self.faults: deque[str] = deque(maxlen=FAULTS_KEPT)
        self.remarks: deque[str] = deque(maxlen=REMARKS_KEPT)
        """Reports of sources on their inputs, a line each; shown before the faults."""
        self.inputs: dict[str, InputReport] = {}
        """The newest report of each input, by name."""
        self.elsewhere = GatewayLosses()
        self.notes: tuple[str, ...] = ()
        """Notes of readers on their source, a line each; shown before the faults."""
        self.lag_messages: int | None = None
        self.restarts = 0
        self.engine: tuple[tuple[str, str], ...] = ()
        """An engine's description of itself: names and values."""
        self._waiting: list[Frames] = []
        self._waiting_words = 0
        self._framed_words = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kernels.close()

    @held_back()
    def push(self, words: Words, source: int = 0) -> None:
        """Take words (uint64[n]) of a source in order of arrival; they must stay as they are."""
        self.stopwatch.came()
        if self.intervals is not None or len(words) < BATCH_WORDS // 4:
            self._take(self.stopwatch.during("building", self.builder.push, words, source))
            return
        scattered = self.stopwatch.during("building", self.builder.push_scattered, words, source)
        if len(scattered):
            self._dispatch()
            self._submit(scattered)

    @held_back()
    def boundary(self, source: int = 0) -> None:
        """A new file begins on this source."""
        self._take(self.stopwatch.during("building", self.builder.boundary, source))

    @held_back()
    def idle(self, sources: Iterable[int]) -> None:
        """These sources have nothing waiting to be read at this moment."""
        self._take(self.stopwatch.during("building", self.builder.idle, sources))

    @held_back()
    def end(self, source: int = 0) -> None:
        """The source has no more words."""
        self._take(self.stopwatch.during("building", self.builder.end, source))

    @held_back()
    def take(self, frames: Frames, elsewhere: GatewayLosses | None = None) -> None:
        """Take frames that were built elsewhere, each once; elsewhere: words left out of them, so far in the run."""
        self.stopwatch.came()
        self._framed_words += len(frames.words)
        if elsewhere is not None:
            self.elsewhere = elsewhere
        self._take(frames)

    @held_back()
    def count(self, frames: Frames) -> None:
        """Count frames of this pipeline's own builder, to which the caller pushes the words itself."""
        self._take(frames)

    @held_back()
    def add(self, contributions: Iterable[Contribution], words: int) -> None:
        """Take what frames of so many words add, each of one interval, which were built and counted elsewhere."""
        self.stopwatch.came()
        self._framed_words += words
        for contribution in contributions:
            self._add(contribution)

    def disordered(self) -> None:
        """Frames do not come in order: `close` will tell how far they are complete."""
        self.steps.in_order = False
        if self.intervals is not None:
            self.intervals.in_order = False

    def close(self, key: int) -> None:
        """No frame before this key will come any more."""
        if self.intervals is not None:
            self.intervals.close(key)
        if self.timeline is not None:
            self.steps.close(key)
            self._judge()

    def count_malformed(self, n: int, faults: list[str]) -> None:
        """Count what could not be made words, each row once, with what was wrong."""
        self.malformed += n
        self.faults.extend(faults)

    def account_for(self, block: Block) -> None:
        """Take a block's reports: malformed rows, notes, and the state of its input."""
        if block.malformed or block.faults:
            self.count_malformed(block.malformed, block.faults)
        self.remarks.extend(block.notes)
        if block.report is not None:
            self.inputs[block.report.name] = block.report

    def _take(self, frames: Frames) -> None:
        if not len(frames):
            return
        if len(frames.words) >= BATCH_WORDS // 4:
            # large enough on its own: joining would copy it
            self._dispatch()
            self._hand_over(frames)
            return
        self._waiting.append(frames)
        self._waiting_words += len(frames.words)
        if self._waiting_words >= BATCH_WORDS:
            self._dispatch()

    def _dispatch(self) -> None:
        """Pass waiting frames to the kernels."""
        if self._waiting:
            frames = self.stopwatch.during("building", Frames.join, self._waiting)
            self._waiting, self._waiting_words = [], 0
            self._hand_over(frames)

    def _hand_over(self, frames: Frames) -> None:
        for piece in [frames] if self.intervals is None else self.intervals.pieces(frames):
            self._submit(piece)

    def _submit(self, frames: Frames | ScatteredFrames) -> None:
        with self.stopwatch.phase("counting"):
            for part in [frames] if self.timeline is None else parts_of(frames):
                for contribution in self._kernels.count(part):
                    self._add(contribution)

    def _add(self, contribution: Contribution) -> None:
        with self.stopwatch.phase("merging"):
            self.monitor.add(contribution)
            if self.intervals is not None:
                self.intervals.add(contribution)
            if self.timeline is not None:
                for key, late, stray in self.builder.take_lost():
                    self.steps.lose(key, late, stray)
                self.steps.add(contribution)
                self._judge()

    def _judge(self) -> None:
        """Judge the steps that are complete by now."""
        if self.timeline is not None:
            with self.stopwatch.phase("judging"):
                for step in self.steps.take():
                    self.timeline.add(step)

    @held_back()
    def settle(self) -> None:
        """Wait for all kernels: afterwards the monitor has every closed frame."""
        self._dispatch()
        with self.stopwatch.phase("counting"):
            for contribution in self._kernels.settle():
                self._add(contribution)

    @held_back()
    def finish(self) -> None:
        """All sources have ended: count everything that is still held."""
        self._take(self.stopwatch.during("building", self.builder.finish))
        self.settle()
        if self.intervals is not None:
            self.intervals.finish()
        if self.timeline is not None:
            counted = self.intake()
            self.steps.finish(counted.late, counted.stray)
            self._judge()
            self.timeline.finish()

    def intake(self) -> Intake:
        """The words received, and those that the kernels have not seen."""
        counts, far = self.builder.counts, self.elsewhere
        malformed = self.malformed + far.malformed
        damaged = any(report.broken for report in self.inputs.values())
        return Intake(
            words=counts.words + self._framed_words + malformed + far.late + far.stray,
            malformed=malformed,
            late=counts.late + far.late,
            stray=counts.stray + far.stray,
            held=counts.held,
            forced=counts.forced + far.forced,
            resets=counts.resets + far.resets,
            late_by_input=counts.late_by_input,
            faults=(*self.notes, *self.builder.remarks(damaged=damaged), *self.remarks, *self.faults),
            lag_messages=self.lag_messages,
            restarts=self.restarts,
            engine=self.engine,
            inputs=tuple(self.inputs.values()),
        )

    @held_back()
    def state(self) -> StateDict:
        """Everything that determines the run's results at this moment, for `restore`."""
        self.settle()
        with self.stopwatch.phase("saving"):
            return {
                "identity": identity(self.catalogue),
                "run": self.monitor.run,
                "source": self.monitor.source,
                "builder": self.builder.state(),
                "monitor": self.monitor.state(),
                "intervals": None if self.intervals is None else self.intervals.state(),
                "malformed": self.malformed,
                "faults": list(self.faults),
                "framed_words": self._framed_words,
                "elsewhere": asdict(self.elsewhere),
                "restarts": self.restarts,
                "steps": None if self.timeline is None else self.steps.state(),
                "timeline": None if self.timeline is None else self.timeline.state(),
                "board": None if self.board is None else self.board.state(),
            }

    def restore(self, state: StateDict) -> None:
        """Resume from a state, which counts as one more restart.

        Raises CheckpointError when it is of another detector, other histograms, or intervals of another length.
        """
        try:
            check_identity(state["identity"], self.catalogue)
            self._restore(state)
        except ValueError as error:
            raise CheckpointError(str(error)) from None
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"found a state that is not a run's: {type(error).__name__}: {error}") from None

    def _restore(self, state: StateDict) -> None:
        if self.intervals is not None and state["intervals"] is not None:
            self.intervals.restore(state["intervals"])
        self.builder.restore(state["builder"])
        self.monitor.run, self.monitor.source = state["run"], state["source"]
        self.monitor.restore(state["monitor"])
        self.malformed = int(state["malformed"])
        self.faults.extend(state["faults"])
        self._framed_words = int(state["framed_words"])
        self.elsewhere = GatewayLosses(**state["elsewhere"])
        self.restarts = int(state["restarts"]) + 1
        if self.timeline is not None and state.get("timeline") is not None:
            self.steps.restore(state["steps"])
            self.timeline.restore(state["timeline"])
        if self.board is not None and state.get("board") is not None:
            self.board.restore(state["board"])

    @held_back()
    def snapshot(self, state: State = "running") -> Snapshot:
        """The run as it stands, words still held counted provisionally, so that it is not behind the data.

        With more than `PROVISIONAL_WORDS` held, they are not counted before their windows close: a snapshot a moment
        must not cost more than the words themselves.
        """
        with self.stopwatch.lasting("snapshot"):
            self.settle()
            few = 0 < self.builder.held_words <= self._provisional_words
            held = self.builder.held() if few else Frames.empty()
            provisional = self._kernels.analyse(held) if len(held) else None
            made = self.monitor.snapshot(self.intake(), state=state, provisional=provisional)
        self.stopwatch.shown()
        verdicts = None if self.timeline is None else self.timeline.verdicts
        return replace(made, verdicts=verdicts, times=self.stopwatch.times())
