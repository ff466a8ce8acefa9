"""Names and numbers of runs, and which files are parts of one run."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from urllib.parse import unquote, urlsplit

from muonstream.errors import without_secrets
from muonstream.sources.identity import MOST_DIGITS, Run
from muonstream.sources.schemes import RING, SIMULATION, SOCKET
from muonstream.words import BX_PER_ORBIT

_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zstd")
_FORMATS: Final = (".dat", ".data", ".bin", ".raw", ".dma", ".words", ".hits", ".txt", ".csv", ".tsv")
_OTHERS: Final = (".json", ".jsonl", ".ndjson", ".part", ".tmp")
SUFFIXES: Final = frozenset((*_PACKED, *_FORMATS, *_OTHERS))
"""Suffixes that are removed from a file's name, repeatedly."""

_RUN_NUMBER: Final = re.compile(r"(?<![a-z])run[ _.\-]*(\d+)", re.IGNORECASE)
_ONLY_RUN: Final = re.compile(r"run[ _.\-]*\d+", re.IGNORECASE)
_GENERIC: Final = re.compile(
    r"(data|part|file|chunk|block|seg(ment)?|raw|hits?|words?|events?|stream|output|dump|transfers?)?[ _.\-]*\d+",
    re.IGNORECASE,
)
_PLAIN_FOLDER: Final = re.compile(r"(data|raw|files?|parts?|words|daq|\d*)", re.IGNORECASE)
_CLIMB: Final = 3
"""Number of folders, upwards, that are searched for a run's number."""

_SPLIT: Final = re.compile(r"(.+\.|x)([a-z]{2})")
"""Names as `split` gives them: xaa, xab, or run.dat.aa, run.dat.ab."""
_PART_LETTER: Final = re.compile(r"(?<=part)[ _.\-]*([a-z])$", re.IGNORECASE)
_LAST_NUMBER: Final = re.compile(r"(\d+)\D*$")
_BEHIND_RUN: Final = re.compile(r"(?<![a-z])run[ _.\-]*$", re.IGNORECASE)

_ORBITS_PER_S: Final = round(40e6 / BX_PER_ORBIT)
GOES_ON_ORBITS: Final = 10 * _ORBITS_PER_S
"""A counter goes on where the next file begins at most this far above the newest orbit of the one before: 10 s ..."""
STEPS_BACK_ORBITS: Final = _ORBITS_PER_S // 10
"""... or this little below it, since boards' packets interleave: 0.1 s."""


@dataclass(frozen=True, slots=True)
class Orbits:
    """The first and last orbits of some words: medians of their first and of their last hits."""

    first: int
    newest: int


@dataclass(frozen=True, slots=True)
class InputRun:
    """A run to be read: its name and number, and its files in the order in which they were given.

    run_word: of its DMA transfers, where all agree; None where there is none
    """

    run: Run
    files: tuple[str, ...]
    run_word: int | None = None


def run_name(source: str) -> str:
    """The name of a run that is read from this source: a file, a folder, a URL, `-`, `sim:...`, ...; never empty.

    A folder gives its own name, a file its name without the suffixes of formats and compressions. A name that only
    counts parts, such as data_000000, part-3 or 000001, gives the name of the file's folder instead.
    """
    if source == "-" or source.startswith(("/dev/fd/", "/dev/stdin", "/proc/self/fd/")):
        return "stdin"
    if source.startswith(SIMULATION):
        return "sim"
    if source.startswith(SOCKET):
        return "socket"
    source = source.removeprefix(RING)
    if "://" in source:
        return _name_of_url(source)
    if os.path.isdir(source):
        return os.path.basename(os.path.realpath(source)) or "run"
    folder, name = _place(source)
    return _name_of_file(folder.split(os.sep), name)


def _name_of_url(source: str) -> str:
    address = without_secrets(source)
    parts = urlsplit(address)
    # only the web has queries: elsewhere ? and # are parts of names
    path = parts.path if parts.scheme in ("http", "https") else address.partition("://")[2].partition("/")[2]
    place = [unquote(one) for one in posixpath.normpath(f"/{path}").split("/") if one]
    if not place:
        return parts.netloc or parts.scheme or "run"
    return _name_of_file([parts.netloc, *place[:-1]], place[-1])


def _name_of_file(folders: Sequence[str], file: str) -> str:
    stem = stem_of(file)
    if not stem or _GENERIC.fullmatch(stem):
        return _name_of_folder(folders) or stem or file
    if _ONLY_RUN.fullmatch(stem):  # the run's own number, unless its folder has one: then it counts the run's parts
        return _name_of_folder(folders, numbered=True) or stem
    return stem


def _name_of_folder(folders: Sequence[str], *, numbered: bool = False) -> str:
    """The nearest folder with a run's number, if only plain ones such as `data` are in between; else the nearest
    folder."""
    for folder in list(reversed(folders))[:_CLIMB]:
        if _RUN_NUMBER.search(folder):
            return folder
        if not _PLAIN_FOLDER.fullmatch(folder):
            break
    return "" if numbered else next((folder for folder in reversed(folders) if folder), "")


def stem_of(file: str) -> str:
    """A file's name without the suffixes of formats and compressions, or without its last one if it has none of them.

    A number is not a suffix: run.591 is called so.
    """
    stem = file
    while (split := os.path.splitext(stem))[1].lower() in SUFFIXES:
        stem = split[0]
    if stem == file and not split[1][1:].isdigit():
        stem = split[0]
    return stem.lstrip(".")


