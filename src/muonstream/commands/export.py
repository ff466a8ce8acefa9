"""`muonstream export`: tables and histograms of words, or of an archived run, as files of other programs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream import __version__
from muonstream.archive.container import SUFFIX
from muonstream.archive.contents import rate_names, rates_table
from muonstream.commands import common
from muonstream.commands.compiling import compiling
from muonstream.detector.file import detector_toml
from muonstream.detector.model import Detector
from muonstream.errors import without_secrets
from muonstream.offline.counting import CountOptions
from muonstream.offline.run import Run, analyse, open_run, run_of
from muonstream.offline.tables import TableStream
from muonstream.run.account import Account
from muonstream.tables.batches import BATCH_ROWS, batches
from muonstream.tables.columns import TABLES, Arrays, Column, rate_columns
from muonstream.tables.files import CODECS, FORMATS, ArrowFile, Background, TableFile, Unfinished
from muonstream.tables.muons import NEWEST, newest_muons
from muonstream.tables.places import new_file

HISTOGRAMS: Final = "histograms"
CHOICES: Final = (*TABLES, "rates", HISTOGRAMS)
OF_A_RUN: Final = ("muons", "rates", HISTOGRAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(CountOptions):
    """What to write where. tables: of `CHOICES`; without any, what the kind of file suggests."""

    output: Path
    detector_name: str
    tables: tuple[str, ...] = ()
    codec: str = "zstd"
    force: bool = False


def export(sources: Sequence[str], options: ExportOptions) -> None:
    """Write tables or histograms of files of words, or of an archived run. Raises CommandError, TableError, others."""
    runs = [source for source in sources if source.endswith(SUFFIX)]
    of_run = bool(runs)
    if of_run and len(sources) > 1:
        raise common.CommandError(f"export: found {len(sources)} sources with {runs[0]}, expected one archived run")
    for source in sources:
        if Path(source).is_dir() and (kept := sorted(path.name for path in Path(source).glob(f"*{SUFFIX}"))):
            raise common.CommandError(f"{source}: found an archive, expected one of its runs: {Path(source, kept[-1])}")
    kind = _kind(options)
    tables = _tables(options, kind, of_run=of_run)
    with new_file(options.output, force=options.force) as part:
        if of_run:
            rows = _export_run(sources[0], part, kind, tables, options)
        else:
            with compiling():
                rows = _export_words(list(sources), part, kind, tables, options)
    told = ", ".join(f"{n:,} {table}" for table, n in rows.items())
    common.say(f"{options.output} written: {told}")


def _kind(options: ExportOptions) -> str:
    """The format of the file. Raises CommandError."""
    ending = options.output.suffix.lower()
    kinds = {**FORMATS, ".json": "json"}
    if ending not in kinds:
        raise common.CommandError(f"{options.output}: found the ending {ending!r}, expected {', '.join(kinds)}")
    if options.codec not in CODECS:
        raise common.CommandError(f"--codec: found {options.codec!r}, expected {', '.join(CODECS)}")
    return kinds[ending]


def _tables(options: ExportOptions, kind: str, *, of_run: bool) -> tuple[str, ...]:
    """Which tables to write. Raises CommandError."""
    usual = (HISTOGRAMS if kind in ("json", "root") else "rates") if of_run else "hits"
    tables = tuple(dict.fromkeys(options.tables)) or (HISTOGRAMS if kind == "json" else usual,)
    for table in tables:
        if table not in CHOICES:
            raise common.CommandError(f"--table: found {table!r}, expected {', '.join(CHOICES)}")
        if of_run and table not in OF_A_RUN:
            raise common.CommandError(
                f"--table: found {table}, which an archived run does not keep; expected {', '.join(OF_A_RUN)}, "
                "or the files of its words"
            )
    if kind != "root" and len(tables) > 1:
        raise common.CommandError(
            f"--table: found {len(tables)} tables for {options.output}, expected one; a file of ROOT holds several"
        )
    if (kind == "json" and tables[0] != HISTOGRAMS) or (kind in ("parquet", "arrow") and tables[0] == HISTOGRAMS):
        fitting = ".parquet, .arrow, .csv or .root" if kind == "json" else ".root, .json or .csv"
        raise common.CommandError(f"{options.output}: found {tables[0]} for it, expected the ending {fitting}")
    return tables


def _export_run(source: str, part: Path, kind: str, tables: tuple[str, ...], options: ExportOptions) -> dict[str, int]:
    """Write what an archived run keeps; gives how many rows, or histograms."""
    run = open_run(source)
    told = _provenance(run.detector, [source], run.account) | {"run": run.name}
    columns, rows = _of_run(run, tables)
    told["note"] = "muons: the newest ones alone" if "muons" in tables else ""
    return _write(part, kind, (columns, rows), (run.hists if HISTOGRAMS in tables else {}), told, options.codec)


def _export_words(
    files: list[str], part: Path, kind: str, tables: tuple[str, ...], options: ExportOptions
) -> dict[str, int]:
    """Write tables of words as they are read, then what is known at their end; gives how many rows, or histograms."""
    detector = common.load_detector(options.detector_name)
    of_words = tuple(table for table in tables if table in TABLES)
    if not of_words:
        return _export_counts(files, detector, part, kind, tables, options)
    stream = TableStream(files, detector, options, of_words, counts=len(of_words) < len(tables))
    columns: dict[str, Sequence[Column]] = dict(stream.columns)
    if "rates" in tables:
        columns["rates"] = rate_columns(rate_names(detector))
    counts = dict.fromkeys(of_words, 0)
    hists: Mapping[str, Any] = {}
    told = _provenance(detector, files, None)
    with Background(_open(part, kind, columns, told, options.codec)) as file:

        def account() -> dict[str, Any]:
            common.say(" ".join(f"{n:,} {name}," for name, n in stream.account.as_dict().items() if n).rstrip(","))
            return _provenance(detector, files, stream.account) | {
                "run": stream.frames.run.name,
                "run_number": stream.frames.run.number,
            }

        if len(of_words) == 1:
            name = of_words[0]
            for lump in batches((made[name] for made in stream), stream.columns[name], BATCH_ROWS):
                counts[name] += _add(file, name, lump)
        else:
            for made in stream:
                for name, lump in made.items():
                    counts[name] += _add(file, name, lump)
        if stream.frames.counted is not None:
            run = run_of([stream.frames.counted])
            for name, lump in _of_run(run, tuple(table for table in tables if table == "rates"))[1].items():
                counts[name] = _add(file, name, lump)
            hists = run.hists if HISTOGRAMS in tables else {}
        _finish(file, hists, account)
    return counts | ({HISTOGRAMS: len(hists)} if hists else {})


def _export_counts(
    files: list[str], detector: Detector, part: Path, kind: str, tables: tuple[str, ...], options: ExportOptions
) -> dict[str, int]:
    """Write rates and histograms alone, which need no row of words; gives how many rows, or histograms."""
    run = analyse(
        files,
        detector=detector,
        reconstruct=options.reconstruct,
        format=options.format_name,
        together=options.together,
        merge=options.merge,
        run=options.run,
        run_number=options.run_number,
        idle_seconds=options.idle_seconds,
        workers=options.workers,
    )
    if "rates" in tables and len(run.runs) > 1:
        names = ", ".join(one.name for one in run.runs)
        raise common.CommandError(
            f"--table: found rates of {len(run.runs)} runs, {names}, expected files of one run: a table is of one; "
            "with --merge all files are taken as one"
        )
    of_run = _of_run(run, tuple(table for table in tables if table == "rates"))
    hists = run.hists if HISTOGRAMS in tables else {}
    return _write(part, kind, of_run, hists, _provenance(detector, files, run.account), options.codec)


def _of_run(run: Run, tables: tuple[str, ...]) -> tuple[dict[str, Sequence[Column]], dict[str, Arrays]]:
    """The columns and rows of tables that a run has."""
    columns: dict[str, Sequence[Column]] = {}
    rows: dict[str, Arrays] = {}
    if "rates" in tables:
        table = rates_table(run.snapshot)
        names = table.dtype.names or ()
        columns["rates"] = rate_columns(names)
        rows["rates"] = {name: np.ascontiguousarray(table[name]) for name in names}
    if "muons" in tables:
        columns["muons"], rows["muons"] = NEWEST, newest_muons(run.snapshot.muons)
    return columns, rows


def _write(
    part: Path,
    kind: str,
    tables: tuple[dict[str, Sequence[Column]], dict[str, Arrays]],
    hists: Mapping[str, Any],
    told: dict[str, Any],
    codec: str,
) -> dict[str, int]:
    """Write tables that are in memory, and histograms; gives how many rows, or histograms."""
    columns, rows = tables
    if hists and kind in ("json", "csv"):
        from muonstream.tables.histograms import write_csv, write_uhi

        (write_uhi if kind == "json" else write_csv)(part, hists, told)
        return {HISTOGRAMS: len(hists)}
    with Background(_open(part, kind, columns, told, codec)) as file:
        counts = {name: _add(file, name, lump) for name, lump in rows.items()}
        _finish(file, hists, lambda: told)
    return counts | ({HISTOGRAMS: len(hists)} if hists else {})


def _open(
    part: Path, kind: str, columns: Mapping[str, Sequence[Column]], told: dict[str, Any], codec: str
) -> Unfinished:
    if kind == "root":
        from muonstream.tables.root import RootFile

        return RootFile(part, columns)
    (only,) = columns.values()
    return ArrowFile(part, kind, only, told, codec=codec)


def _add(file: TableFile, table: str, rows: Arrays) -> int:
    file.write(table, rows)
    return len(next(iter(rows.values())))


def _finish(file: Background, hists: Mapping[str, Any], told: Callable[[], dict[str, Any]]) -> None:
    if hists:
        file.add(hists)
    file.close(told())


def _provenance(detector: Detector, sources: Sequence[str], account: Account | None) -> dict[str, Any]:
    """Where a file's content comes from; the command without its options, which may hold passwords."""
    told: dict[str, Any] = {
        "version": __version__,
        "command": "muonstream export",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "detector": detector.name,
        "detector_sha256": hashlib.sha256(detector_toml(detector).encode()).hexdigest(),
        "sources": [without_secrets(source) for source in sources],
    }
    if account is not None:
        told["account"] = {**account.as_dict(), "balanced": account.balanced}
    return told
