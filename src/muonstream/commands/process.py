"""`muonstream process`: files through the pipeline, as fast as they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from muonstream.commands import common
from muonstream.commands.compiling import compiling
from muonstream.commands.summary_file import conclude_runs, summary_file
from muonstream.offline.counting import CountOptions, check_there, count_files
from muonstream.run.summary import CountedRun, total_of


@dataclass(frozen=True, slots=True)
class ProcessOptions(CountOptions):
    """The options: how to count, with which detector, and where the summary goes."""

    detector_name: str
    summary_path: Path | None = None
    strict: bool = False
    archive: Path | None = None
    report: Path | None = None


def process_files(files: list[str], options: ProcessOptions) -> None:
    """Process files; the words before an error are counted and shown. Raises CommandError, SourceError or others."""
    with summary_file(options.summary_path, files) as file:
        check_there(files)
        detector = common.load_detector(options.detector_name)
        if options.verdicts and options.archive is not None:
            from muonstream.commands.remembered import remembered

            options = replace(options, remembered=remembered(options.archive, detector))
        counted: list[CountedRun] = []
        whole = False
        try:
            with _progress() as progress, compiling():
                count_files(files, detector, options, counted, say=common.say, progress=progress)
            whole = True
        finally:
            if counted and (whole or any(one.snapshot.account.words for one in counted)):
                conclude_runs(file, counted)
                _keep(options, counted)
        total = total_of([one.snapshot for one in counted])
        common.fail_if_misread(total)
        if options.strict:
            common.fail_if_lossy(total)


def _keep(options: ProcessOptions, counted: list[CountedRun]) -> None:
    """Write each run into the archive, and its report. Raises CommandError at the end for one that could not be."""
    if options.archive is None and options.report is None:
        return
    # imported only where it is needed, since it is slow to load
    from muonstream.commands.archiving import Archiving, Origin, Reporting

    problem = ""
    for one in counted:
        name = one.run.name or "the run"
        origin = Origin(number=partial(int, one.run.number), remembered=lambda: options.remembered)
        if options.archive is not None:
            archiving = Archiving(options.archive, origin)
            archiving.finish(one.snapshot)
            if archiving.problem:
                problem = problem or f"{name} is not in the archive: {archiving.problem}"
        if options.report is not None:
            reporting = Reporting(options.report, origin)
            reporting.finish(one.snapshot)
            if reporting.problem:
                problem = problem or f"{name} has no report: {reporting.problem}"
    if problem:
        raise common.CommandError(problem)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many words were counted; elsewhere rich's progress bars are not even imported."""
    if not common.err.is_terminal:
        yield lambda n: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} words"), TimeElapsedColumn())
    with Progress(*columns, console=common.err, transient=True) as bar:
        task = bar.add_task("words", total=None)
        yield lambda n: bar.advance(task, n)
