"""`muonstream process`: files through the pipeline, as fast as they can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from muonstream.commands import common
from muonstream.commands.summary_file import conclude, summary_file
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.sources.files import EVERY, is_local, passed_over, read_input, read_parts
from muonstream.sources.reader import InputReader
from muonstream.sources.sameness import KnownInputs


def check_there(files: list[str]) -> None:
    """Raise CommandError for those that are not there, before any is read."""
    missing = [file for file in files if is_local(file) and _missing(file)]
    if missing:
        raise common.CommandError("\n".join(f"{file}: no such file" for file in missing))


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


def process_files(
    files: list[str],
    *,
    side_by_side: bool = False,
    detector_name: str,
    format_name: str | None,
    summary_path: Path | None,
    strict: bool,
    run: str,
    workers: int,
    reconstruct: bool = False,
) -> int:
    """Process files and give the exit code; what was good before an error is counted and shown."""
    status = [common.OK]
    with common.clear_errors(status), summary_file(summary_path, files) as file:
        check_there(files)
        detector = common.load_detector(detector_name)
        # nobody sees verdicts here, so nothing that only they need is counted
        source = ", ".join(files)
        with Pipeline(
            detector, run=run, source=source, workers=workers, reconstruct=reconstruct, pairs=False
        ) as pipeline:
            whole = False
            columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} words"), TimeElapsedColumn())
            try:
                with Progress(*columns, console=common.err, transient=True, disable=not common.err.is_terminal) as bar:
                    task = bar.add_task("words", total=None)
                    format = common.format_of(format_name)
                    expected = Expected.of(detector.channel_map())
                    read = partial(together, pipeline) if side_by_side else read_parts
                    blocks = read(files, format, expected=expected)
                    run_blocks(pipeline, blocks, progress=lambda n: bar.advance(task, n))
                whole = True
            finally:
                snapshot = pipeline.snapshot("ended")
                if snapshot.account.words or whole:
                    conclude(file, snapshot)
            if strict:
                common.strictly(snapshot)
    return status[0]
