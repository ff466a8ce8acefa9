from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from muonstream.run.plain_types import check_fields


@dataclass(frozen=True)
class Inner:
    n: int


@dataclass(frozen=True)
class Outer:
    a: int = 1
    b: float = 1.5
    c: str | None = None
    d: tuple[Inner, ...] = ()
    e: Mapping[str, int] | None = None
    f: Literal["x", "y"] = "x"
    g: tuple[str, int] = ("", 0)
    h: bool = True


GOOD: dict[str, list[Any]] = {
    "a": [-5, 2**62],
    "b": [3, -1e300],
    "c": ["text"],
    "d": [(Inner(1), Inner(2))],
    "e": [{"one": 1}, {}],
    "f": ["y"],
    "g": [("a", 3)],
    "h": [False],
}
WRONG: dict[str, list[Any]] = {
    "a": [1.0, "1", None, True, 10**400, [1]],
    "b": ["now", None, True, float("nan"), float("inf"), 10**400],
    "c": [1, ["text"]],
    "d": [[Inner(1)], (1,), (Inner("1"),), None],  # type: ignore[arg-type]
    "e": [[1], {"one": "1"}, {1: 1}],
    "f": ["z", None, ["x"]],
    "g": [("a",), ("a", "b"), ["a", 1]],
    "h": [1, None],
}


@pytest.mark.parametrize("name", GOOD)
def test_values_of_their_types_fit_and_others_are_named(name: str) -> None:
    for value in GOOD[name]:
        check_fields(replace(Outer(), **{name: value}))
    for value in WRONG[name]:
        with pytest.raises(TypeError, match=f"^{name}$"):
            check_fields(replace(Outer(), **{name: value}))
        check_fields(replace(Outer(), **{name: value}), frozenset({name}))
