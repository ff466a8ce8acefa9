"""What `muonstream replay` sends: the words of files or of a simulation, at their own pace or another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event

from muonstream.commands import common
from muonstream.detector.model import Detector
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format
from muonstream.sources.files import is_stream, read_parts
from muonstream.sources.follow import follow
from muonstream.sources.identity import Run
from muonstream.sources.pace import held_after, paced, rated
from muonstream.sources.peek import file_identity, peek_run_word
from muonstream.sources.runs import identify, may_join, runs_of
from muonstream.sources.schemes import SIMULATION
from muonstream.sources.simulated import parse, simulated


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says."""

    to: str
    form: str
    fast: bool
    rate_hz: float | None
    follow: bool
    run_number: int | None
    run_name: str
    format_name: str | None
    detector_name: str
    properties: Path | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """The source to send. endless: only Ctrl-C ends it; rewinds: it gives the same words when read again."""

    files: list[str]
    format: Format | None
    detector: Detector
    growing: bool

    @classmethod
    def of(cls, files: list[str], options: ReplayOptions, detector: Detector) -> ReplaySource:
        growing = options.follow or any(os.path.isdir(file) for file in files)
        alone = [file for file in files if is_stream(file) or file.startswith(SIMULATION)]
        if (growing or alone) and len(files) > 1:
            what = alone[0] if alone else "a source that grows"
            raise common.CommandError(f"found {len(files)} sources, expected one with {what}")
        if options.follow and (alone or "://" in files[0]):
            raise common.CommandError(f"--follow: found {files[0]}, expected a file or a folder")
        return cls(files, common.format_of(options.format_name), detector, growing)

    @property
    def simulation(self) -> bool:
        return self.files[0].startswith(SIMULATION)

    @property
    def rewinds(self) -> bool:
        return not any(is_stream(file) for file in self.files)

    @property
    def endless(self) -> bool:
        if self.simulation:
            config = parse(self.files[0])
            return config.words is None and config.duration_s is None
        return self.growing or not self.rewinds

    def identity(self, options: ReplayOptions) -> Run:
        """Name and number of the run. Raises CommandError for files that appear to be of several runs."""
        if not options.run_name and not self.growing:
            runs = runs_of(self.files, run_word=peek_run_word, identity=file_identity)
            for one, other in pairwise(runs):
                if not may_join(one, other):
                    raise common.CommandError(
                        f"found files of several runs, {one.run.name} and {other.run.name} among them, expected are "
                        "those of one; send one after another, or name the run (--run-name)"
                    )
        words = [peek_run_word(file) for file in self.files if not self.growing]
        return identify(self.files, options.run_name, options.run_number, words)

    def blocks(self, stop: Event) -> Iterator[Block]:
        expected = Expected.of(self.detector.channel_map())
        if self.simulation:
            yield from simulated(parse(self.files[0]), self.detector)
        elif self.growing:
            yield from follow(self.files[0], self.format, stop, expected=expected)
        else:
            yield from read_parts(self.files, self.format, expected=expected, live=True)

    def timed(self, options: ReplayOptions, sent: int, stop: Event) -> Iterator[Block]:
        """The blocks at the pace of the options; words that were sent before do not wait again."""
        blocks, rate_hz = self.blocks(stop), options.rate_hz
        if rate_hz is not None:
            return held_after(blocks, sent, lambda rest: rated(rest, rate_hz, stop))
        if options.fast or self.growing or not self.rewinds:
            return blocks
        return held_after(blocks, sent, lambda rest: paced(rest, 1.0, stop))
