"""`muonstream process`: files through the pipeline, as fast as they can be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from muonstream.commands import common
from muonstream.commands.compiling import compiling
from muonstream.commands.summary_file import conclude_runs, summary_file
from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.framing.builder import FrameBuilder
from muonstream.run.summary import CountedRun, total_of
from muonstream.sources.files import EVERY, empty, is_empty, is_local, passed_over, read_input, read_parts
from muonstream.sources.joining import JoinedRuns
from muonstream.sources.peek import file_identity, peek_run_word
from muonstream.sources.reader import InputReader
from muonstream.sources.runs import InputRun, out_of_order, runs_of
from muonstream.sources.sameness import KnownInputs


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What the command line says.

    together: the files were written side by side; merge: they are one run, whatever their names and counters say
    idle_seconds: data time after which a silent board is no longer waited for
    verdicts: whether each step of data time is judged
    archive: folder in which each run is kept, None for none
    run, run_number: name and number of the run, "" and None for those by the rule
    """

    detector_name: str
    format_name: str | None = None
    summary_path: Path | None = None
    strict: bool = False
    run: str = ""
    run_number: int | None = None
    workers: int = 1
    reconstruct: bool = False
    together: bool = False
    merge: bool = False
    idle_seconds: float = 5.0
    verdicts: bool = False
    archive: Path | None = None


def check_there(files: Sequence[str]) -> None:
    """Raise CommandError for those that are not there, or if all are empty, before any is read."""
    missing = [file for file in files if is_local(file) and _missing(file)]
    if missing:
        raise common.CommandError("\n".join(f"{file}: no such file" for file in missing))
    if len(files) > 1 and all(is_empty(file) for file in files):
        raise common.CommandError("\n".join(f"{file}: is empty" for file in files))


def _missing(file: str) -> bool:
    try:
        os.stat(file)
    except FileNotFoundError:
        return True
    except OSError:  # what else is wrong with it is said when it is opened
        pass
    return False


def together(
    pipeline: Pipeline, files: list[str], format: Format | None, expected: Expected = EVERY
) -> Iterator[Block]:
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


def process_files(files: list[str], options: ProcessOptions) -> None:
    """Process files; what was good before an error is counted and shown. Raises CommandError, SourceError or others."""
    with summary_file(options.summary_path, files) as file:
        check_there(files)
        detector = common.load_detector(options.detector_name)
        counted: list[CountedRun] = []
        whole = False
        try:
            with _progress() as progress, compiling():
                _count(files, options, detector, counted, progress)
            whole = True
        finally:
            if counted and (whole or any(one.snapshot.account.words for one in counted)):
                conclude_runs(file, counted)
                if options.archive is not None:
                    _keep(options.archive, counted)
        total = total_of([one.snapshot for one in counted])
        common.fail_if_misread(total)
        if options.strict:
            common.fail_if_lossy(total)


def _keep(folder: Path, counted: list[CountedRun]) -> None:
    """Write each run into the archive. Raises CommandError."""
    # only where it is wanted: it takes a while to load
    from muonstream.commands.archiving import Archiving

    for one in counted:
        archiving = Archiving(folder, number=one.run.number)
        archiving.finish(one.snapshot)
        if archiving.problem:
            raise common.CommandError(f"{one.run.name or 'the run'} is not in the archive: {archiving.problem}")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many more words were counted; elsewhere what draws that is not even loaded."""
    if not common.err.is_terminal:
        yield lambda n: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} words"), TimeElapsedColumn())
    with Progress(*columns, console=common.err, transient=True) as bar:
        task = bar.add_task("words", total=None)
        yield lambda n: bar.advance(task, n)


def _count(
    files: list[str],
    options: ProcessOptions,
    detector: Detector,
    counted: list[CountedRun],
    progress: Callable[[int], None],
) -> None:
    """Count run by run; `counted` gets each, also the one that an error or Ctrl-C ends."""
    format, expected = common.format_of(options.format_name), Expected.of(detector.channel_map())
    named = bool(options.run) or options.run_number is not None
    one_run = options.together or options.merge or named
    inputs = runs_of(
        files,
        merge=one_run,
        name=options.run,
        number=options.run_number,
        run_word=peek_run_word,
        identity=file_identity,
    )
    if named and len(files) > 1 and not (options.together or options.merge):
        common.say(f"the {len(files)} files are read as one run, since options name it; without, their names tell")
    for one in inputs:
        if (pair := out_of_order(one.files)) and not options.together:
            common.say(f"{pair[0]}: is read before {pair[1]}: files are read in the order in which they are given")
    if options.together:
        pipeline = _pipeline(inputs[0], options, detector)
        _run(pipeline, together(pipeline, files, format, expected), lambda: inputs[0], counted, progress)
        return
    # of all runs: the same words are counted once; a file alone need not be compared
    known = KnownInputs(Wanted(expected, format)) if len(files) > 1 else None

    def read(files: list[str]) -> Iterator[Block]:
        return read_parts(files, format, expected=expected, known=known)

    runs = JoinedRuns(inputs, read, name=options.run, number=options.run_number)
    while runs.take():
        pipeline = _pipeline(runs.run, options, detector)
        _run(pipeline, runs.blocks(), lambda: runs.run, counted, progress)


def _pipeline(run: InputRun, options: ProcessOptions, detector: Detector) -> Pipeline:
    # without verdicts nothing that only they need is counted, or even loaded
    timeline = None
    if options.verdicts:
        from muonstream.verdicts.timeline import Timeline

        timeline = Timeline
    return Pipeline(
        detector,
        run=run.run.name,
        source=", ".join(run.files),
        workers=options.workers,
        reconstruct=options.reconstruct,
        pairs=options.verdicts,
        timeline=timeline,
        builder=FrameBuilder(detector.boards, idle_seconds=options.idle_seconds),
    )


def _run(
    pipeline: Pipeline,
    blocks: Iterator[Block],
    run: Callable[[], InputRun],
    counted: list[CountedRun],
    progress: Callable[[int], None],
) -> None:
    with pipeline:
        try:
            run_blocks(pipeline, blocks, progress=progress)
        finally:
            found = run()  # more files may have joined it
            snapshot = replace(pipeline.snapshot("ended"), run=found.run.name, source=", ".join(found.files))
            counted.append(CountedRun(found.run, found.files, snapshot))
