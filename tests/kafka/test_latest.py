from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from muonstream.kafka import latest
from muonstream.kafka.latest import last_messages

ENDS = ((0, 0), (3, 9), (3, 9))


class Silent:
    """A consumer to which no broker answers."""

    def assign(self, places: list[Any]) -> None: ...

    def unassign(self) -> None: ...

    def consume(self, most: int, timeout_s: float) -> list[Any]:
        return []


def test_partitions_whose_last_message_does_not_come_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(latest, "LOOK_S", 1e-9)
    with caplog.at_level(logging.WARNING):
        found = last_messages(
            cast(Any, Silent()), {("frames", 0): (0, 0), ("frames", 1): (3, 9), ("frames", 2): (3, 9)}
        )
    assert found == {}
    line = caplog.records[0].getMessage()
    assert line.startswith("No last message of 2 of 3 partitions came in 1e-09 s")
    assert "frames 1, frames 2" in line
    assert len(caplog.records) == 1
