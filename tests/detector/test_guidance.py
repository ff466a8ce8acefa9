from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import muonstream
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.file import detector_toml
from muonstream.detector.guidance import GUIDANCE, LONGEST, guidance_of
from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.engines.pipeline import Pipeline
from muonstream.run.checkpoint import identity
from muonstream.run.snapshot_codec import decode, encode

PACKAGE = Path(muonstream.__file__).parent


def checks_made(tree: ast.Module) -> Iterator[str]:
    """The first argument of each Finding that a module makes: a text, or a name of a loop or of the caller."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For) and isinstance(node.target, ast.Name)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]

    def texts(node: ast.expr, call: ast.Call) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=[ast.FormattedValue(value=first), ast.Constant(value=str(rest))]):
                yield from (text + rest for text in texts(first, call))
            case ast.Name(id=name):
                yield from values(name, call)
            case _:
                raise AssertionError(f"line {node.lineno}: the check of this Finding is not understood")

    def values(name: str, call: ast.Call) -> Iterator[str]:
        inner = [loop for loop in loops if loop.target.id == name and call in ast.walk(loop)]  # type: ignore[attr-defined]
        if inner:
            assert isinstance(inner[-1].iter, ast.Tuple)
            for one in inner[-1].iter.elts:
                yield from texts(one, call)
            return
        function = next(f for f in functions if call in ast.walk(f) and name in [a.arg for a in f.args.args])
        place = [a.arg for a in function.args.args].index(name)
        callers = [one for one in calls if one.func.id == function.name]  # type: ignore[attr-defined]
        assert callers
        for caller in callers:
            yield from texts(caller.args[place], caller)

    for call in calls:
        if call.func.id == "Finding":  # type: ignore[attr-defined]
            yield from texts(call.args[0], call)


def test_every_check_that_the_code_makes_has_guidance() -> None:
    modules = sorted(path for wing in ("verdicts", "run") for path in (PACKAGE / wing).glob("*.py"))
    made = {check for path in modules for check in checks_made(ast.parse(path.read_text("utf-8")))}
    assert made == set(GUIDANCE)


@pytest.mark.parametrize(
    ("line", "checks"),
    [
        ('Finding("a", b)', ["a"]),
        ('for kind in ("x", "y"):\n    Finding(f"{kind} words", b)', ["x words", "y words"]),
        ('def f(subject, check):\n    Finding(check, subject)\nf(1, "p")\nf(2, "q")', ["p", "q"]),
    ],
)
def test_checks_are_found_in_all_ways_that_they_are_given(line: str, checks: list[str]) -> None:
    assert list(checks_made(ast.parse(line))) == checks


def test_guidance_is_short_and_says_something() -> None:
    for check, text in GUIDANCE.items():
        assert 40 <= len(text) <= 400, check
        assert text.endswith(".")
        assert text.isprintable()


FILE = """name = "mine"
[[chambers]]
number = 1
name = "Chamber 1"
board = 0
first_channel = 0
layer_of_channel = [0, 2, 1, 3]
layer_shift_mm = [0, 21, 0, 21]
z_mm = 0
"""


def test_a_detector_file_may_have_its_own_guidance() -> None:
    mine = parse(FILE + '[guidance]\nt0 = "Call Anna."\n"dead cell" = """Look.\nNote it."""\n', "mine.toml")
    assert guidance_of("t0", mine.guidance) == "Call Anna."
    assert guidance_of("dead cell", mine.guidance) == "Look.\nNote it."
    assert guidance_of("velocity", mine.guidance) == GUIDANCE["velocity"]
    assert guidance_of("a check of tomorrow", mine.guidance) == ""
    assert parse(detector_toml(mine), "again.toml") == mine
    assert hash(mine) != hash(Detector.default())


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('t1 = "x"', "guidance.t1: found a check that is not known, expected account, active cells, "),
        ('"dead cels" = "x"', "guidance.'dead cels': found a check that is not known, expected "),
        ("t0 = 3", f"guidance.t0: found 3, expected text of 1 to {LONGEST} printable characters"),
        ('t0 = ""', "guidance.t0: found '', expected text"),
        ('t0 = "\\u001b[31m"', "guidance.t0: found '\\x1b[31m', expected text"),
    ],
)
def test_guidance_that_cannot_be_names_the_key(table: str, fault: str) -> None:
    with pytest.raises(DetectorError) as refused:
        parse(f"{FILE}[guidance]\n{table}\n", "mine.toml")
    assert str(refused.value).startswith(f"mine.toml: {fault}")
    assert len(str(refused.value).splitlines()) == 1


def test_guidance_that_is_no_table_is_one_line() -> None:
    with pytest.raises(DetectorError, match=r"^mine.toml: guidance: found 'x', expected a table of texts"):
        parse('guidance = "x"\n' + FILE, "mine.toml")


def test_guidance_does_not_make_another_detector_of_a_stored_run() -> None:
    plain, mine = parse(FILE, "a"), parse(FILE + '[guidance]\nt0 = "Call Anna."\n', "b")
    assert identity(Catalogue(plain)) == identity(Catalogue(mine))
    with Pipeline(mine, workers=0) as pipeline:
        assert decode(encode(pipeline.snapshot())).detector == mine


def test_a_written_detector_file_keeps_its_limits() -> None:
    mine = parse(FILE + "[thresholds]\nt0_shift_ns = [3, 6]\nmin_hits = 50\n", "mine.toml")
    assert parse(detector_toml(mine), "again.toml") == mine
