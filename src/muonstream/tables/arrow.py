"""Tables as Arrow has them: schemas with units in the fields' metadata, record batches. Needs the extra `tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from muonstream.tables.columns import Arrays, Column, TableError

HINT: Final = "pyarrow is not installed, and tables need it; in a checkout: pip install '.[tables]'"


def pyarrow() -> Any:
    """The library. Raises TableError, saying what to install, without it."""
    try:
        import pyarrow
    except ImportError:
        raise TableError(HINT) from None
    return pyarrow


def schema(columns: Sequence[Column], metadata: Mapping[str, str] | None = None) -> Any:
    """The `pyarrow.Schema` of columns: each field's metadata has its `unit` and its `description`."""
    arrow = pyarrow()
    fields = [
        arrow.field(
            one.name,
            arrow.from_numpy_dtype(np.dtype(one.dtype)),
            nullable=one.missing,
            metadata={"unit": one.unit, "description": one.meaning},
        )
        for one in columns
    ]
    return arrow.schema(fields, metadata=dict(metadata) if metadata else None)


def record_batch(rows: Arrays, columns: Sequence[Column], of: Any) -> Any:
    """Rows as a `pyarrow.RecordBatch` of the schema `of`; what is missing becomes null."""
    arrow = pyarrow()
    arrays = []
    for one in columns:
        values = rows[one.name]
        if not one.missing:
            arrays.append(arrow.array(values))
        elif values.dtype.kind == "f":
            arrays.append(arrow.array(values, from_pandas=True))
        else:
            arrays.append(arrow.array(values, mask=values < 0))
    return arrow.RecordBatch.from_arrays(arrays, schema=of)
