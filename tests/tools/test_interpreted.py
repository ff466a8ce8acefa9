"""Kernels run as Python for coverage: what is run so, and what stands in for what only compiled code has."""

from __future__ import annotations

from pathlib import Path

from numba.core.extending import _Intrinsic

from muonstream import bits
from tools.interpreted import STAND_INS, TESTS


def test_the_tests_that_are_run_so_are_there() -> None:
    assert [name for name in TESTS if not (Path(__file__).parents[2] / name).is_file()] == []


def test_everything_that_only_compiled_code_has_has_a_stand_in() -> None:
    intrinsics = {name for name, value in vars(bits).items() if isinstance(value, _Intrinsic)}
    assert {function.__name__ for function in STAND_INS} == intrinsics
