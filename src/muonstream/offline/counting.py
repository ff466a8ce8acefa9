"""Files counted run by run, as fast as they can be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.errors import without_secrets
from muonstream.formats.block import Block, SourceError
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.framing.builder import FrameBuilder
from muonstream.run.summary import CountedRun
from muonstream.sources.files import EVERY, empty, is_empty, passed_over, read_input, read_parts
from muonstream.sources.joining import JoinedRuns
from muonstream.sources.peek import file_identity, peek_run_word
from muonstream.sources.reader import InputReader
from muonstream.sources.runs import InputRun, out_of_order, runs_of
from muonstream.sources.sameness import KnownInputs
from muonstream.sources.schemes import is_local

if TYPE_CHECKING:
    from muonstream.verdicts.memory import Remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class CountOptions:
    """How files are read and counted.

    together: the files were written side by side; merge: they are one run, whatever their names and counters say
    idle_seconds: data time after which a silent board is no longer waited for
    verdicts: whether each step of data time is judged; remembered: alarms that were known before
    run, run_number: name and number of the run, "" and None for those by the rule
    """

    format_name: str | None = None
    run: str = ""
    run_number: int | None = None
    workers: int = 1
    reconstruct: bool = False
    together: bool = False
    merge: bool = False
    idle_seconds: float = 5.0
    verdicts: bool = False
    remembered: tuple[Remembered, ...] = ()

    @property
    def named(self) -> bool:
        """Whether the run's name or number is given, so that all files are one run."""
        return bool(self.run) or self.run_number is not None

    @property
    def format(self) -> Format | None:
        """The format that was named. Raises ValueError for one that is not known."""
        return None if self.format_name is None else Format(self.format_name)


def check_there(files: Sequence[str]) -> None:
    """Raise SourceError for missing files, or if all are empty, before any is read."""
    missing = [file for file in files if is_local(file) and _missing(file)]
    if missing:
        raise SourceError("\n".join(f"{file}: no such file" for file in missing))
    if len(files) > 1 and all(is_empty(file) for file in files):
        raise SourceError("\n".join(f"{file}: is empty" for file in files))


def _missing(file: str) -> bool:
    try:
        os.stat(file)
    except FileNotFoundError:
        return True
    except OSError:  # any other error is reported when it is opened
        pass
    return False


class Framing(Protocol):
    """What takes the words of several sources: a pipeline, or less."""

    builder: FrameBuilder

    def end(self, source: int = 0) -> Any: ...


def together(pipeline: Framing, files: list[str], format: Format | None, expected: Expected = EVERY) -> Iterator[Block]:
    """The blocks of files written side by side: always of the one whose time is furthest behind, each a source.

    A file that holds the same words as one before it is passed over with a note.
    """
    readers: dict[int, Iterator[Block]] = {}
    known = KnownInputs(Wanted(expected, format))
    for source, file in enumerate(files):
        if len(files) > 1 and is_empty(file):
            yield empty(file)
            continue
        twin = known.meet(file)
        if twin is not None and twin.whole:
            yield passed_over(file, twin)
            continue
        reader = InputReader(file, Wanted(expected, format))
        if twin is not None:
            yield Block(notes=[f"{file}: {twin.why}"])
            reader.leave_out(twin.known_hits)
        readers[source] = read_input(file, reader)
    for source in readers:
        pipeline.builder.add_source(source)
    while readers:
        source = min(readers, key=pipeline.builder.lag_windows)
        block = next(readers[source], None)
        if block is None:
            del readers[source]
            pipeline.end(source)
            continue
        block.source, block.begins = source, False
        yield block


def input_runs(files: list[str], options: CountOptions) -> list[InputRun]:
    """Which runs the files are, before any is read."""
    return runs_of(
        files,
        merge=options.together or options.merge or options.named,
        name=options.run,
        number=options.run_number,
        run_word=peek_run_word,
        identity=file_identity,
    )


def out_of_order_lines(runs: Sequence[InputRun], options: CountOptions) -> list[str]:
    """A line for each run whose files are given in another order than their names have."""
    pairs = [] if options.together else [pair for run in runs if (pair := out_of_order(run.files))]
    return [f"{a}: is read before {b}: files are read in the order in which they are given" for a, b in pairs]


def joined_runs(files: list[str], runs: list[InputRun], options: CountOptions, expected: Expected) -> JoinedRuns:
    """The runs to read, joined where their counter goes on; the same words in several files count once, in all runs."""
    # a file alone need not be compared
    known = KnownInputs(Wanted(expected, options.format)) if len(files) > 1 else None

    def read(files: list[str]) -> Iterator[Block]:
        return read_parts(files, options.format, expected=expected, known=known)

    return JoinedRuns(runs, read, name=options.run, number=options.run_number)


def count_files(
    files: list[str],
    detector: Detector,
    options: CountOptions,
    counted: list[CountedRun],
    *,
    say: Callable[[str], None],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Count run by run; `counted` gets each, also the one that an error or Ctrl-C ends.

    say: gets a line about how files are taken; progress: gets the number of words pushed, piece by piece
    Raises what reading the files raises.
    """
    expected = Expected.of(detector.channel_map())
    inputs = input_runs(files, options)
    if options.named and len(files) > 1 and not (options.together or options.merge):
        say(f"the {len(files)} files are read as one run, since options name it; without, their names tell")
    for line in out_of_order_lines(inputs, options):
        say(line)
    if options.together:
        pipeline = pipeline_of(inputs[0], options, detector)
        _run(pipeline, together(pipeline, files, options.format, expected), lambda: inputs[0], counted, progress)
        return
    runs = joined_runs(files, inputs, options, expected)
    while runs.take():
        pipeline = pipeline_of(runs.run, options, detector)
        _run(pipeline, runs.blocks(), lambda: runs.run, counted, progress)


def pipeline_of(
    run: InputRun, options: CountOptions, detector: Detector, builder: FrameBuilder | None = None
) -> Pipeline:
    """What counts a run as the options say; builder: whose frames it counts, None for one of its own."""
    # without verdicts, counts that only they need are left out, and their code is not loaded
    timeline = None
    if options.verdicts:
        from muonstream.verdicts.timeline import Timeline

        timeline = partial(Timeline, remembered=options.remembered)
    return Pipeline(
        detector,
        run=run.run.name,
        source=", ".join(run.files),
        workers=options.workers,
        reconstruct=options.reconstruct,
        pairs=options.verdicts,
        timeline=timeline,
        builder=builder or FrameBuilder(detector.boards, idle_seconds=options.idle_seconds),
    )


def _run(
    pipeline: Pipeline,
    blocks: Iterator[Block],
    run: Callable[[], InputRun],
    counted: list[CountedRun],
    progress: Callable[[int], None] | None,
) -> None:
    with pipeline:
        try:
            run_blocks(pipeline, blocks, progress=progress)
        finally:
            counted.append(counted_run(pipeline, run()))


def counted_run(pipeline: Pipeline, run: InputRun) -> CountedRun:
    """A run that has ended; run: which it is by now, since more files may have joined it."""
    files = tuple(map(without_secrets, run.files))
    snapshot = replace(pipeline.snapshot("ended"), run=run.run.name, source=", ".join(files))
    return CountedRun(run.run, files, snapshot)
