"""What `import muonstream` gives: its names, how little it loads, and examples that are true."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import muonstream
from muonstream import _PLACES

ROOT = Path(__file__).parents[2]
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
EXAMPLES = (
    "muonstream.offline.run",
    "muonstream.offline.tables",
    "muonstream.offline.words",
    "muonstream.simulation.telescope",
)


def failures(test: doctest.DocTest) -> str:
    out: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=out.append)
    return "".join(out)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("numpy", "numba", "pydantic", "rich", "typer", "bokeh", "starlette", "importlib.resources")
    program = f"import sys, muonstream; print(*[name for name in {heavy} if name in sys.modules], *dir(muonstream))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    loaded = done.stdout.split()
    assert set(loaded) & set(heavy) == set()
    assert set(muonstream.__all__) <= set(loaded)


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert set(_PLACES) | {"__version__"} == set(muonstream.__all__)
    for name in _PLACES:
        found = getattr(muonstream, name)
        assert inspect.getdoc(found), name
        assert getattr(muonstream, name) is found


def test_the_table_of_muons_is_not_the_room_of_the_same_name() -> None:
    import_module("muonstream.muons.tracks")
    assert muonstream.muons is import_module("muonstream.offline.tables").muons


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'muonstream' has no attribute 'analyze'"):
        getattr(muonstream, "analyze")  # noqa: B009


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of_docstrings_are_true(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tests = [test for test in doctest.DocTestFinder().find(import_module(module)) if test.examples]
    assert tests
    assert [text for test in tests if (text := failures(test))] == []


def test_every_example_is_run() -> None:
    with_examples = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for path in (ROOT / "src").rglob("*.py")
        if ">>> " in path.read_text("utf-8")
    }
    assert with_examples == set(EXAMPLES)


def test_examples_of_the_page_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "python.md"
    test = doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, page.name, str(page), 0)
    assert len(test.examples) > 10
    assert failures(test) == ""
