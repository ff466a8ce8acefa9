"""The frames of files, as those that `analyse` counts, in constant memory: what tables are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from muonstream.detector.model import Detector
from muonstream.engines.local import PIECE_WORDS
from muonstream.errors import shown
from muonstream.formats.block import Block, InputReport, SourceError
from muonstream.formats.evidence import Expected
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.offline.counting import (
    CountOptions,
    check_there,
    counted_run,
    input_runs,
    joined_runs,
    out_of_order_lines,
    pipeline_of,
    together,
)
from muonstream.offline.names import notice
from muonstream.run.account import Account
from muonstream.run.summary import CountedRun
from muonstream.sources.delivery import announced
from muonstream.sources.identity import Run
from muonstream.sources.runs import InputRun

BATCH_WORDS: Final = 1 << 20
"""Frames are given in lumps of about so many words."""


class FrameReader:
    """The frames of one run's files: an iterator of `Frames`, which are in use until the next are taken.

    `account` is what became of the words so far, but for what they are: whoever takes the frames tells `kinds`.
    """

    def __init__(self, files: list[str], detector: Detector, options: CountOptions, *, counts: bool = False) -> None:
        """Raise SourceError for files that are not there.

        counts: the same frames are counted as well, so that the files are read once for a table and for `counted`
        """
        check_there(files)
        self.builder = FrameBuilder(detector.boards, idle_seconds=options.idle_seconds)
        self._input = InputRun(Run(), tuple(files))
        self._pipeline = pipeline_of(self._input, options, detector, self.builder) if counts else None
        self.counted: CountedRun | None = None
        """The run with its counts, once all frames are read; None if they are not counted."""
        self.inputs: dict[str, InputReport] = {}
        """The newest report of each file, by name."""
        self.notes: list[str] = []
        """What there is to say of the files, a line each."""
        self._malformed = 0
        self._ended: list[Frames] = []
        self._blocks = self._read(files, detector, options)

    def _read(self, files: list[str], detector: Detector, options: CountOptions) -> Iterator[Block]:
        """The blocks of the run. Raises SourceError where there is another one."""
        expected = Expected.of(detector.channel_map())
        runs = input_runs(files, options)
        for line in out_of_order_lines(runs, options):
            notice(line)
        if options.together:
            self._input = runs[0]
            yield from together(self, files, options.format, expected)
            return
        joined = joined_runs(files, runs, options, expected)
        joined.take()
        self._input = joined.run
        yield from joined.blocks()
        self._input = joined.run  # more files may have joined it
        if joined.take():
            raise SourceError(_several(joined.run))

    @property
    def run(self) -> Run:
        """The run that the files are, known once their frames are read."""
        return self._input.run

    def end(self, source: int = 0) -> None:
        """A source has no more words."""
        self._ended.append(self.builder.end(source))

    def boundary(self, source: int = 0) -> None:
        """A new file begins on this source."""
        self._ended.append(self.builder.boundary(source))

    def account_for(self, block: Block) -> None:
        """Take what a block says beside its words."""
        self._malformed += block.malformed
        self.notes.extend((*block.notes, *block.faults))
        if block.report is not None:
            self.inputs[block.report.name] = block.report
        if self._pipeline is not None:
            self._pipeline.account_for(block)

    def __iter__(self) -> Iterator[Frames]:
        """The frames, with their windows in order. Raises what reading the files raises."""
        with nullcontext() if self._pipeline is None else self._pipeline:
            yield from self._lumps()
            if self._pipeline is not None:
                self._pipeline.finish()
                self.counted = counted_run(self._pipeline, self._input)

    def _lumps(self) -> Iterator[Frames]:
        """The frames, many or few of which came at once, in lumps of about alike."""
        waiting: list[Frames] = []
        words = 0
        for frames in self._frames():
            if self._pipeline is not None:
                self._pipeline.count(frames)
            waiting.append(frames)
            words += len(frames.words)
            if words >= BATCH_WORDS:
                yield from Frames.join(waiting).split(BATCH_WORDS)
                waiting, words = [], 0
        if words:
            yield Frames.join(waiting)

    def _frames(self) -> Iterator[Frames]:
        for block in announced(self._blocks, self):
            yield from self._left()
            for first in range(0, len(block.words), PIECE_WORDS):
                yield self.builder.push(block.words[first : first + PIECE_WORDS], block.source)
        yield from self._left()
        yield self.builder.finish()

    def _left(self) -> Iterator[Frames]:
        """What closed when sources or their files ended."""
        yield from self._ended
        self._ended.clear()

    def account(self, kinds: dict[str, int]) -> Account:
        """What became of the words so far, of all of them at the end.

        kinds: what the words of the frames given are, by the account's names
        """
        counts = self.builder.counts
        told = Account(
            words=counts.words + self._malformed, late=counts.late, stray=counts.stray, held=counts.held, **kinds
        )
        return replace(told, malformed=told.malformed + self._malformed)


def _several(other: InputRun) -> str:
    name = other.run.name or "another"
    return (
        f"{other.files[0]}: found a run of its own, {shown(name)}, expected files of one run: "
        "a table is of one; with merge all files are taken as one"
    )