def run_number(name: str, run_words: Iterable[int | None] = ()) -> int:
    """A run's number: the run word of DMA transfers where all agree, else the digits of RunNNNNNN or run_NNN in its
    name, else 0."""
    known = {word for word in run_words if word is not None}
    if len(known) == 1 and 0 < (word := known.pop()) < 10**MOST_DIGITS:
        return word
    found = _RUN_NUMBER.search(name)
    return int(found[1]) if found and len(found[1]) <= MOST_DIGITS else 0


def identify(
    files: Sequence[str], name: str = "", number: int | None = None, run_words: Iterable[int | None] = ()
) -> Run:
    """The name and number of one run: what options give, else by the rule. The first of several files names it."""
    name = name or run_name(files[0])
    return Run(run_number(name, run_words) if number is None else number, name)


def runs_of(
    files: Sequence[str],
    *,
    merge: bool = False,
    name: str = "",
    number: int | None = None,
    run_word: Callable[[str], int | None] = lambda file: None,
    identity: Callable[[str], object] = lambda file: file,
) -> list[InputRun]:
    """Which files are parts of one run, by names and run words; runs in the order of their first files.

    Files are parts of one run if they have the same run word, or if they are in the same folder and their names differ
    only in their last number; not if their run words differ. run_1 and run_2 are names of runs: whether they are
    parts is told by their counters alone (`goes_on`).
    merge: all files are parts of one run
    run_word: gives the run word of a file's DMA transfers, None where it has none
    identity: gives what is equal for names of one file, which is a part of one run however often it is given
    """
    words = {file: run_word(file) for file in files}
    identities: dict[object, list[str]] = {}
    groups: list[list[str]] = [list(files)] if merge else []
    for file in () if merge else files:
        group = identities.get(identity(file)) or next((one for one in groups if _belongs(file, one, words)), None)
        if group is None:
            groups.append(group := [])
        group.append(file)
        identities[identity(file)] = group
    runs = []
    for group in groups:
        known = {words[file] for file in group} - {None}
        word = known.pop() if len(known) == 1 else None
        runs.append(InputRun(identify(group, name, number, [word]), tuple(group), word))
    return runs


def _belongs(file: str, group: list[str], words: dict[str, int | None]) -> bool:
    known = {words[other] for other in group} - {None}
    if words[file] is not None and known:
        return words[file] in known and not _different_numbers(file, group[0])
    key = part_key(file)
    return key is not None and key == part_key(group[0])


def _different_numbers(one: str, other: str) -> bool:
    """Whether names give both of two files a number, and not the same one."""
    numbers = {run_number(run_name(file)) for file in (one, other)}
    return len(numbers) == 2 and 0 not in numbers


def part_key(file: str) -> tuple[str, str] | None:
    """A key equal for parts of one run: the folder, and the name without the number that counts parts.

    None for a name that counts nothing, or that counts runs.
    """
    if file == "-" or file.startswith(SIMULATION):
        return None
    folder, name = _place(file)
    while (split := os.path.splitext(name))[1].lower() in _PACKED:
        name = split[0]
    if (found := _SPLIT.fullmatch(name)) and f".{found[2]}" not in SUFFIXES:
        return folder, f"{found[1]}*"
    stem = stem_of(name)
    counter = _PART_LETTER.search(stem) or _LAST_NUMBER.search(stem)
    if counter is None or _BEHIND_RUN.search(stem[: counter.start(1)]):
        return None
    return folder, f"{stem[: counter.start(1)]}*{stem[counter.end(1) :]}{name.partition(stem)[2]}"


def _place(file: str) -> tuple[str, str]:
    """Folder and name of a file or URL."""
    if "://" in file:
        folder, _, name = file.rpartition("/")
        return folder, name
    path = os.path.abspath(file)
    return os.path.realpath(os.path.dirname(path)), os.path.basename(path)


def may_join(before: InputRun, after: InputRun) -> bool:
    """Whether counters may show that files are parts of the run before.

    Not if run words or run numbers differ, nor if both files only count parts, in different folders.
    """
    if before.run_word is not None and after.run_word is not None and before.run_word != after.run_word:
        return False
    one, other = before.files[-1], after.files[0]
    (folder, name), (other_folder, other_name) = _place(one), _place(other)
    if folder == other_folder:
        return True
    generic = _GENERIC.fullmatch(stem_of(name)) and _GENERIC.fullmatch(stem_of(other_name))
    return not generic and not _different_numbers(one, other)


def goes_on(before: Orbits | None, after: Orbits | None) -> bool:
    """Whether the orbit counter of some words goes on in the words that follow."""
    if before is None or after is None:
        return False
    # otherwise words of less time than the tolerance would be continued by a copy of themselves
    back = min(STEPS_BACK_ORBITS, max(before.newest - before.first, 0) // 2)
    return before.newest - back <= after.first <= before.newest + GOES_ON_ORBITS


def joined(before: InputRun, after: InputRun, name: str = "", number: int | None = None) -> InputRun:
    """Two runs as the one that their counters show: names such as run_1 and run_2 count its parts then."""
    first = before.files[0]
    if not name and "://" not in first and _ONLY_RUN.fullmatch(stem_of(_place(first)[1])):
        name = run_name(os.path.dirname(os.path.abspath(first)))
    word = before.run_word if after.run_word is None else after.run_word
    return InputRun(identify([first], name, number, [word]), before.files + after.files, word)


def out_of_order(files: Sequence[str]) -> tuple[str, str] | None:
    """The first two neighbours among parts of a run that are not in the order of their numbers, or None."""
    for one, other in pairwise(files):
        if part_key(one) is not None and part_key(one) == part_key(other):
            numbers = [_LAST_NUMBER.search(stem_of(_place(file)[1])) for file in (one, other)]
            if numbers[0] and numbers[1] and int(numbers[0][1]) > int(numbers[1][1]):
                return one, other
    return None
