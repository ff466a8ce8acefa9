"""Tables of hits, segments, tracks and muons from files: record batches that stream in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

from muonstream.detector.model import Detector
from muonstream.formats.block import SourceError
from muonstream.offline.counting import CountOptions
from muonstream.offline.frames import FrameReader
from muonstream.offline.names import FileNames, detector_of, format_named, names_of
from muonstream.run.account import Account
from muonstream.run.inputs import InputTotals
from muonstream.run.losses import misread_input
from muonstream.tables import arrow
from muonstream.tables.batches import BATCH_ROWS, batches
from muonstream.tables.columns import Arrays, Column, columns_of
from muonstream.tables.hits import KINDS, HitRows, WordKinds
from muonstream.tables.muons import MuonRows


class Taking(TypedDict, total=False):
    """Further options of `hits` and its like, which are those of `analyse`; batch_rows: how many a batch has."""

    format: str | None
    together: bool
    merge: bool
    run: str
    run_number: int | None
    idle_seconds: float
    batch_rows: int


class TableStream:
    """Rows of some tables of one run's files, lump by lump, as arrays; needs no further library."""

    def __init__(
        self,
        files: list[str],
        detector: Detector,
        options: CountOptions,
        tables: Sequence[str],
        *,
        counts: bool = False,
    ) -> None:
        """Raise SourceError for files that are not there, TableError for a table that is none.

        counts: see `FrameReader`
        """
        self.detector = detector
        self.columns: dict[str, tuple[Column, ...]] = {table: columns_of(table, detector) for table in tables}
        self.frames = FrameReader(files, detector, options, counts=counts)
        self._hits = HitRows(detector) if "hits" in tables else None
        self._kinds = WordKinds(detector) if self._hits is None else self._hits.kinds
        self._muons = MuonRows(detector) if set(tables) - {"hits"} else None

    @property
    def account(self) -> Account:
        """What became of the words so far; it balances once all rows are taken."""
        return self.frames.account(dict(zip(KINDS, self._kinds.counts.tolist(), strict=True)))

    def __iter__(self) -> Iterator[dict[str, Arrays]]:
        """The rows of some windows, by table. Raises what reading the files raises, at last also SourceError.

        That is for a file that was read as what it is not.
        """
        for frames in self.frames:
            rows: dict[str, Arrays] = {}
            if self._hits is not None:
                rows["hits"] = self._hits(frames)
            else:
                self._kinds.count(frames.words)
            if self._muons is not None:
                rows |= self._muons(frames)
            yield {table: rows[table] for table in self.columns}
        if line := misread_input(self.frames.inputs.values()):
            raise SourceError(line)


class Table:
    """A table of one run's files, as record batches of Arrow: `hits`, `segments`, `tracks` and `muons` give one.

    It is iterated once. polars, pandas, DuckDB and pyarrow take it as it is, by Arrow's C stream, or as `reader()`.
    Its rows depend on the words alone, not on how they were cut into files or read.
    """

    def __init__(self, name: str, stream: TableStream, batch_rows: int) -> None:
        """Programs get theirs from `hits` and its like."""
        self.name = name
        """hits, segments, tracks or muons."""
        self._stream = stream
        self._columns = stream.columns[name]
        self.schema = arrow.schema(self._columns, {"table": name, "detector": stream.detector.name})
        """The `pyarrow.Schema`: each field's metadata has its unit and what it is."""
        parts = (rows[name] for rows in stream)
        self._batches = (
            arrow.record_batch(rows, self._columns, self.schema) for rows in batches(parts, self._columns, batch_rows)
        )

    def __iter__(self) -> Iterator[Any]:
        return self._batches

    def __next__(self) -> Any:
        """The next `pyarrow.RecordBatch`."""
        return next(self._batches)

    def reader(self) -> Any:
        """The batches as a `pyarrow.RecordBatchReader`."""
        return arrow.pyarrow().RecordBatchReader.from_batches(self.schema, self._batches)

    def read_all(self) -> Any:
        """All rows as a `pyarrow.Table`, in memory."""
        return arrow.pyarrow().Table.from_batches(list(self._batches), schema=self.schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """What other libraries take it by."""
        return self.reader().__arrow_c_stream__(requested_schema)

    @property
    def account(self) -> Account:
        """What became of the words so far; it balances once the table is read."""
        return self._stream.account

    @property
    def inputs(self) -> InputTotals:
        """What became of the files' bytes so far."""
        return InputTotals.of(tuple(self._stream.frames.inputs.values()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the files, a line each."""
        return tuple(self._stream.frames.notes)


def _table(name: str, files: FileNames, detector: Detector | str | os.PathLike[str] | None, options: Taking) -> Table:
    for option in options:
        if option not in Taking.__annotations__:
            raise TypeError(f"{name}: found the option {option!r}, expected {', '.join(Taking.__annotations__)}")
    others: dict[str, Any] = {key: value for key, value in options.items() if key not in ("format", "batch_rows")}
    chosen = CountOptions(format_name=format_named(options.get("format")), **others)
    batch_rows = options.get("batch_rows", BATCH_ROWS)
    if batch_rows < 1:
        raise ValueError(f"batch_rows: found {batch_rows}, expected at least 1")
    arrow.pyarrow()
    return Table(name, TableStream(names_of(files), detector_of(detector), chosen, (name,)), batch_rows)


def hits(
    files: FileNames,
    *,
    detector: Detector | str | os.PathLike[str] | None = None,
    **options: Unpack[Taking],
) -> Table:
    """The hits of files in the detector's cells, a row each, by time.

    files: a name or several, the parts of one run in the order they were taken; a name may be a URL that fsspec knows
    detector: a detector, its file, or the name of a bundled one; None is the default telescope
    options: see `Taking`

    Memory does not grow with the files. Needs the extra `tables`. Raises MuonstreamError for what cannot be read: here
    if a file is not there, else when it is reached, also where the files are of several runs.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> table = muonstream.hits("cosmics.dat")
    >>> table.schema.field("drift_ns").metadata[b"unit"]
    b'ns'
    >>> sum(batch.num_rows for batch in table)
    48733
    >>> table.account.hits, table.account.balanced
    (48733, True)
    """
    return _table("hits", files, detector, options)


def segments(
    files: FileNames,
    *,
    detector: Detector | str | os.PathLike[str] | None = None,
    **options: Unpack[Taking],
) -> Table:
    """The segments of files, a row each, with their hits by layer; everything else as `hits`."""
    return _table("segments", files, detector, options)


def tracks(
    files: FileNames,
    *,
    detector: Detector | str | os.PathLike[str] | None = None,
    **options: Unpack[Taking],
) -> Table:
    """The tracks of files in each view, a row each; everything else as `hits`."""
    return _table("tracks", files, detector, options)


def muons(
    files: FileNames,
    *,
    detector: Detector | str | os.PathLike[str] | None = None,
    **options: Unpack[Taking],
) -> Table:
    """The muons of files that have a track in both views, a row each; everything else as `hits`.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> found = muonstream.muons("cosmics.dat").read_all()
    >>> found.num_rows > 100, found.column_names[:4]
    (True, ['muon', 'epoch', 'orbit', 't0_ns'])
    """
    return _table("muons", files, detector, options)
