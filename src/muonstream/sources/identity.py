"""The identity of a run: its number and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_DIGITS: Final = 18
"""Digits of a run's number at most, so that it fits 64 bits."""


@dataclass(frozen=True, slots=True)
class Run:
    """Which run words belong to: its number and name."""

    number: int = 0
    name: str = ""
