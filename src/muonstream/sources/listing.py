"""What a followed source consists of: one file, or a folder's files in natural order, with a rule for folders below.

The rule: of a folder, its own files are followed, and those of the newest folder in it whose name is Run and a number
(`Run000591`, `run_591`). Older folders of runs, other folders, hidden files and files that are being written under a
temporary name (`.tmp`, `.part`, ...) are passed over.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RUN_FOLDER: Final = re.compile(r"run[_-]?(\d+)", re.IGNORECASE)
TEMPORARY: Final = frozenset(
    {".tmp", ".temp", ".part", ".partial", ".crdownload", ".swp", ".swx", ".filepart", ".inprogress", ".writing"}
)

HIDDEN: Final = "is hidden"
UNFINISHED: Final = "has the suffix of unfinished files"
TO_NOTHING: Final = "is a link to a file that does not exist"
"""Why names are passed over."""

NaturalKey = tuple[tuple[int, int, str], ...]


def natural_key(name: str) -> NaturalKey:
    """The key for sorting names in natural order: run_2 before run_10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), part) if part.isdigit() and part.isascii() else (1, 0, part) for part in parts if part)


@dataclass(slots=True)
class Listing:
    """Files (path, status) in natural order, what is passed over (path, why), and what cannot be looked at for the
    moment (path, error)."""

    files: list[tuple[Path, os.stat_result]] = field(default_factory=list)
    passed_over: list[tuple[Path, str]] = field(default_factory=list)
    unseen: list[tuple[Path, OSError]] = field(default_factory=list)
    only_folders: bool = False


def list_source(path: Path) -> Listing:
    """The present files of a source. Raises OSError where the source itself cannot be looked at."""
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        return Listing([(path, status)])
    found = Listing()
    folders: list[Path] = []
    _list_folder(path, found, folders)
    runs = [(int(match[1]), folder) for folder in folders if (match := RUN_FOLDER.fullmatch(folder.name))]
    newest = max(runs, default=(0, None), key=lambda run: (run[0], str(run[1])))[1]
    for folder in folders:
        if folder == newest:
            below: list[Path] = []
            _list_folder(folder, found, below)
            found.passed_over += [(one, "is a folder in a run's folder") for one in below]
        elif RUN_FOLDER.fullmatch(folder.name):
            found.passed_over.append((folder, f"is the folder of an older run than {newest.name if newest else ''}"))
        else:
            found.passed_over.append((folder, "is a folder whose name is not Run and a number"))
    found.only_folders = bool(folders) and newest is None and not found.files
    found.files.sort(key=lambda file: natural_key(str(file[0])))
    return found


def _list_folder(folder: Path, found: Listing, folders: list[Path]) -> None:
    for entry in sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name)):
        path = folder / entry.name
        why = _not_looked_at(entry)
        if why:
            found.passed_over.append((path, why))
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:  # it went away just now, or a link leads nowhere
            if entry.is_symlink():
                found.passed_over.append((path, TO_NOTHING))
            continue
        except OSError as error:
            found.unseen.append((path, error))
            continue
        if stat.S_ISDIR(status.st_mode):
            folders.append(path)
        elif stat.S_ISREG(status.st_mode):
            found.files.append((path, status))
        else:
            found.passed_over.append((path, "is not a regular file"))


def still_aside(aside: Mapping[str, str], read: Container[Path]) -> Iterator[tuple[str, str]]:
    """The names that are passed over at the end of a run, and why.

    aside: names that were passed over at some time; read: folders of which files were read
    A temporary name that is gone was another name of a file: it has been renamed, or was never meant to stay. A link to
    nothing may lead to a file by now, and the folder of a run has been followed by a newer one.
    """
    for name, why in aside.items():
        path = Path(name)
        renamed = why.startswith((HIDDEN, UNFINISHED)) and path.parent.is_dir() and not os.path.lexists(path)
        if path not in read and not renamed and (why != TO_NOTHING or (path.is_symlink() and not path.exists())):
            yield name, why


def _not_looked_at(entry: os.DirEntry[str]) -> str:
    """Why an entry is ignored, or ""."""
    if entry.name.startswith("."):
        return HIDDEN
    suffix = os.path.splitext(entry.name)[1].lower()
    return f"{UNFINISHED}, {suffix}" if suffix in TEMPORARY else ""
