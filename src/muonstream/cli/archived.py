"""The commands on archived runs: `muonstream runs …` and `muonstream report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muonstream.cli.errors import refuse_missing
from muonstream.cli.help import Command

runs_app = typer.Typer(help="Archived runs: table, comparison, comments, flags, trends.", no_args_is_help=True)
report_app = typer.Typer()
ArchiveArgument = Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive: the folder given to --archive.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, number or file, or last.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
NameOption = Annotated[str, typer.Option("--name", help="Author; by default the user of this terminal.")]


@runs_app.command("list", cls=Command)
def list_(
    archive: ArchiveArgument,
    matching: Annotated[
        str, typer.Option("--matching", help="Only runs with this text in their name, number or source.")
    ] = "",
    state: Annotated[str, typer.Option("--state", help="Only ended, running or interrupted runs.")] = "",
    level: Annotated[
        str, typer.Option("--level", help="Only runs whose worst verdict is null, good, medium or bad.")
    ] = "",
    flag: Annotated[
        str, typer.Option("--flag", help="Only runs flagged as bad, limited, good or keep, or with none.")
    ] = "",
    sort: Annotated[
        str, typer.Option("--sort", help="Column to sort by, such as words; -words reverses the order.")
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            "--columns", help='Instead of the usual columns: name,begun,"hit rate of Chamber 2", with commas between.'
        ),
    ] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show the runs of an archive, the oldest first.

    Example: muonstream runs list /data/archive
    """
    from muonstream.commands.archived import Choice, list_runs

    wanted = [one.strip() for one in columns.split(",")] if columns else []
    choice = Choice(matching, state, level, flag, sort)
    list_runs(archive, choice, columns=wanted, as_json=as_json, as_csv=as_csv)


@runs_app.command("show", cls=Command)
def show(archive: ArchiveArgument, run: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run: state, verdict, quantities with errors, comments and flags.

    Example: muonstream runs show /data/archive last
    """
    from muonstream.commands.archived import show_run

    show_run(archive, run, as_json=as_json)


@runs_app.command("compare", cls=Command)
def compare(
    archive: ArchiveArgument,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Runs; the first is compared with each of the others.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Compare runs: quantities in standard deviations, and the shapes of histograms, what differs most first.

    Example: muonstream runs compare /data/archive Run000592 Run000591
    """
    if len(runs) < 2:
        raise typer.BadParameter(f"found {len(runs)} run, expected two or more", param_hint="RUN")
    from muonstream.commands.archived import compare_runs

    compare_runs(archive, runs, as_json=as_json)


@runs_app.command("comment", cls=Command)
def comment(
    archive: ArchiveArgument,
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="The text of the comment.")],
    name: NameOption = "",
) -> None:
    """Add a comment to a run.

    Example: muonstream runs comment /data/archive last "gas bottle changed"
    """
    from muonstream.commands.archived import comment_run

    comment_run(archive, run, text, name=name)


@runs_app.command("flag", cls=Command)
def flag(
    archive: ArchiveArgument,
    run: RunArgument,
    effect: Annotated[str, typer.Argument(help="bad, limited, good, or keep (never pruned).")],
    cause: Annotated[str, typer.Option("--cause", help="Why.")] = "",
    part: Annotated[str, typer.Option("--part", help="A chamber or cell by name; by default the whole detector.")] = "",
    from_s: Annotated[
        float | None, typer.Option("--from", help="Data time in seconds; by default the run's beginning.")
    ] = None,
    to_s: Annotated[float | None, typer.Option("--to", help="Data time in seconds; by default the run's end.")] = None,
    name: NameOption = "",
) -> None:
    """Flag a run, or a stretch of its data time, as usable or not, with the cause.

    Example: muonstream runs flag /data/archive 591 bad --from 120 --to 300 --cause "high voltage off"
    """
    import time

    from muonstream.archive.people import Flag
    from muonstream.commands.archived import flag_run, user

    flag_run(archive, run, Flag(effect, cause, part, from_s, to_s, name or user(), time.time()))


@runs_app.command("good", cls=Command)
def good(
    archive: ArchiveArgument,
    part: Annotated[str, typer.Option("--part", help="Only flags of this chamber; by default all flags.")] = "",
) -> None:
    """Print the good-time list as JSON: for each run the data time, in seconds, that no flag calls bad.

    Example: muonstream runs good /data/archive
    """
    from muonstream.commands.archived import print_good_times

    print_good_times(archive, part=part)


@runs_app.command("trend", cls=Command)
def trend(
    archive: ArchiveArgument,
    quantity: Annotated[str, typer.Argument(help='Such as "hit rate"; `runs show` prints all.')],
    subject: Annotated[str, typer.Option("--of", help="A chamber by name; by default the whole detector.")] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show a quantity of all runs against time, with its errors.

    Example: muonstream runs trend /data/archive "drift velocity" --of "Chamber 3"
    """
    from muonstream.commands.archived import print_trend

    print_trend(archive, quantity, subject=subject, as_json=as_json, as_csv=as_csv)


@runs_app.command("prune", cls=Command)
def prune(
    archive: ArchiveArgument,
    older_than: Annotated[str, typer.Option("--older-than", help="Remove runs that began before: 90d, 12h.")] = "",
    larger_than: Annotated[
        str,
        typer.Option("--larger-than", help="Remove the oldest runs until the archive has at most this size: 50GB."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which runs would be removed.")] = False,
) -> None:
    """Remove old runs, except those still running or flagged as keep.

    Example: muonstream runs prune /data/archive --older-than 365d
    """
    from muonstream.commands.archived import prune_runs

    prune_runs(archive, older_than=older_than, larger_than=larger_than, dry=dry_run)


@runs_app.command("rebuild", cls=Command)
def rebuild(archive: ArchiveArgument) -> None:
    """Rebuild the archive's index from the runs' files. A missing or damaged index is rebuilt automatically.

    Example: muonstream runs rebuild /data/archive
    """
    from muonstream.commands.archived import rebuild_index

    rebuild_index(archive)


@runs_app.command("export", cls=Command)
def export(
    archive: ArchiveArgument,
    run: RunArgument,
    output: Annotated[Path, typer.Argument(help="The new file.")],
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Leave out names of people and machines, comments, and folders.")
    ] = False,
) -> None:
    """Copy a run's file so that it can be shared.

    Example: muonstream runs export /data/archive 591 run591.muonrun --anonymous
    """
    from muonstream.commands.archived import export_run

    export_run(archive, run, output, anonymous=anonymous)


@report_app.command("report", cls=Command)
def report(
    archive: ArchiveArgument,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Names, numbers or files; by default the last.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path("report.html"),
    last: Annotated[str, typer.Option("--last", help="Instead of naming runs: all runs of the last 8h, 2d.")] = "",
    reference: Annotated[str, typer.Option("--reference", help="Compare each with this run.")] = "",
    title: Annotated[str, typer.Option("--title", help="Title of the report.")] = "",
) -> None:
    """Write a report on runs as one printable HTML file: verdicts, alarms, quantities, pictures, provenance.

    Example: muonstream report /data/archive --last 8h -o shift.html
    """
    refuse_missing([archive], what="folder")
    from muonstream.commands.archived import report_runs

    report_runs(archive, runs or [], output, last=last, reference=reference, title=title)
