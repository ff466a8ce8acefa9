"""`muonstream process`: files through the pipeline, as fast as they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from muonstream.commands import common
from muonstream.commands.compiling import compiling
from muonstream.commands.summary_file import conclude_runs, summary_file
from muonstream.offline.counting import CountOptions, check_there, count_files
from muonstream.run.summary import CountedRun, total_of

if TYPE_CHECKING:
    from muonstream.verdicts.memory import Remembered


@dataclass(frozen=True, slots=True)
class ProcessOptions(CountOptions):
    """The options: how to count, with which detector, and where the summary goes."""

    detector_name: str
    summary_path: Path | None = None
    strict: bool = False
    archive: Path | None = None


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
                if options.archive is not None:
                    _keep(options.archive, counted, options.remembered)
        total = total_of([one.snapshot for one in counted])
        common.fail_if_misread(total)
        if options.strict:
            common.fail_if_lossy(total)


def _keep(folder: Path, counted: list[CountedRun], known: tuple[Remembered, ...]) -> None:
    """Write each run into the archive. Raises CommandError."""
    # imported only where it is needed, since it is slow to load
    from muonstream.commands.archiving import Archiving

    for one in counted:
        archiving = Archiving(folder, number=one.run.number, remembered=lambda: known)
        archiving.finish(one.snapshot)
        if archiving.problem:
            raise common.CommandError(f"{one.run.name or 'the run'} is not in the archive: {archiving.problem}")


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
