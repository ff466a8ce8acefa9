"""The output of a run's summary: a file of its own, a pipe, or standard output."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from muonstream.commands import common
from muonstream.run.monitor import Snapshot
from muonstream.run.summary import CountedRun, summary, summary_of_runs, total_of
from muonstream.sources.schemes import is_local

_BEGINNING: Final = re.compile(rb'\s*\{\s*"run"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"source"\s*:')
"""How a summary begins, even an incomplete one."""
_LOOKED_AT_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class SummaryFile:
    """The open output of the summary, and its name in messages."""

    handle: IO[str]
    name: str

    @property
    def on_standard_output(self) -> bool:
        """Whether nothing but the summary may be written there."""
        return self.handle is sys.stdout

    def write(self, snapshot: Snapshot) -> None:
        """Replace the content by the summary. Raises CommandError when it cannot be written."""
        self._write(summary(snapshot))

    def write_runs(self, runs: Sequence[CountedRun]) -> None:
        """Replace the content by the summary of several runs. Raises CommandError when it cannot be written."""
        self._write(summary_of_runs(runs))

    def _write(self, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=1, allow_nan=False)
        with common.named_output(self.name):
            if not self.on_standard_output and Path(self.name).is_file():
                self.handle.truncate(0)
            self.handle.write(text + "\n")
            self.handle.flush()


@contextmanager
def summary_file(path: Path | None, others: Iterable[str | Path | None] = ()) -> Iterator[SummaryFile | None]:
    """Open an output before work begins, so that one that cannot be written is found at once; `-` is standard output.

    others: names of what the run reads, or writes besides; those that are not files do not matter
    A new file to which nothing was written is removed again.
    Raises CommandError, also for a file that holds anything but an earlier summary: data are never overwritten.
    """
    if path is None:
        yield None
        return
    if str(path) == "-":
        yield SummaryFile(sys.stdout, "standard output")
        return
    for other in others:
        _check_apart(path, other)
    new = not os.path.exists(path)
    with common.named_output(path):
        is_file = os.path.isfile(path)
        if is_file:
            _check_content(path)
        # append mode keeps the previous summary until the new one is ready; a pipe has no previous content
        handle = path.open("a" if new or is_file else "w", encoding="utf-8")
    try:
        yield SummaryFile(handle, str(path))
    finally:
        with suppress(OSError):  # of what could not be written it was said already
            handle.close()
        if new and path.is_file() and path.stat().st_size == 0:
            path.unlink()


def conclude(file: SummaryFile | None, snapshot: Snapshot) -> None:
    """Write the summary, if it is asked for, and show the account, even when the summary cannot be written."""
    try:
        if file is not None:
            file.write(snapshot)
    finally:
        common.report(snapshot, common.err if file is not None and file.on_standard_output else common.out)


def conclude_runs(file: SummaryFile | None, runs: Sequence[CountedRun]) -> None:
    """Write one summary of several runs; show the account of each, then that of all together."""
    try:
        if file is not None:
            file.write_runs(runs)
    finally:
        console = common.err if file is not None and file.on_standard_output else common.out
        for one in runs:
            title = f"{one.run.name} (run {one.run.number})" if one.run.number else one.run.name
            common.report(replace(one.snapshot, run=title), console)
        if len(runs) > 1:
            # notes on inputs were shown with the run that read them
            total = replace(total_of([one.snapshot for one in runs]), run=f"all {len(runs)} runs", faults=())
            common.report(total, console)


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names are of one file, which need not exist yet."""
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _check_apart(path: Path, other: str | Path | None) -> None:
    """Raise CommandError when the path is another of the run's files, or in the folder that it reads."""
    if other is None or not is_local(str(other)):
        return
    if os.path.isdir(other):
        if os.path.dirname(os.path.realpath(path)) == os.path.realpath(other):
            raise common.CommandError(f"--summary: found {path}, expected a file outside the folder that is read")
    elif same_file(path, other):
        raise common.CommandError(f"--summary: found {path}, which is the run's own, expected another file")


def _check_content(path: Path) -> None:
    """Raise CommandError when a file holds anything but a summary, and OSError when it cannot be read."""
    with path.open("rb") as handle:
        content = handle.read(_LOOKED_AT_BYTES)
    if content and not _BEGINNING.match(content):
        raise common.CommandError(
            f"--summary: found {path}, which holds something else, expected a new file or one with a summary"
        )
