"""A file that is written beside its place and renamed: whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from muonstream.tables.columns import TableError


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place when all went well, and else is removed.

    force: take the place of a file that is there. Raises TableError, in one line, also where the disk is full.
    """
    if not force:
        _refuse_taken(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        if force:
            part.replace(path)
        else:
            # another program may have made it meanwhile: a link, unlike a rename, never takes a file's place
            os.link(part, path)
            part.unlink()
    except FileExistsError:
        _remove(part)
        _refuse_taken(path)
        raise
    except OSError as error:
        _remove(part)
        raise TableError(f"{path}: cannot be written: {_reason(error)}") from None
    except BaseException:
        _remove(part)
        raise


def _refuse_taken(path: Path) -> None:
    if path.exists():
        raise TableError(f"{path}: already exists; expected a new file, or --force")


def _remove(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
