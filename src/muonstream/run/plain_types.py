"""Checks values read from JSON against the types of a dataclass's fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

MOST: Final = 1 << 63


def check_fields(value: Any, skipped: frozenset[str] = frozenset()) -> None:
    """Check the fields of a dataclass, except for those skipped. Raises TypeError naming the first that is wrong."""
    kind: Any = type(value)
    hints = _hints(kind)
    for field in fields(value):
        if field.name not in skipped and not _fits(getattr(value, field.name), hints[field.name]):
            raise TypeError(field.name)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a class's fields. Evaluating them would take most of the time of opening a run: it is done once."""
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; an integer is a float too, a bool is neither. Integers are of 64 bits."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if hint is NoneType:
        return value is None
    if hint is float:
        return math.isfinite(value) if isinstance(value, float) else _fits(value, int)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST
    if is_dataclass(hint):
        try:
            check_fields(value)
        except TypeError:
            return False
        return isinstance(value, hint) if isinstance(hint, type) else False
    return isinstance(value, hint)
