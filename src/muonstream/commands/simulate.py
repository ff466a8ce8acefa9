"""`muonstream simulate`: simulated data to a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from rich.progress import Progress

from muonstream.commands import common
from muonstream.commands.summary_file import same_file
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import with_truth
from muonstream.sinks.truth import TruthFile
from muonstream.words import Words, decode

DEFAULT_WORDS = 1_000_000
MOST_CELL_DIGITS: Final = 10


def _cell(option: str, text: str) -> tuple[int, int] | None:
    if not text:
        return None
    chamber, _, cell = text.partition(":")
    if not all(one.isascii() and one.isdigit() and len(one) < MOST_CELL_DIGITS for one in (chamber, cell)):
        raise common.CommandError(f"{option}: found {text!r}, expected CHAMBER:CELL, such as 2:17")
    return int(chamber), int(cell)


def table_of(words: Words) -> bytes:
    """Words as rows of the course's table, with no header line."""
    fields = decode(words)
    columns = (fields.head, fields.fpga, fields.channel, fields.orbit, fields.bx, fields.tdc)
    rows = np.stack(columns, axis=1).tolist()
    return "".join([f"{h},{f},{c},{o},{b},{t}\n" for h, f, c, o, b, t in rows]).encode()


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """The options of a simulation and of the file it is written to.

    words, duration_s: how long, whichever is reached first; dead_cell, hot_cell: as CHAMBER:CELL, "" for none
    gap_s: of a pause in the middle; force: overwrite an existing file; truth_path: of the truth table, if wanted
    """

    words: int | None
    duration_s: float | None
    rate_hz: float
    muon_rate_hz: float
    seed: int
    start_orbit: int
    block_words: int
    dead_cell: str
    hot_cell: str
    gap_s: float
    text: bool
    detector: str
    truth_path: Path | None = None
    force: bool = False

    def simulation(self) -> Simulation:
        """The simulation. Raises CommandError."""
        words = DEFAULT_WORDS if self.words is None and self.duration_s is None else self.words
        total_s = self.duration_s or (words or 0) / self.rate_hz
        try:
            config = SimulationConfig(
                seed=self.seed,
                rate_hz=self.rate_hz,
                muon_rate_hz=self.muon_rate_hz,
                words=words,
                duration_s=self.duration_s,
                start_orbit=self.start_orbit,
                block_words=self.block_words,
                dead_cell=_cell("--dead-cell", self.dead_cell),
                hot_cell=_cell("--hot-cell", self.hot_cell),
                gap_after_s=total_s / 2 if self.gap_s else 0.0,
                gap_s=self.gap_s,
            )
            return Simulation(config, common.load_detector(self.detector))
        except ValueError as error:
            raise common.CommandError(str(error)) from None


def simulate_file(output: str, options: SimulateOptions) -> None:
    """Write simulated words. Raises CommandError."""
    simulation = options.simulation()
    config, text, force, truth_path = simulation.config, options.text, options.force, options.truth_path
    if output.endswith(".csv") and not text:
        raise common.CommandError(f"{output}: found the name of a table; expected another, or --text")
    _check_new(output, truth_path, force)
    written = 0
    quiet = not common.err.is_terminal
    with ExitStack() as stack:
        truth = stack.enter_context(_truth_file(truth_path))
        handle = stack.enter_context(_opened(output, force))
        bar = stack.enter_context(Progress(console=common.err, disable=quiet))
        task = bar.add_task("words", total=config.words or round((config.duration_s or 0.0) * config.rate_hz))
        for block in _blocks(simulation, truth, truth_path):
            handle.write(table_of(block) if text else block.astype("<u8").tobytes())
            written += len(block)
            bar.update(task, completed=written)
    common.say(f"{written:,} words written to {output}")


def _taken(name: str | Path) -> common.CommandError:
    return common.CommandError(f"{name}: already exists; expected a new file, or --force")


def _check_new(output: str, truth_path: Path | None, force: bool) -> None:
    """Raise CommandError when an existing file would be overwritten, or both outputs are the same file."""
    taken = None if output == "-" else output
    if truth_path is not None and taken is not None and same_file(taken, truth_path):
        raise common.CommandError(f"--truth: found {truth_path}, which is for the words, expected another file")
    # anything but a file, such as a pipe, exists in order to be written to
    for there in (taken, truth_path):
        if there is not None and os.path.isfile(there) and not force:
            raise _taken(there)


@contextmanager
def _truth_file(path: Path | None) -> Iterator[TruthFile | None]:
    """The file of the truth table, if there is to be one. Raises CommandError."""
    if path is None:
        yield None
        return
    try:
        with common.named_output(path):
            file = TruthFile(path)
    except ImportError as error:
        raise common.CommandError(f"--truth: {error}") from None
    with common.named_output(path), file:
        yield file


def _blocks(simulation: Simulation, truth: TruthFile | None, truth_path: Path | None) -> Iterator[Words]:
    """The simulated words, slab by slab, with their truth written down. Raises CommandError."""
    if truth is None:
        yield from simulation.blocks()
        return
    for slab in with_truth(simulation):
        with common.named_output(truth_path):
            truth.write(slab)
        yield slab.words


@contextmanager
def _opened(output: str, force: bool) -> Iterator[BinaryIO]:
    """The output to write to. Raises CommandError, also when its disk is full."""
    if output == "-":
        output, handle = "standard output", sys.stdout.buffer
    else:
        path = Path(output)
        try:
            # anything but a file, such as a pipe, exists in order to be written to
            with common.named_output(output):
                handle = path.open("wb" if force or (path.exists() and not path.is_file()) else "xb")
        except FileExistsError:
            raise _taken(output) from None
    try:
        with common.named_output(output):
            yield handle
            handle.flush()
    finally:
        with suppress(OSError):  # the write error has already been reported
            handle.close()
