"""How a table is laid out, by its header or by its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.layout import DELIMITERS, PLAIN, Layout, WrongHeader, cells_of, read_header
from muonstream.formats.rows import COLUMNS, OTHER, WHOLE, read_fields

_TRIED_LINES: Final = 64
_FEW_HITS: Final = 16
"""With fewer rows of HEAD 1 or 2 in a text's beginning and its newest part, what is between them is read, too."""
_ENOUGH_HITS: Final = 4096
_LINE_END: Final = re.compile(rb"[\r\n\0]+")
_NUMBERS: Final = re.compile(r"[-+\d.,;|eE \t\"']*")
"""A line of numbers alone, which is not a header."""
_COMMENTS: Final = ("#", "%", "!", "//", "sep=")
_NUMBER: Final = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")
_BLANK: Final = re.compile(
    rb"\xc2\xa0|\xe2\x80[\x80-\x8b\xaf]|\xe2\x81\x9f|\xe3\x80\x80|\xef\xbb\xbf|[\x0b\x0c\x1a\xa0\xff]"
)
"""Blanks and marks as `cells.after_blanks` has them."""
_SHORTENED: Final = re.compile(rb"\d[.,]\d{1,5}[eE]\+?(0[6-9]|[1-9]\d)\b")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a sample, as far as one layout reads them.

    layout: how they are laid out, or None; fields: int64[n, 6], those of whole numbers; n_numbers: rows of six numbers;
    n_rows: rows of any kind; wrong: a header of other columns; n_columns: the usual number of cells of number rows
    first: the first row under a header, or in brackets, where no layout reads such rows
    odd: the first row that the layout does not read as numbers; example: the first row
    """

    layout: Layout | None
    fields: NDArray[np.int64]
    n_numbers: int
    n_rows: int
    wrong: WrongHeader | None = None
    n_columns: int = 0
    first: str = ""
    odd: str = ""
    example: str = ""

    @property
    def share(self) -> float:
        """The share of rows that are six numbers."""
        return self.n_numbers / max(self.n_rows, 1)


def _read(text: bytes, layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Fields and kinds of all rows of a text."""
    most = text.count(b"\n") + text.count(b"\r") + text.count(b"\0") + 1
    fields = np.zeros((most, len(COLUMNS)), np.int64)
    kinds = np.empty(most, np.uint8)
    n = read_fields(np.frombuffer(text, np.uint8), layout.form("course"), fields, kinds)
    return fields[:n], kinds[:n]


def _counts_up(cells: list[str]) -> bool:
    """Whether numbers count up by one, as those in front of rows do."""
    try:
        numbers = [int(float(cell)) for cell in cells]
    except ValueError:
        return False
    return len(numbers) > 1 and all(b - a == 1 for a, b in pairwise(numbers))


def _without_header(lines: list[str], brackets: bool) -> list[Layout]:
    """The layouts that rows without a header may have: six cells, or seven of which the first counts the rows."""
    layouts = []
    for delimiter in DELIMITERS:
        rows = [cells_of(line, delimiter) for line in lines]
        usual = Counter(len(row) - (row[-1:] == [""]) for row in rows).most_common(1)[0][0]
        columns: tuple[int, ...] | None = PLAIN.columns if usual == len(COLUMNS) else None
        if usual == len(COLUMNS) + 1 and _counts_up([row[0] for row in rows if len(row) == usual]):
            columns = (-1, *PLAIN.columns)
        if columns is not None:
            layouts.append(Layout(delimiter, columns, brackets=brackets))
    return layouts


def _with_header(header: Layout, brackets: bool) -> list[Layout]:
    """The layouts that rows behind a header may have: with another delimiter, or with row names in front."""
    delimiters = [header.delimiter, *(one for one in DELIMITERS if one != header.delimiter)]
    return [
        Layout(delimiter, columns, brackets=brackets, headed=True, header_delimiter=header.delimiter)
        for delimiter in delimiters
        for columns in (header.columns, (-1, *header.columns))
    ]


def _columns_of_numbers(lines: list[str]) -> int:
    """How many cells the rows have that are numbers, whatever is between them; 0 where there are none."""
    numbers = Counter(
        len(cells)
        for line in lines
        if len(cells := [cell for cell in re.split(r"[,;\t| ]+", line.strip(" \"'[](),;")) if cell]) > 1
        and all(_NUMBER.fullmatch(cell.strip("\"'")) for cell in cells)
    )
    return numbers.most_common(1)[0][0] if numbers else 0


