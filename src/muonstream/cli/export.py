"""The command `muonstream export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muonstream.cli.errors import refuse_missing
from muonstream.cli.help import Command
from muonstream.cli.options import (
    IDLE_SECONDS,
    WORKERS,
    DetectorOption,
    FormatOption,
    IdleOption,
    ReconstructOption,
    RunNumberOption,
    RunOption,
    WorkersOption,
    keeping_option,
    source_option,
    with_general_options,
)

export_app = typer.Typer()


@export_app.command("export", cls=Command)
@with_general_options
def export(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files of words of one run, or an archived run's file.")
    ],
    output: Annotated[
        Path,
        keeping_option(
            "--output", "-o", help="The new file; .parquet, .arrow, .csv, .root or .json (UHI) says which kind."
        ),
    ],
    table: Annotated[
        list[str] | None,
        keeping_option(
            "--table",
            "-t",
            help="hits, segments, tracks, muons, rates or histograms; a file of ROOT takes several of them.",
        ),
    ] = None,
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    run: RunOption = "",
    run_number: RunNumberOption = None,
    merge: Annotated[bool, source_option("--merge", help="The files are one run, whatever they are called.")] = False,
    together: Annotated[
        bool, source_option("--together", help="The files were written side by side, such as one a board.")
    ] = False,
    idle_seconds: IdleOption = IDLE_SECONDS,
    reconstruct: ReconstructOption = False,
    workers: WorkersOption = WORKERS,
    codec: Annotated[
        str, keeping_option("--codec", help="Of Parquet and Arrow: zstd, snappy, lz4, gzip or none.")
    ] = "zstd",
    force: Annotated[bool, keeping_option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write hits, segments, tracks, muons, rates or histograms as Parquet, Arrow, CSV, ROOT or UHI's JSON.

    Example: muonstream export Run000591/data_*.dat --table hits --output hits.parquet
    """
    refuse_missing(sources)
    from muonstream.commands.export import ExportOptions
    from muonstream.commands.export import export as export_sources

    options = ExportOptions(
        output=output,
        tables=tuple(table or ()),
        detector_name=detector,
        format_name=format,
        run=run,
        run_number=run_number,
        merge=merge,
        together=together,
        idle_seconds=idle_seconds,
        reconstruct=reconstruct,
        workers=workers,
        codec=codec,
        force=force,
    )
    export_sources(sources, options)
