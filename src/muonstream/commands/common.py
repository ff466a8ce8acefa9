"""What commands share: loading, messages, the account."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.table import Table

from muonstream.commands.console import clean_console
from muonstream.compiled import spare_extensions
from muonstream.detector.model import Detector
from muonstream.errors import LOST, OWN_TOKEN, MuonstreamError, printable
from muonstream.formats.recognise import Format
from muonstream.run.inputs import InputTotals
from muonstream.run.losses import losses, misread, wrong_detector
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.verdicts import headline

spare_extensions()

LINES: Final = 20
"""Number of lines of notes and faults shown at the end of a run."""


class CommandError(MuonstreamError):
    """An error of the user's, in one line."""


class LossError(CommandError):
    """With --strict: words were lost, malformed, left out or counted twice."""

    exit_code = LOST


err = clean_console(stderr=True)
out = clean_console()


LOGGER: Final = logging.getLogger("muonstream.commands")


def say(line: str, *, own_token: bool = False) -> None:
    """Log a line of progress, which the command line shows on standard error.

    own_token: the line has the page's address, with its token if no other place has it
    """
    LOGGER.info("%s", line, extra={OWN_TOKEN: own_token})


def complain(message: str) -> None:
    """Log an error that does not end the command, one line of standard error for each line of the message."""
    LOGGER.error("%s", message)


@contextmanager
def named_output(name: object) -> Iterator[None]:
    """Name the output that cannot be written. Raises CommandError, except for a closed pipe or an existing file."""
    try:
        yield
    except (BrokenPipeError, FileExistsError):
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CommandError(f"{name}: cannot be written: {reason}") from None


def load_detector(name: str) -> Detector:
    """A detector by file or name. Raises DetectorError."""
    return Detector.load(name)


def format_of(name: str | None) -> Format | None:
    """The format that an option names."""
    return None if name is None else Format(name)


def report(snapshot: Snapshot, console: Console) -> None:
    """Print the run's account and rates."""
    account = snapshot.account
    console.print(printable(snapshot.run or snapshot.source or "run"), style="bold", markup=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    for name, number in account.as_dict().items():
        if number or name in ("words", "hits", "scintillator"):
            table.add_row(f"{number:,}", name)
    console.print(table)
    if not account.balanced:
        console.print(f"the account does not balance: {account.residual:,} words are missing", style="bold red")
    chambers = snapshot.catalogue.chamber_hits(snapshot.total)
    live = snapshot.live_time_s
    if live > 0:
        rates = ", ".join(
            f"{chamber.name} {hits / live:,.0f} Hz"
            for chamber, hits in zip(snapshot.detector.chambers, chambers.tolist(), strict=True)
        )
        console.print(f"live {live:,.2f} s, {account.hits / live:,.0f} hits/s: {rates}", markup=False)
    if snapshot.catalogue.muon_shapes:
        # imported only where it is needed, since it loads the reconstruction
        from muonstream.run.muon_summary import muon_summary

        found = muon_summary(snapshot)
        both = found["muons_in_both_views"]
        console.print(f"{found['segments']:,} segments, {found['tracks']:,} tracks, {both:,} muons in both views")
    extra = [
        f"{number:,} {name}{'s' if number != 1 else ''}{more}"
        for number, name, more in (
            (snapshot.gaps, "gap", ""),
            (snapshot.resets, "counter reset", ""),
            (snapshot.forced, "window", " closed early to save memory"),
        )
        if number
    ]
    if extra:
        console.print(", ".join(extra))
    _report_inputs(snapshot, console)
    if snapshot.verdicts is not None:
        console.print(f"verdict: {headline(snapshot.verdicts)}", markup=False)
    for line in snapshot.faults[:LINES]:
        console.print(line, markup=False)
    if len(snapshot.faults) > LINES:
        console.print(f"… and {len(snapshot.faults) - LINES:,} more lines, which the summary has")


def _report_inputs(snapshot: Snapshot, console: Console) -> None:
    """Print the account of the bytes of the run's inputs."""
    if not snapshot.inputs:
        return
    console.print(InputTotals.of(snapshot.inputs).line, markup=False)
    for report in [report for report in snapshot.inputs if not report.balanced][:LINES]:
        console.print(
            f"{report.name}: the account of bytes does not balance: {report.residual:,} bytes are missing",
            style="bold red",
            markup=False,
        )


def check_published(published: bool) -> None:
    """Raise CommandError when not everything was published."""
    if not published:
        raise CommandError("not everything could be published")


def fail_if_misread(snapshot: Snapshot) -> None:
    """Raise CommandError when most of an input did not fit the form it was read as; its other words are counted.

    A detector file that most hits do not fit is reported only: counting them as unmapped may be what is wanted.
    """
    if line := wrong_detector(snapshot):
        say(line)
    if line := misread(snapshot):
        raise CommandError(line)


def fail_if_lossy(snapshot: Snapshot) -> None:
    """Raise LossError when something was lost, left out or counted twice, or when an account does not balance."""
    if line := losses(snapshot):
        raise LossError(f"--strict: {line}")
