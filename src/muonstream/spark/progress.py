"""Spark's progress: the last micro-batch's rate, times and sizes, for the page and the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from muonstream.words import WORD_BYTES

LOGGER: Final = logging.getLogger("muonstream.spark")


def reached(told: Mapping[str, Any], topic: str) -> dict[int, int]:
    """How far each partition was read, transaction markers included, by Spark's report on a micro-batch."""
    found: dict[int, int] = {}
    for source in told["sources"]:
        with suppress(ValueError, TypeError, AttributeError):
            found |= {int(partition): int(at) for partition, at in json.loads(source["endOffset"])[topic].items()}
    return found


@dataclass(frozen=True, slots=True)
class Progress:
    """One micro-batch by Spark's report, and the words held by the driver.

    batch: its number; input_per_s: messages that came, by the clock; messages: of this batch
    batch_s: how long it took; fixed_s: the part that is not work on its messages
    held_words: in windows that are still open; lag_messages: that wait, None where that is not known
    trigger_s: from the beginning of one micro-batch to that of the next at least
    """

    batch: int
    messages: int
    input_per_s: float
    batch_s: float
    fixed_s: float
    held_words: int
    lag_messages: int | None
    trigger_s: float = 0.0

    @classmethod
    def of(cls, told: Mapping[str, Any], held_words: int, lag_messages: int | None, trigger_s: float = 0.0) -> Self:
        """From Spark's StreamingQueryProgress as JSON types."""
        times = told["durationMs"]
        whole = int(times.get("triggerExecution", 0))
        rate = float(told.get("inputRowsPerSecond") or 0.0)
        return cls(
            batch=int(told["batchId"]),
            messages=int(told["numInputRows"]),
            input_per_s=rate if rate == rate and rate < float("inf") else 0.0,
            batch_s=whole / 1000,
            fixed_s=(whole - int(times.get("addBatch", 0))) / 1000,
            held_words=held_words,
            lag_messages=lag_messages,
            trigger_s=trigger_s,
        )

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Names and values as the page shows them."""
        return (
            ("Micro-batch", f"{self.batch:,}, of {self.messages:,} messages"),
            ("Trigger", f"each {self.trigger_s:g} s" if self.trigger_s else "at once"),
            ("Batch time", f"{self.batch_s:.2f} s, {self.fixed_s:.2f} s of it Spark's own"),
            ("Input", f"{self.input_per_s:,.0f} messages/s"),
            ("State held", f"{self.held_words:,} words, {self.held_words * WORD_BYTES / 1e6:,.1f} MB"),
        )

    def log(self) -> None:
        """One line in the log."""
        lag = "not known" if self.lag_messages is None else f"{self.lag_messages:,}"
        LOGGER.info(
            "batch %d: %d messages in %.3f s (%.3f s without data), input %.0f/s, held %d words, lag %s messages",
            self.batch,
            self.messages,
            self.batch_s,
            self.fixed_s,
            self.input_per_s,
            self.held_words,
            lag,
        )
