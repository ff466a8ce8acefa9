"""Messages of running commands, by Python's logging: plain lines on a terminal, JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from muonstream.errors import OWN_TOKEN, printable_lines, without_secrets

LOGGER: Final = logging.getLogger("muonstream")


class LogLevel(StrEnum):
    """The lowest level of lines that are shown."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class LogFormat(StrEnum):
    """The format of lines: plain text, text with time and level, or one JSON object each."""

    plain = "plain"
    stamped = "stamped"
    json = "json"


def _message(record: logging.LogRecord) -> str:
    """What a record says, without what gives access to anything but this program's own page, see `OWN_TOKEN`."""
    message = record.getMessage()
    return message if getattr(record, OWN_TOKEN, False) else without_secrets(message)


class _Lines(logging.Formatter):
    """Plain: the line alone; warnings and errors carry the program's name on each line."""

    def format(self, record: logging.LogRecord) -> str:
        lines = printable_lines(_message(record))
        prefix = "muonstream: " if record.levelno >= logging.WARNING else ""
        return "\n".join(prefix + line for line in lines)


class _Stamped(logging.Formatter):
    """Date, time to the millisecond with its zone, level, then the line."""

    def format(self, record: logging.LogRecord) -> str:
        at = _time(record).isoformat(sep=" ", timespec="milliseconds")
        lines = printable_lines(_message(record))
        return "\n".join(f"{at} {record.levelname:<7} {line}" for line in lines)


class _Json(logging.Formatter):
    """One object a record: time in UTC, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        return json.dumps({"time": at, "level": level, "logger": record.name, "message": _message(record)})


_FORMATTERS: Final = {LogFormat.plain: _Lines, LogFormat.stamped: _Stamped, LogFormat.json: _Json}


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created).astimezone()


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the current sys.stderr, which a progress bar, for instance, replaces for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignored: an error on standard error itself cannot be reported anywhere."""


def begin_logging(level: LogLevel = LogLevel.info, format: LogFormat = LogFormat.plain) -> None:
    """Send muonstream's log to standard error; a second call replaces the options of the first."""
    for old in [one for one in LOGGER.handlers if isinstance(one, _Stderr)]:
        LOGGER.removeHandler(old)
    handler = _Stderr()
    handler.setFormatter(_FORMATTERS[format]())
    handler.setLevel(level.upper())
    LOGGER.setLevel(logging.DEBUG if level is LogLevel.debug else logging.INFO)
    LOGGER.addHandler(handler)
