"""Time that passes only when the simulation says so, put in the place of `time` in the modules that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from muonstream.kafka import patience, reader
from muonstream.sinks import store

LOOK_AT_TIME: Final = (patience, reader, store)
CALL_S: Final = 0.001
"""What any call of a client takes."""


class Clock:
    """Has the functions of the module `time` that the clients' code and the store use."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = 1.7e9

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self.wall_offset

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def jump(self, ahead_s: float, wall_s: float) -> None:
        """The process was stopped, or the clock set: steady time only leaps ahead, the time of day may fall."""
        self.now += ahead_s
        self.wall_offset += wall_s

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let this be the time of all modules that look at it."""
        before = [vars(module)["time"] for module in LOOK_AT_TIME]
        for module in LOOK_AT_TIME:
            vars(module)["time"] = self
        try:
            yield
        finally:
            for module, was in zip(LOOK_AT_TIME, before, strict=True):
                vars(module)["time"] = was
