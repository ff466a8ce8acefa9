"""The oldest versions that are allowed, as constraints."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from tools.lowest import lowest, pins

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize(
    ("requirement", "pin"),
    [
        ("numpy>=2.0", "numpy==2.0"),
        ("pandas>=2.2,<3", "pandas==2.2"),
        ("pyspark==4.2.0", "pyspark==4.2.0"),
        ("mkdocstrings[python]>=1", "mkdocstrings==1"),
        ("zstandard>=0.22; python_version < '3.14'", "zstandard==0.22; python_version < '3.14'"),
    ],
)
def test_a_lower_bound_becomes_a_pin(requirement: str, pin: str) -> None:
    assert list(pins([requirement])) == [pin]


@pytest.mark.parametrize("requirement", ["numpy", "numpy<2", "numpy!=2.0"])
def test_a_requirement_without_a_lower_bound_is_named(requirement: str) -> None:
    with pytest.raises(ValueError, match="found no lower bound, expected name>=version"):
        list(pins([requirement]))


def test_every_requirement_of_the_project_has_a_lower_bound() -> None:
    extras = list(PROJECT["optional-dependencies"])
    found = lowest(PROJECT, extras)
    assert len(found) == len({pin.partition("==")[0].lower() for pin in found}) > len(PROJECT["dependencies"])


def test_an_extra_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="'tests': found no such extra, expected hist, "):
        lowest(PROJECT, ["tests"])


def test_what_the_makefile_names_exists() -> None:
    """Paths of tests, and modules of ours that Python is to run; a folder that was moved would stop `make` alone."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    paths = set(re.findall(r"(?<![\w/.-])tests/[\w/.]+", makefile))
    modules = set(re.findall(r"-m ((?:tools|benchmarks)[\w.]*)", makefile))
    assert len(paths) > 5
    assert len(modules) > 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