def _hits_between(pieces: Iterable[bytes], layout: Layout) -> NDArray[np.int64]:
    """Rows of whole numbers of HEAD 1 or 2 (int64[n, 6]) from pieces of whole lines, some thousand at most."""
    found = [np.zeros((0, len(COLUMNS)), np.int64)]
    n = 0
    for piece in pieces:
        fields, kinds = _read(piece, layout)
        found.append(fields[(kinds == WHOLE) & ((fields[:, 0] == 1) | (fields[:, 0] == 2))])
        n += len(found[-1])
        if n >= _ENOUGH_HITS:
            break
    return np.concatenate(found)


def find_table(head: bytes, tail: bytes = b"", between: Iterable[bytes] = ()) -> Table:
    """The rows of a text, in the layout that reads most of its first ones.

    head: its beginning, whole lines, one byte a character; tail: its newest part, if that is not in head
    between: pieces of what lies between these two, which are read when those show hardly any hit (idle rows may come
    before and after a run)
    """
    first = _LINE_END.split(head, maxsplit=4 * _TRIED_LINES)[: 4 * _TRIED_LINES]
    lines = [_BLANK.sub(b" ", line).decode("utf-8", "replace").strip(" \t") for line in first]
    headers = [None if _NUMBERS.fullmatch(line) else read_header(line) for line in lines]
    header = next((one for one in headers if isinstance(one, Layout)), None)
    content = [(line, one) for line, one in zip(lines, headers, strict=True) if not line.startswith(_COMMENTS)]
    rows = [line for line, one in content if line and one is None][:_TRIED_LINES]
    none = Table(None, np.zeros((0, len(COLUMNS)), np.int64), 0, len(rows))
    wrong = next((one for _, one in content if isinstance(one, WrongHeader)), None)
    if header is None and wrong is not None:
        return Table(None, none.fields, 0, len(rows), wrong)
    if not rows:
        return none
    brackets = sum(line.startswith(("[", "(")) for line in rows) * 2 > len(rows)
    tried = _with_header(header, brackets) if header is not None else _without_header(rows, brackets)
    if brackets and header is None:
        # numbers in brackets are not hits unless a header says so
        tried = []
    tried += [
        Layout(one.delimiter, one.columns, ",", one.brackets, one.headed, one.header_delimiter)
        for one in tried
        if one.delimiter != ","
    ]
    text = "\n".join([*rows, ""]).encode()
    best, most, clean = None, 0, False
    for layout in tried:
        kinds = _read(text, layout)[1]
        n = int(np.count_nonzero(kinds != OTHER))
        if n > most:
            best, most, clean = layout, n, n == len(kinds) == len(rows)
    if best is None:
        unread = rows[0][:60] if header is not None or brackets else ""
        return Table(None, none.fields, 0, len(rows), n_columns=_columns_of_numbers(rows), first=unread)
    fields, kinds = _read(head, best)
    whole = fields[kinds == WHOLE]
    if tail:
        tail_fields, tail_kinds = _read(tail, best)
        tail_whole = tail_fields[tail_kinds == WHOLE]
        n_hits = sum(int(np.count_nonzero((some[:, 0] == 1) | (some[:, 0] == 2))) for some in (whole, tail_whole))
        more = _hits_between(between, best) if n_hits < _FEW_HITS else tail_whole[:0]
        whole, kinds = np.concatenate([whole, more, tail_whole]), np.concatenate([kinds, tail_kinds])
    n_numbers = int(np.count_nonzero(kinds != OTHER))
    odd = ""
    if not clean:
        odd = next((row[:60] for row in rows if _read(f"{row}\n".encode(), best)[1][:1].tolist() == [OTHER]), "")
    return Table(best, whole, n_numbers, len(kinds), odd=odd, example=rows[0][:60])


def shortened(head: bytes) -> bool:
    """Whether numbers have lost digits, as 2.8717e+09 of 2871700134 has: a tenth of the lines have one such."""
    return len(_SHORTENED.findall(head)) * 10 > head.count(b"\n") + head.count(b"\r")
