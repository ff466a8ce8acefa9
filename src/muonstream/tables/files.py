"""Tables as files: Parquet, Arrow and CSV, each with its provenance. Needs the extra `tables`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from muonstream.tables import arrow
from muonstream.tables.columns import Arrays, Column, TableError

FORMATS: Final = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".csv": "csv", ".root": "root"}
"""Which format the ending of a file's name stands for."""
CODECS: Final = ("zstd", "snappy", "lz4", "gzip", "none")
READ: Final = "muonstream_read"
"""The key of the provenance as it is known once all is read."""
Provenance = Mapping[str, Any]
"""Where a table comes from, as plain JSON types."""


class TableFile(Protocol):
    """A file that takes rows of one table or several."""

    def write(self, table: str, rows: Arrays) -> None: ...

    def add(self, hists: Mapping[str, Any]) -> None: ...

    def close(self, provenance: Provenance) -> None: ...


class Unfinished(TableFile, Protocol):
    """One that can also be given up."""

    def abandon(self) -> None: ...


class ArrowFile:
    """One table as Parquet, Arrow (its IPC file format) or CSV.

    Parquet and Arrow have the provenance in the schema's metadata, as JSON under `muonstream`; CSV in lines before the
    header that begin with #. Parquet has it a second time at its end, with the account, as `READ`. Batches become row
    groups.
    """

    def __init__(
        self, path: Path, format: str, columns: Sequence[Column], provenance: Provenance, *, codec: str = "zstd"
    ) -> None:
        """provenance: as far as it is known before any row. Raises TableError without the library, or OSError."""
        pyarrow = arrow.pyarrow()
        self._columns = columns
        text = json.dumps(provenance, ensure_ascii=False)
        self._csv = format == "csv"
        self._parquet = format == "parquet"
        self._schema = arrow.schema(columns, {"muonstream": text})
        compression = None if codec == "none" else codec
        self._handle = path.open("wb")
        try:
            if self._parquet:
                self._writer = import_module("pyarrow.parquet").ParquetWriter(
                    self._handle, self._schema, compression=codec.upper() if compression else "NONE"
                )
            elif self._csv:
                text_format = import_module("pyarrow.csv")
                units = {one.name: one.unit for one in columns if one.unit}
                for line in (f"muonstream: {text}", f"units: {json.dumps(units, ensure_ascii=False)}"):
                    self._handle.write(f"# {line}\n".encode())
                self._writer = text_format.CSVWriter(self._handle, self._schema)
            else:
                known = compression if compression in ("zstd", "lz4") else None
                options = pyarrow.ipc.IpcWriteOptions(compression=known)
                self._writer = pyarrow.ipc.new_file(self._handle, self._schema, options=options)
        except BaseException:
            self._handle.close()
            raise

    def write(self, table: str, rows: Arrays) -> None:
        """Add rows. Raises OSError."""
        self._writer.write_batch(arrow.record_batch(rows, self._columns, self._schema))

    def add(self, hists: Mapping[str, Any]) -> None:
        """Raise TableError: these formats have no histograms."""
        raise TableError(f"found {len(hists)} histograms, expected a file of ROOT, JSON or CSV for them")

    def close(self, provenance: Provenance) -> None:
        """End the file; provenance: what is known by now, for formats that have room for it at their end."""
        if self._parquet:
            self._writer.add_key_value_metadata({READ: json.dumps(provenance, ensure_ascii=False)})
        self._writer.close()
        self._handle.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        with suppress(Exception):  # what is wrong with it was raised already
            self._writer.close()
        if self._parquet:
            self._writer.is_open = False
        with suppress(OSError):
            self._handle.close()


class Background:
    """Writes to a file in a thread of its own, one batch while the next is made; errors come with the next call."""

    def __init__(self, file: Unfinished) -> None:
        self._file = file
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="table")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is not None:
            self._file.abandon()

    def write(self, table: str, rows: Arrays) -> None:
        """Add rows, once those before are written. Raises what writing those raises."""
        self._settle()
        self._under_way = self._pool.submit(self._file.write, table, rows)

    def add(self, hists: Mapping[str, Any]) -> None:
        """Add histograms. Raises what writing raises."""
        self._settle()
        self._file.add(hists)

    def close(self, provenance: Provenance) -> None:
        """End the file. Raises what writing raises."""
        self._settle()
        self._file.close(provenance)

    def _settle(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None
