"""The store: a SQLite file with each run's state and how far its source was read, written in one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from muonstream.errors import MuonstreamError
from muonstream.run.checkpoint import CheckpointError, StateDict, pack, unpack

APPLICATION: Final = 0x6D756F6E
"""What SQLite's application_id says in a store: "muon"."""
VERSION: Final = 2
TABLES: Final = """
CREATE TABLE run (
  source TEXT NOT NULL,
  run TEXT NOT NULL,
  ended INTEGER NOT NULL,
  written REAL NOT NULL,
  state BLOB NOT NULL,
  reader TEXT NOT NULL,
  row_check INTEGER NOT NULL,
  PRIMARY KEY (source, run)
);
CREATE TABLE position (
  source TEXT NOT NULL,
  run TEXT NOT NULL,
  part INTEGER NOT NULL,
  next INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  window INTEGER NOT NULL,
  piece INTEGER NOT NULL,
  PRIMARY KEY (source, run, part)
) WITHOUT ROWID;
"""


STATE_HEAD: Final = 26
"""So many bytes of a state have its own check sum, and so stand for all of it."""


def _check(row: tuple[object, ...], positions: list[tuple[object, ...]]) -> int:
    """The check sum of a run's columns: source, run, ended, written, the state's head and reader; and of its positions.

    Of whatever types damage may have made of them.
    """
    return zlib.crc32(repr((row, positions)).encode("utf-8", "surrogatepass"))


class StoreError(MuonstreamError):
    """A store that cannot be used: one line with its file and the reason."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one part of a source (a partition, a file) was read.

    next: the first message or byte not yet taken; epoch, window, piece: of the last frame taken, -1 before the first
    """

    next: int
    epoch: int = -1
    window: int = -1
    piece: int = -1


@dataclass(frozen=True, slots=True)
class Saved:
    """A run as it was stored: its state, its positions by part, and what its reader keeps of its own (JSON types)."""

    source: str
    run: str
    ended: bool
    state: StateDict
    positions: Mapping[int, Position]
    reader: Mapping[str, Any] = field(default_factory=dict)
    written: float = 0.0


class Store:
    """A store that is open for one engine at a time; a context manager.

    What `save` has returned from survives the end of the process however it comes (a write-ahead log, synchronised at
    each transaction, so that a loss of power costs nothing either).
    """

    def __init__(self, path: Path) -> None:
        """Open a store, or make one. Raises StoreError when that cannot be, or when another engine has it."""
        self.path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=1.0, check_same_thread=False)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened: {error}") from None
        try:
            with self._clear():
                self._prepare()
        except StoreError:
            self.close()
            raise

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """Turn what SQLite says into a StoreError."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            reason = str(error)
            if "locked" in reason:
                reason = "is in use by another engine; end that one, or name another store"
            elif "not a database" in reason or "malformed" in reason:
                reason = f"is not a store, or is damaged ({reason}); name another, or remove it and start again"
            else:
                reason = f"cannot be used: {reason}"
            raise StoreError(f"{self.path}: {reason}") from None

    def _prepare(self) -> None:
        database = self._database
        # held until it is closed or its process dies: two engines must never write the same run
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and tables:
            raise StoreError(f"{self.path}: is a database, but not a muonstream store")
        if application == APPLICATION and version != VERSION:
            raise StoreError(f"{self.path}: found a store of version {version}, expected {VERSION}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
        if application != APPLICATION:
            database.executescript(
                f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others have it."""
        self._database.close()

    def save(self, saved: Saved) -> None:
        """Write a run's state and positions, all or nothing. Raises StoreError."""
        state = pack(saved.state)
        with self._clear():
            database = self._database
            database.execute("BEGIN IMMEDIATE")
            try:
                ended, written, reader = int(saved.ended), time.time(), json.dumps(dict(saved.reader))
                positions = [
                    (part, at.next, at.epoch, at.window, at.piece) for part, at in sorted(saved.positions.items())
                ]
                check = _check((saved.source, saved.run, ended, written, state[:STATE_HEAD], reader), [*positions])
                database.execute(
                    "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, run) DO UPDATE SET "
                    "ended = excluded.ended, written = excluded.written, state = excluded.state, "
                    "reader = excluded.reader, row_check = excluded.row_check",
                    (saved.source, saved.run, ended, written, state, reader, check),
                )
                database.execute("DELETE FROM position WHERE source = ? AND run = ?", (saved.source, saved.run))
                database.executemany(
                    "INSERT INTO position VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(saved.source, saved.run, *one) for one in positions],
                )
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # SQLite may have rolled back by itself, as for a full disk
                    database.execute("ROLLBACK")
                raise

    def load(self, source: str, run: str | None = None) -> Saved | None:
        """A run of a source, the one last written if it is not named; None where there is none.

        Raises StoreError, also when another run in the store is damaged: which was last written is then not known.
        """
        with self._clear():
            self._verify()
            which = ("AND run = ?", (source, run)) if run is not None else ("", (source,))
            row = self._database.execute(
                f"SELECT run, ended, written, state, reader FROM run WHERE source = ? {which[0]} "
                "ORDER BY written DESC, rowid DESC LIMIT 1",
                which[1],
            ).fetchone()
            if row is None:
                return None
            positions = self._database.execute(
                "SELECT part, next, epoch, window, piece FROM position WHERE source = ? AND run = ? ORDER BY part",
                (source, row[0]),
            ).fetchall()
        try:
            state = unpack(row[3])
        except CheckpointError as error:
            raise StoreError(f"{self.path}: run {row[0]!r}: {error}") from None
        return Saved(
            source=source,
            run=row[0],
            ended=bool(row[1]),
            state=state,
            positions={part: Position(*at) for part, *at in positions},
            reader=json.loads(row[4]),
            written=row[2],
        )

    def _verify(self) -> None:
        """Check the file and all that it says of its runs. Raises StoreError, or what SQLite raises."""
        damage = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StoreError(f"{self.path}: is damaged ({damage.splitlines()[0]}); remove it and start again")
        rows = self._database.execute(
            f"SELECT source, run, ended, written, substr(state, 1, {STATE_HEAD}), reader, row_check FROM run"
        ).fetchall()
        positions: dict[tuple[object, object], list[tuple[object, ...]]] = {}
        for source, run, *at in self._database.execute(
            "SELECT source, run, part, next, epoch, window, piece FROM position ORDER BY part"
        ):
            positions.setdefault((source, run), []).append(tuple(at))
        for *row, check in rows:
            if _check(tuple(row), positions.pop((row[0], row[1]), [])) != check:
                raise StoreError(f"{self.path}: run {row[1]!r}: found a damaged row: its check sum is wrong")
        if positions:
            raise StoreError(f"{self.path}: is damaged: found positions of a run that is not in it")

    def runs(self) -> list[tuple[str, str, bool]]:
        """All runs as (source, run, whether it ended), in order of last writing. Raises StoreError."""
        with self._clear():
            rows = self._database.execute("SELECT source, run, ended FROM run ORDER BY written, rowid").fetchall()
        return [(source, run, bool(ended)) for source, run, ended in rows]
