"""The file of an archived run: a zip of open standards, written whole or not at all.

Layout, all entries UTF-8 JSON unless their name says otherwise:

README.txt        what the entries are, for readers without muonstream
run.json          identity, state, provenance, account, quantities with unit and error
people.json       what people added: comments and flags, with name and time
summary.json      all counts, as `process --summary` writes them
histograms.json   every histogram, by name, in UHI's serialization (schema 1)
rates.npy         rates against data time, a structured array with units in the fields' names
verdicts.json     findings at the end, how long each alarm lasted, and each change of level
muons.json        the newest muons, for an event display
detector.toml     the detector file
snapshot.musn     the whole as the page reads it (our own format; nothing in it that is not in the other entries,
                  but for the last 30 s)
"""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from muonstream.errors import MuonstreamError

SUFFIX: Final = ".muonrun"
SCHEMA: Final = 1
LOCK: Final = ".lock"
MOST_ENTRY_BYTES: Final = 256 << 20
"""The largest entry after decompression; a larger one is refused before it is read."""
RUN, PEOPLE, SUMMARY, VERDICTS = "run.json", "people.json", "summary.json", "verdicts.json"
HISTOGRAMS, RATES, MUONS, DETECTOR = "histograms.json", "rates.npy", "muons.json", "detector.toml"
SNAPSHOT, README = "snapshot.musn", "README.txt"


class ArchiveError(MuonstreamError):
    """A run's file or an archive that cannot be read or written, in one line."""


class NewerError(ArchiveError):
    """A run's file that a newer muonstream has written."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the archive's lock, which every writer in any process must hold. Raises ArchiveError."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise ArchiveError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(path: Path, entries: Mapping[str, bytes]) -> None:
    """Replace a run's file by these entries, all of them or none. Raises ArchiveError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            with zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as made:
                for name, content in entries.items():
                    # the time of writing would make equal runs differ
                    made.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ArchiveError(f"{path}: cannot be written: {error.strerror or error}") from None


def read(path: Path, *names: str) -> dict[str, bytes]:
    """Entries of a run's file, each with its check sum verified; all of them if none is named.

    Raises ArchiveError for a file that is truncated, foreign or of a newer schema, or has no such entry.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            found = {one.filename: one for one in opened.infolist()}
            if RUN not in found:
                raise ArchiveError(f"{path}: found a zip without {RUN}, expected an archived run")
            wanted = names or tuple(found)
            if missing := [name for name in wanted if name not in found]:
                raise ArchiveError(f"{path}: found no {missing[0]} in it, expected an archived run with one")
            if large := [name for name in wanted if found[name].file_size > MOST_ENTRY_BYTES]:
                size = found[large[0]].file_size
                raise ArchiveError(f"{path}: {large[0]}: found {size:,} bytes, expected at most {MOST_ENTRY_BYTES:,}")
            return {name: opened.read(name) for name in wanted}
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ArchiveError(f"{path}: not a whole archived run: {error}") from None


def as_json(content: Any) -> bytes:
    """Plain types as an entry."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def of_json(path: Path, name: str, content: bytes) -> dict[str, Any]:
    """An entry's object. Raises ArchiveError."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ArchiveError(f"{path}: {name}: not JSON") from None
    if not isinstance(found, dict):
        raise ArchiveError(f"{path}: {name}: found {type(found).__name__}, expected an object")
    return found


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of run.json and people.json. Raises ArchiveError, also for a newer schema."""
    entries = read(path, RUN, PEOPLE)
    run = of_json(path, RUN, entries[RUN])
    schema = run.get("schema")
    if run.get("format") != "muonstream-run" or not isinstance(schema, int):
        raise ArchiveError(f"{path}: {RUN}: found no format muonstream-run with a schema, expected an archived run")
    if schema > SCHEMA:
        raise NewerError(f"{path}: found schema {schema}, expected at most {SCHEMA}: written by a newer muonstream")
    return run, of_json(path, PEOPLE, entries[PEOPLE])


def _sync(folder: Path) -> None:
    """Flush the folder, so that the new name is on disk too."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
