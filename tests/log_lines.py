"""What muonstream logs, heard by a test as it happens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Ear(logging.Handler):
    def __init__(self, hear: Callable[[str], object]) -> None:
        super().__init__()
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self._hear(record.getMessage())


@contextmanager
def heard(hear: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile each line that muonstream logs, from information upwards, is handed to `hear`."""
    logger, ear = logging.getLogger("muonstream"), _Ear(hear)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
