"""Messages for the tests, in the record batches in which Spark gives them to its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from kafka_messages import Sent

pyarrow = pytest.importorskip("pyarrow")
TYPE = pyarrow.list_(pyarrow.struct([("key", pyarrow.string()), ("value", pyarrow.binary())]))


def batch(sent: Sequence[Sent], first: int = 0) -> Any:
    """Messages as Spark gives them to its workers."""
    return pyarrow.RecordBatch.from_arrays(
        [
            pyarrow.array([partition for partition, _, _ in sent], pyarrow.int32()),
            pyarrow.array(range(first, first + len(sent)), pyarrow.int64()),
            pyarrow.array([value for _, _, value in sent], pyarrow.binary()),
            pyarrow.array(
                [[{"key": k, "value": v} for k, v in headers] if headers else None for _, headers, _ in sent], TYPE
            ),
        ],
        ["partition", "offset", "value", "headers"],
    )
