"""Values of a detector file and the tables that hold them: what is allowed, and how a fault says so."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from muonstream.errors import shown
from muonstream.words import CHANNEL_MASK, FPGA_MASK


# Validators of our own rather than pydantic's bounds, so that a fault can say what is allowed, both ends of it; and
# none takes true for 1 or "3" for 3.
def whole(low: int, high: int) -> BeforeValidator:
    """Whole numbers from low to high."""

    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        kind = "" if isinstance(value, int) and not isinstance(value, bool) else "whole numbers "
        raise ValueError(f"found {shown(value)}, allowed {kind}{low} to {high}")

    return BeforeValidator(check)


def number(low: float, high: float, *, above: bool = False) -> BeforeValidator:
    """Numbers from low to high; above: without low itself."""

    def check(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value <= high and not (above and value == low):  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
        kind = "" if is_number else "numbers "
        wanted = f"more than {low:g}, up to {high:g}" if above else f"{low:g} to {high:g}"
        raise ValueError(f"found {shown(value)}, allowed {kind}{wanted}")

    return BeforeValidator(check)


def _label(value: object) -> str:
    if isinstance(value, str) and 1 <= len(value) <= 60 and value.isprintable():
        return value
    raise ValueError(f"found {shown(value)}, expected text of 1 to 60 printable characters")


def _limits(value: object) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        low, high = value
        if all(isinstance(x, int | float) and not isinstance(x, bool) for x in value) and 0 < low <= high < 1e9:
            return float(low), float(high)
    raise ValueError(f"found {shown(value)}, expected two numbers above 0, the second not below the first")


Board = Annotated[int, whole(0, FPGA_MASK)]
Channel = Annotated[int, whole(0, CHANNEL_MASK)]
Label = Annotated[str, BeforeValidator(_label)]
Length = Annotated[float, number(0, 1e5, above=True)]
Position = Annotated[float, number(-1e6, 1e6)]
Limits = Annotated[tuple[float, float], BeforeValidator(_limits)]


class Table(BaseModel):
    """A table of a detector file, which does not change and has no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
