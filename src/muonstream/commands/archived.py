"""`muonstream runs` and `muonstream report`: the contents of an archive, and what people add to it."""

from __future__ import annotations

import csv
import getpass
import json
import logging
import operator
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from muonstream.archive import container
from muonstream.archive.archive import Archive, as_table, local_time, state_of
from muonstream.archive.container import ArchiveError
from muonstream.archive.index import Point, Row
from muonstream.archive.people import EFFECTS, Flag, People, good_times
from muonstream.dashboard.archived.table import LEVELS, STATES
from muonstream.errors import MuonstreamError, printable

if TYPE_CHECKING:
    from rich.console import Console

LOGGER: Final = logging.getLogger(__name__)
SHOWN: Final = ("name", "number", "begun", "state", "live", "words", "worst", "flags", "comments")
SPARKS: Final = "▁▂▃▄▅▆▇█"
SORTED: Final = tuple(name for name in Row._fields if name not in ("pid", "boot"))
UNITS_S: Final = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
UNITS_BYTES: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


@cache
def console() -> Console:
    """Wide enough for every table: names and times are not cut or broken. The table of runs does without: see there."""
    from muonstream.commands.console import clean_console

    return clean_console(width=240)


class RunsError(MuonstreamError):
    """An error in an option of `runs`, in one line."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs are listed, "" for any: text in name, number or source; state, worst level, effect of a flag or none.

    sort: a column, with - before it from the highest down
    """

    matching: str = ""
    state: str = ""
    level: str = ""
    flag: str = ""
    sort: str = ""

    def __post_init__(self) -> None:
        """Raise RunsError for a value that is not known."""
        known = (("state", self.state, STATES), ("level", self.level, LEVELS), ("flag", self.flag, (*EFFECTS, "none")))
        for option, found, expected in known:
            if found and found not in expected:
                raise RunsError(f"--{option}: found {found!r}, expected one of {', '.join(expected)}")
        if self.sort and self.sort.removeprefix("-") not in SORTED:
            names = ", ".join(SORTED)
            raise RunsError(f"--sort: found {self.sort!r}, expected one of {names}; - before it turns the order round")

    def fits(self, row: Row) -> bool:
        """Whether a run is listed."""
        effects = {str(flag.get("effect")) for flag in row.flags} or {"none"}
        return (
            self.matching.lower() in f"{row.name} {row.number} {row.source}".lower()
            and self.state in ("", state_of(row))
            and self.level in ("", row.worst)
            and (not self.flag or self.flag in effects)
        )


def list_runs(folder: str, choice: Choice, *, columns: Sequence[str], as_json: bool, as_csv: bool) -> None:
    """Print the runs of an archive. Raises ArchiveError or RunsError.

    columns: what is shown of each in place of what is usual: of `SORTED`, or quantities, `hit rate of Chamber 2`
    """
    _one_format(as_json=as_json, as_csv=as_csv)
    archive = Archive(folder)
    rows = [row for row in archive.rows() if choice.fits(row)]
    if choice.sort:
        key = choice.sort.removeprefix("-")
        value = state_of if key == "state" else operator.attrgetter(key)
        rows.sort(key=lambda row: (str(type(value(row))), value(row)), reverse=choice.sort.startswith("-"))
    if columns:
        _print_columns(archive, rows, columns, as_json=as_json, as_csv=as_csv)
    elif as_json:
        print(json.dumps(as_table(rows), ensure_ascii=False))
    elif as_csv:
        table = as_table(rows)
        writer = csv.writer(sys.stdout)
        writer.writerow(table[0].keys() if table else Row._fields)
        writer.writerows([json.dumps(v) if isinstance(v, list | tuple) else v for v in one.values()] for one in table)
    else:
        _print_rows(rows)


