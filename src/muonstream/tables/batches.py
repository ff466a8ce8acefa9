"""Rows in batches of one size, so that a table's batches do not depend on how its words came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from muonstream.tables.columns import Arrays, Column, no_rows

BATCH_ROWS: Final = 1 << 19


def batches(parts: Iterable[Arrays], columns: Sequence[Column], rows: int = BATCH_ROWS) -> Iterator[Arrays]:
    """The same rows in batches of `rows`, only the last of which may have fewer; none for no rows."""
    waiting: list[Arrays] = []
    first = columns[0].name
    n = 0
    for part in parts:
        waiting.append(part)
        n += len(part[first])
        if n < rows:
            continue
        whole = _joined(waiting, columns)
        for begin in range(0, n - n % rows, rows):
            yield {name: values[begin : begin + rows] for name, values in whole.items()}
        # a copy, so that what was given can be let go
        waiting = [{name: values[n - n % rows :].copy() for name, values in whole.items()}]
        n %= rows
    if n:
        yield _joined(waiting, columns)


def _joined(parts: Sequence[Arrays], columns: Sequence[Column]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return (
        {one.name: np.concatenate([part[one.name] for part in parts]) for one in columns} if parts else no_rows(columns)
    )
