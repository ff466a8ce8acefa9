"""How the rows of a table are laid out: delimiter, decimal mark, and which column holds which field."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.cells import BRACKETS, CELLS, DECIMAL, DELIMITER, HIT_HEAD, N_CELLS, PLAIN_ORDER, SHIFTED
from muonstream.formats.rows import COLUMNS

Dialect = Literal["course", "firmware2019", "head1"]
"""The numbering of hits: HEAD 2, all as in words; HEAD 1, channel + 1, TDC - 1; HEAD 1, the others as in words."""

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "blanks"}
MOST_COLUMNS: Final = 64
_MARKS: Final = ("\ufeff", "\xef\xbb\xbf")
_BLANKS: Final = " \t\r\n\f\v\xa0\x00\x1a"
_NAMES: Final = {
    "HEAD": 0,
    "FPGA": 1,
    "BOARD": 1,
    "TDCCHANNEL": 2,
    "TDCCH": 2,
    "CHANNEL": 2,
    "ORBITCNT": 3,
    "ORBITCOUNT": 3,
    "ORBITCOUNTER": 3,
    "ORBIT": 3,
    "BXCOUNTER": 4,
    "BXCNT": 4,
    "BXCOUNT": 4,
    "BX": 4,
    "TDCMEAS": 5,
    "TDCMEASUREMENT": 5,
    "TDC": 5,
}
"""Names of columns in capitals, letters only, and the field that each is."""


_FEWEST_LETTERS: Final = 8
_WITHOUT_HEAD: Final = 4
"""A line that names so many fields is a header, though HEAD is not among them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a table's fields are.

    delimiter: a key of `DELIMITERS`; a blank stands for any number of blanks and tabs
    columns: the field (index in COLUMNS) of each cell of a row, or -1 for one that is ignored
    decimal: "." or ","; brackets: whether rows stand in brackets; headed: whether a header named the columns
    header_delimiter: the delimiter of that header where it may differ from the rows', as in numpy.savetxt's comments
    """

    delimiter: str = ","
    columns: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    decimal: str = "."
    brackets: bool = False
    headed: bool = False
    header_delimiter: str = ""

    def form(self, dialect: Dialect) -> NDArray[np.int64]:
        """The layout and a dialect as the kernel reads them: int64, see `cells.DELIMITER`."""
        in_order = self.columns == tuple(range(len(COLUMNS)))
        form = np.full(CELLS + MOST_COLUMNS, -1, np.int64)
        form[DELIMITER] = ord(self.delimiter)
        form[HIT_HEAD], form[SHIFTED] = 2 if dialect == "course" else 1, dialect == "firmware2019"
        form[DECIMAL], form[BRACKETS] = ord(self.decimal), self.brackets
        form[PLAIN_ORDER], form[N_CELLS] = in_order, len(self.columns)
        form[CELLS : CELLS + len(self.columns)] = self.columns
        return form

    def headed_by(self, header: Layout) -> Layout:
        """The layout that a header in the middle of such a table gives: rows may have one cell more in front."""
        row_names = len(self.columns) == len(header.columns) + 1 and self.columns[0] < 0
        columns = (-1, *header.columns) if row_names else header.columns
        same = header.delimiter in (self.delimiter, self.header_delimiter)
        return replace(self if same else header, columns=columns, headed=True)


PLAIN: Final = Layout()


@dataclass(frozen=True, slots=True)
class WrongHeader:
    """A header that names other columns than the six: its names as they are written, and what is wrong with them."""

    names: tuple[str, ...]
    reason: str


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without blanks, quotes and brackets around them."""
    line = line.strip(_BLANKS + "[]()")
    cells = line.split() if delimiter == " " else line.split(delimiter)
    return [cell.strip(_BLANKS + "\"'[]()") for cell in cells]


def names_of(line: str, delimiter: str) -> list[str]:
    """The names of the columns in a header, as they are written."""
    for mark in _MARKS:
        line = line.replace(mark, "")
    names = cells_of(line.strip(_BLANKS + "#%!/[]()"), delimiter)
    # one more delimiter at the end of lines is not a column
    return names[:-1] if names[-1:] == [""] else names


def field_named(name: str) -> int:
    """The field (index in COLUMNS) that a name stands for, in any case and whatever is between its letters; or -1."""
    return _NAMES.get(re.sub("[^A-Z]", "", name.upper()), -1)


def read_header(line: str) -> Layout | WrongHeader | None:
    """What a line says of the columns, if it is a header of a table of hits; None for any other line.

    Names may be in any order and case, quoted, after `#`, and written in ways that leave no doubt (`orbit cnt`, `BX`).
    Columns of other names are ignored. Two columns of one field, or a field without one, are a `WrongHeader`.
    """
    letters = islice((letter for letter in line if letter.isalpha()), _FEWEST_LETTERS)
    if "{" in line or sum(1 for _ in letters) < _FEWEST_LETTERS:  # a JSON object names them as well
        return None
    best: Layout | WrongHeader | None = None
    for delimiter in DELIMITERS:
        if len(line.split(None if delimiter == " " else delimiter, 2 * MOST_COLUMNS)) > 2 * MOST_COLUMNS:
            continue
        names = names_of(line, delimiter)
        if len(names) > MOST_COLUMNS:
            continue
        columns = tuple(map(field_named, names))
        known = {column for column in columns if column >= 0}
        if len(known) < (2 if 0 in known else _WITHOUT_HEAD):
            continue
        if known == set(range(len(COLUMNS))):
            if sum(column >= 0 for column in columns) == len(COLUMNS):
                return Layout(delimiter, columns, headed=True)
            twice = next(name for name, column in zip(names, columns, strict=True) if columns.count(column) > 1)
            best = WrongHeader(tuple(names), f"{twice} more than once")
        elif best is None and 2 * len(known) >= len(columns):
            missing = ", ".join(name for field, name in enumerate(COLUMNS) if field not in known)
            best = WrongHeader(tuple(names), f"without {missing}")
    return best
