"""Tables that would be read wrongly: thousands separators, and headers whose names do not fit the columns."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.evidence import Expected
from muonstream.formats.hit_rows import hits_shown
from muonstream.formats.layout import Layout, cells_of
from muonstream.formats.rows import COLUMNS, HIGHEST

LINES: Final = 256
"""Lines looked at, of a table's beginning."""
FEWEST: Final = 3
FEWEST_EXCHANGED: Final = 16
ENOUGH_ROWS: Final = 100
"""From so many rows of hits on, most of them must be in the range of hits."""
_GROUPS: Final = re.compile(rb"(?<![\d.'_])\d{1,3}(?:([.'_ ])\d{3}(?:\1\d{3})+)(?![\d.])")
_COMMAS: Final = re.compile(rb"(?<![\d.,])\d{1,3}(?:,\d{3}){2,}(?![\d.,])")
_QUOTED: Final = re.compile(rb"\"\d{1,3}(?:[.,' ]\d{3})+\"")
_GROUPED_CELL: Final = re.compile(r"[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")
_OTHER_DELIMITERS: Final = (b";", b"\t", b"|", b'"')
_LINE_END: Final = re.compile(rb"[\r\n\0]+")


def _rows(head: bytes) -> list[bytes]:
    lines = _LINE_END.split(head, maxsplit=LINES)[:LINES]
    return [line for line in lines if line[:1].isdigit() or line[:1] in (b'"', b"'", b" ", b"[", b"(")]


def grouped_rows(head: bytes) -> str:
    """A number with thousands separators from rows that no layout reads, where most rows have such; else "".

    head: a text's beginning, whole lines, one byte a character
    """
    rows = _rows(head)
    found = [shown for row in rows if (shown := _grouped_in(row))]
    return found[0] if len(found) >= FEWEST and 2 * len(found) > len(rows) else ""


def _grouped_in(row: bytes) -> str:
    quoted = _QUOTED.search(row)
    if quoted is not None:
        return quoted[0].decode("ascii").strip('"')
    others = any(mark in row for mark in _OTHER_DELIMITERS)
    groups = _GROUPS.search(row) or (_COMMAS.search(row) if others else None)
    if groups is not None and (b" " not in groups[0] or others or b"," in row):
        return groups[0].decode("ascii")
    # commas between cells and within numbers: too many cells, some of which begin with zeros
    cells = row.strip().split(b",")
    threes = sum(len(cell) == 3 for cell in cells)
    if len(cells) > len(COLUMNS) and all(cell.isdigit() for cell in cells) and threes >= len(cells) - len(COLUMNS):
        at = next((i for i, cell in enumerate(cells[1:], 1) if len(cell) == 3 and cell[:1] == b"0"), 0)
        return b",".join(cells[at - 1 : at + 1]).decode("ascii") if at else ""
    return ""


def grouped_cells(head: bytes, layout: Layout) -> str:
    """A number with thousands separators that would pass for a fraction, or for another number, from a table; else "".

    1.797 and 2.000 are such where no cell has the mark in another way: 2.0, 1797.000 and 12.5 are numbers. Only rows
    of HEAD 1 and 2 are looked at, for others may hold any numbers.
    """
    mark, telling, example = layout.decimal, 0, ""
    head_at = layout.columns.index(0)
    for row in _rows(head):
        if mark.encode() not in row:
            continue
        line = row.decode("utf-8", "replace").strip()
        cells = cells_of(line, layout.delimiter)
        if len(cells) != len(layout.columns) or cells[head_at].partition(mark)[0] not in ("1", "2"):
            continue
        for cell in cells:
            if mark not in cell:
                continue
            if not _GROUPED_CELL.fullmatch(cell):
                return ""
            if cell.count(mark) > 1 or cell.partition(mark)[2] != "000":
                telling += 1
                example = example or cell
    return example if telling >= FEWEST else ""


def as_grouped(example: str) -> str:
    """The message about a number with thousands separators: what was found, and what to do."""
    return (
        f"found numbers with thousands separators, such as {example!r}; expected plain digits, such as "
        f"{re.sub('[^0-9]', '', example)}: write the table again without separators"
    )


def _in_range(fields: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows (int64[n, 6]) are in the range of hits, channels counted from 0 or 1."""
    highest = np.array([2, HIGHEST[1], HIGHEST[2] + 1, *HIGHEST[3:]])
    fits: NDArray[np.bool_] = ((fields >= 0) & (fields <= highest)).all(axis=1) & (fields[:, 0] > 0)
    return fits


def exchanged(fields: NDArray[np.int64], expected: Expected) -> str:
    """Two columns that a header seems to have exchanged, such as "BX_COUNTER and TDC_MEAS"; else "".

    fields: int64[n, 6], rows of whole numbers by field
    """
    if len(fields) < FEWEST_EXCHANGED:
        return ""
    best, most = "", max(0.9, 2 * float(_in_range(fields).mean()))
    for a, b in combinations(range(len(COLUMNS)), 2):
        other = fields.copy()
        other[:, [a, b]] = other[:, [b, a]]
        if a == 0:
            # HEAD itself: boards stand where it should be, and the detector knows channels of these alone
            at_once = (fields[:, 1] == fields[0, 1]).all() and len(np.unique(fields[:, 0])) > 1
            if b > 1 or not at_once or 2 * _known(other, expected) <= 1 or 4 * _known(fields, expected) >= 1:
                continue
        elif float(_in_range(other).mean()) < most:
            continue
        if any(not hits_shown(other, head, expected, headed=True).missing for head in (1, 2)):
            best, most = f"{COLUMNS[a]} and {COLUMNS[b]}", float(_in_range(other).mean())
    return best


def _known(fields: NDArray[np.int64], expected: Expected) -> float:
    """The share of rows whose board and channel the detector file has."""
    board, channel = (np.clip(fields[:, field], 0, HIGHEST[field]) for field in (1, 2))
    return float(expected.known[board, channel].mean())


def misfits(fields: NDArray[np.int64], head: int) -> tuple[int, int, str]:
    """Rows of a HEAD: how many, how many of them are not in the range of hits, and an example of what is wrong."""
    rows = fields[fields[:, 0] == head]
    bad = np.flatnonzero(~_in_range(rows))
    if not len(bad):
        return len(rows), 0, ""
    highest = np.array([*HIGHEST[:2], HIGHEST[2] + 1, *HIGHEST[3:]])
    row = rows[bad[0]]
    field = int(np.flatnonzero((row < 0) | (row > highest))[0])
    return len(rows), len(bad), f"{COLUMNS[field]} {row[field]}"