def _one_format(*, as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise RunsError("found --json and --csv, expected one of them")


def _print_columns(
    archive: Archive, rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, as_csv: bool
) -> None:
    """Print the columns that were asked for; those of quantities have their errors beside them."""
    table: dict[str, list[Any]] = {}
    files = {row.file: at for at, row in enumerate(rows)}
    plain = as_table(list(rows))
    for column in columns:
        if column in SORTED:
            table[column] = [one[column] for one in plain]
            continue
        name, _, subject = column.partition(" of ")
        table[column], table[f"{column} error"] = [None] * len(rows), [None] * len(rows)
        try:
            points = archive.trend(name, subject)
        except ArchiveError as error:
            raise RunsError(f"--columns: {error}; or of {', '.join(SORTED)}") from None
        for point in points:
            if point.file in files:
                table[column][files[point.file]] = point.value
                table[f"{column} error"][files[point.file]] = point.error
    lines = list(zip(*table.values(), strict=True))
    if as_json:
        print(json.dumps([dict(zip(table, line, strict=True)) for line in lines], ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(table)
        writer.writerows([json.dumps(v) if isinstance(v, list | tuple) else v for v in line] for line in lines)
    else:
        shown = [tuple(table), *(tuple(map(_cell, table, line)) for line in lines)]
        numbers = [name for name, values in table.items() if all(isinstance(v, int | float | None) for v in values)]
        _print_table(shown, right=numbers)


def _cell(column: str, value: Any) -> str:
    """A value of a table for people."""
    if value is None:
        return ""
    if column in ("begun", "written"):
        return local_time(value)
    if column == "flags":
        return ", ".join(dict.fromkeys(str(flag.get("effect", "")) for flag in value))
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _print_rows(runs: Sequence[Row]) -> None:
    rows = [SHOWN]
    for run in runs:
        if run.problem:
            console().print(run.problem, markup=False)
            continue
        flags = ", ".join(dict.fromkeys(flag.get("effect", "") for flag in run.flags)) if run.flags else ""
        rows.append(
            (
                run.name,
                str(run.number or ""),
                local_time(run.begun),
                state_of(run),
                f"{run.live_time_s:,.0f} s",
                f"{run.words:,}",
                run.worst,
                flags,
                str(run.comments or ""),
            )
        )
    _print_table(rows, right=("number", "live", "words", "comments"))


def _print_table(rows: Sequence[Sequence[str]], *, right: Sequence[str]) -> None:
    """Print rows in columns, the first of them the headings; right: columns of numbers.

    Names come from outside: control characters in them are not printed. A table of rich takes 1 ms a row.
    """
    rows = [row if "".join(row).isprintable() else [printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "  ".join(
        f"{{:{'>' if heading in right else '<'}{width}}}" for heading, width in zip(rows[0], widths, strict=True)
    )
    print("\n".join([line.format(*row).rstrip() for row in rows]))


def show_run(folder: str, run: str, *, as_json: bool) -> None:
    """Print a run of an archive. Raises ArchiveError."""
    archive = Archive(folder)
    row = archive.find(run)
    header, people = container.read_header(archive.path(row))
    header["state"] = state_of(row)
    if as_json:
        print(json.dumps({"file": row.file, **header, **people}, ensure_ascii=False))
        return
    console().print(f"{header['name']}: {archive.path(row)}", style="bold", markup=False)
    console().print(
        f"{header['state']}, begun {local_time(row.begun)}, {row.live_time_s:,.1f} s live of {row.data_time_s:,.1f} s, "
        f"{row.words:,} words from {row.source}",
        markup=False,
    )
    console().print(f"verdict: {row.headline}", markup=False)
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for one in header["quantities"]:
        error = one["error"]
        table.add_row(
            one["name"], one["subject"], f"{one['value']:,.6g}" + (f" ± {error:,.2g}" if error else ""), one["unit"]
        )
    console().print(table)
    for comment in people["comments"]:
        console().print(
            f"{local_time(comment['time'])} {comment['name'] or 'somebody'}: {comment['text']}", markup=False
        )
    for flag in people["flags"]:
        part = flag["part"] or "whole detector"
        begin, end = flag["from_s"] or 0, flag["to_s"] if flag["to_s"] is not None else row.data_time_s
        console().print(
            f"{local_time(flag['time'])} {flag['name'] or 'somebody'}: {flag['effect']}, {part}, "
            f"{begin:g} to {end:g} s: {flag['cause']}",
            markup=False,
        )


def compare_runs(folder: str, runs: Sequence[str], *, as_json: bool) -> None:
    """Print how the first run differs from each of the others. Raises ArchiveError, CompareError or RunsError."""
    from dataclasses import asdict

    from rich.table import Table

    from muonstream.archive.compare import compare
    from muonstream.archive.contents import snapshot_of

    archive = Archive(folder)
    rows = archive.find_all(runs)
    if twice := next((row for at, row in enumerate(rows) if row in rows[:at]), None):
        raise RunsError(f"runs compare: found {twice.file} twice, expected different runs")
    snapshots = [snapshot_of(archive.path(row)) for row in rows]
    results = []
    for row, other in zip(rows[1:], snapshots[1:], strict=True):
        scalars, shapes = compare(snapshots[0], other)
        if as_json:
            results.append(
                {"with": row.name, "quantities": [asdict(d) for d in scalars], "shapes": [asdict(d) for d in shapes]}
            )
            continue
        table = Table(title=f"{rows[0].name} and {row.name}", box=None, pad_edge=False, title_justify="left")
        for name in ("what", "where", rows[0].name, row.name, "unit", "sigma"):
            table.add_column(name, justify="right" if name in (rows[0].name, row.name, "sigma") else "left")
        for d in scalars:
            sigma = "" if d.sigma is None else f"{d.sigma:+.1f}"
            table.add_row(d.name, d.subject, f"{d.one:,.6g}", f"{d.other:,.6g}", d.unit, sigma)
        for s in shapes:
            shape = f"shape, chi2 {s.chi2:,.0f} / {s.degrees}"
            table.add_row(s.name, s.subject, f"{s.entries[0]:,}", f"{s.entries[1]:,}", shape, f"{s.sigma:+.1f}")
        console().print(table)
    if as_json:
        print(json.dumps({"run": rows[0].name, "compared": results}, ensure_ascii=False))


def comment_run(folder: str, run: str, text: str, *, name: str) -> None:
    """Add a comment to a run. Raises ArchiveError or PeopleError."""
    row = Archive(folder).comment(run, text, name=name or user())
    LOGGER.info("%s: comment added", row.file)


def flag_run(folder: str, run: str, flag: Flag) -> None:
    """Add a flag to a run. Raises ArchiveError."""
    row = Archive(folder).flag(run, flag)
    LOGGER.info("%s: flagged as %s", row.file, flag.effect)


def print_good_times(folder: str, *, part: str) -> None:
    """Print, as JSON, the data time of each run that no flag calls bad. Raises ArchiveError or PeopleError."""
    archive = Archive(folder)
    archive.check_part(part)
    found = [
        {
            "file": row.file,
            "name": row.name,
            "number": row.number,
            "good_s": good_times([Flag(**flag) for flag in row.flags], row.data_time_s, part=part),
        }
        for row in archive.rows()
        if not row.problem
    ]
    print(json.dumps(found, ensure_ascii=False))


def print_trend(folder: str, quantity: str, *, subject: str, as_json: bool, as_csv: bool) -> None:
    """Print a quantity of all runs, by time. Raises ArchiveError or RunsError."""
    _one_format(as_json=as_json, as_csv=as_csv)
    points = Archive(folder).trend(quantity, subject)
    plain = [point._asdict() for point in points]
    if as_json:
        print(json.dumps(plain, ensure_ascii=False))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, Point._fields)
        writer.writeheader()
        writer.writerows(plain)
    else:
        table = [("run", "begun", quantity, "error", "unit", "")]
        for point, bar in zip(points, spark([point.value for point in points]), strict=True):
            error = "" if point.error is None else f"{point.error:,.2g}"
            table.append((point.name, local_time(point.begun), f"{point.value:,.6g}", error, point.unit, bar))
        _print_table(table, right=(quantity, "error"))


def prune_runs(folder: str, *, older_than: str, larger_than: str, dry: bool) -> None:
    """Remove old runs. Raises ArchiveError or RunsError."""
    if not (older_than or larger_than):
        raise RunsError("runs prune: found no limit, expected --older-than 90d or --larger-than 50GB, or both")
    removed = Archive(folder).prune(
        older_than_s=_in(older_than, UNITS_S, "--older-than", "such as 90d or 12h") if older_than else None,
        most_bytes=int(_in(larger_than, UNITS_BYTES, "--larger-than", "such as 50GB")) if larger_than else None,
        now=time.time(),
        dry=dry,
    )
    done = "would be removed" if dry else "removed"
    for row in removed:
        LOGGER.info("%s: %s", row.file, done)
    LOGGER.info("%d run%s %s", len(removed), "" if len(removed) == 1 else "s", done)


def rebuild_index(folder: str) -> None:
    """Rebuild the index from the files. Raises ArchiveError."""
    LOGGER.info("%d runs in the index", Archive(folder).rebuild())


def export_run(folder: str, run: str, output: Path, *, anonymous: bool) -> None:
    """Copy a run's file, without names of people and machines if asked. Raises ArchiveError or RunsError."""
    archive = Archive(folder)
    path = archive.path(archive.find(run))
    if output.exists():
        raise RunsError(f"{output}: already exists; expected a new file, since none is overwritten")
    entries = container.read(path)
    if anonymous:
        from muonstream.archive.contents import anonymous as without_names

        entries = without_names(entries, path)
    container.write(output, entries)
    LOGGER.info("%s written", output)


def report_runs(folder: str, runs: Sequence[str], output: Path, *, last: str, reference: str, title: str) -> None:
    """Write the report of runs as one HTML file. Raises ArchiveError, CompareError or RunsError."""
    from muonstream.archive.compare import compare
    from muonstream.archive.contents import snapshot_of
    from muonstream.archive.report import Reported, report_html, write_report

    archive = Archive(folder)
    if last and runs:
        raise RunsError(f"report: found {runs[0]!r} and --last {last}, expected names of runs or --last")
    if last:
        since = time.time() - _in(last, UNITS_S, "--last", "such as 8h")
        rows = [row for row in archive.rows() if not row.problem and row.written >= since]
    else:
        rows = archive.find_all(runs or ["last"])
    if not rows:
        raise RunsError("report: found no run, expected names of some, or --last 8h with some in that time")
    against = archive.find(reference) if reference else None
    expected = None if against is None else snapshot_of(archive.path(against))
    reported = []
    for row in rows:
        path = archive.path(row)
        snapshot = snapshot_of(path)
        compared = None
        if expected is not None and against is not None and against.file != row.file:
            compared = (against.name, *compare(snapshot, expected))
        header, people = container.read_header(path)
        reported.append(Reported(snapshot, header, state_of(row), People.of_plain(people), compared))
    text = report_html(reported, title=title)
    write_report(output, text)
    LOGGER.info("%s written: %d run%s", output, len(rows), "" if len(rows) == 1 else "s")


def user() -> str:
    """The user of this terminal, "" if unknown."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def spark(values: Sequence[float]) -> list[str]:
    """A bar for each value, from the lowest to the highest."""
    low, high = min(values), max(values)
    width = high - low
    return [SPARKS[round((value - low) / width * (len(SPARKS) - 1)) if width > 0 else 0] for value in values]


def _in(text: str, units: dict[str, Any], option: str, such_as: str) -> float:
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?([A-Za-z]+)", text)
    known = {unit.lower(): size for unit, size in units.items()}
    if not found or found[2].lower() not in known or not float(found[1]):
        raise RunsError(
            f"{option}: found {text!r}, expected a number above 0 and a unit, {such_as}; units are {', '.join(units)}"
        )
    return float(found[1]) * float(known[found[2].lower()])
