"""The house stays in order: who may import whom, how large a module may be, what no file may mention."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "muonstream"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The layers, from the top to the ground. A module may import what stands below its own room, and its own room; rooms
# of one line do not import one another.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("spark", "offline"),
    ("engines",),
    ("dashboard",),
    ("archive", "tables"),
    ("sinks",),
    ("kafka",),
    ("run",),
    ("verdicts",),
    ("survey", "muons"),
    ("sources",),
    ("counting",),
    ("framing", "simulation"),
    ("formats",),
    ("detector",),
    ("frames", "picture"),
    ("buffers",),
    ("packing", "statistics", "words"),
    ("bits",),
    ("compiled", "errors"),
)
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

# Rooms that know files, networks or pages. All others are pure: numpy, numba and the standard library.
EDGES = frozenset(
    {
        "__main__",
        "cli",
        "commands",
        "spark",
        "offline",
        "engines",
        "dashboard",
        "sinks",
        "kafka",
        "sources",
        "archive",
        "tables",
    }
)
CORE_LIBRARIES = frozenset({"numpy", "numba", "llvmlite"})  # the last is numba's own, for its intrinsics
CORE_EXTRA_LIBRARIES = {"detector": frozenset({"pydantic"})}
# Optional libraries that the core may import, but only inside the function that needs them.
CORE_LAZY_LIBRARIES = frozenset({"hist", "tomlkit", "zstandard", "compression"})  # the last is Python 3.14's own

LONGEST_MODULE = 450
MOST_PARAMETERS = 8


@dataclass(frozen=True)
class Import:
    """One import: a dotted name, and whether it happens as soon as the module is imported."""

    name: str
    eager: bool


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, *, is_package: bool = False, eager: bool = True) -> Iterator[Import]:
    """Everything that a module imports, with relative names made absolute."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, eager)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - 1 if is_package else node.level
            base = ".".join(module.split(".")[: len(module.split(".")) - up]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            if source == "muonstream":  # `from muonstream import words` names its parts only after the import
                yield from (Import(f"{source}.{alias.name}", eager) for alias in node.names)
            else:
                yield Import(source, eager)
        inner = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(node, module, is_package=is_package, eager=inner)


def imports_of(path: Path) -> list[Import]:
    return list(imports(ast.parse(path.read_text("utf-8")), dotted(path), is_package=path.name == "__init__.py"))


def room_of(module: str) -> str:
    """The room of the package that a module belongs to: sources, words, cli, ...; "" for the package itself."""
    return [*module.split("."), ""][1]


def forbidden(module: str, imported: Import) -> str | None:
    """Why this module must not have this import, or None."""
    room, library = room_of(module), imported.name.split(".")[0]
    if library == "muonstream":
        target = room_of(imported.name)
        # what the package itself has, such as its version, is no room
        if target == room or LEVELS.get(target, len(LAYERS)) > LEVELS.get(room, -1):
            return None
        return f"imports {target}, which does not stand below {room}"
    if room in EDGES or library in sys.stdlib_module_names | CORE_LIBRARIES:
        return None
    if library in CORE_EXTRA_LIBRARIES.get(room, ()):
        return None
    if library in CORE_LAZY_LIBRARIES:
        return f"imports {library} outside the function that needs it" if imported.eager else None
    return f"is core and imports {library}"


def test_every_room_stands_in_the_list_of_layers() -> None:
    rooms = {room_of(dotted(path)) for path in MODULES} - {""}
    assert rooms == set(LEVELS)


def test_modules_import_only_what_their_part_may() -> None:
    faults = [
        f"{dotted(path)} {reason}"
        for path in MODULES
        for imported in imports_of(path)
        if (reason := forbidden(dotted(path), imported)) is not None
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("module", "line", "reason"),
    [
        ("muonstream.words", "import numpy as np", None),
        ("muonstream.words", "import pyspark.sql", "is core and imports pyspark"),
        ("muonstream.words", "from muonstream import sources", "imports sources, which does not stand below words"),
        (
            "muonstream.counting.rates",
            "from ..dashboard import app",
            "imports dashboard, which does not stand below counting",
        ),
        ("muonstream.counting.catalogue", "import hist", "imports hist outside the function that needs it"),
        ("muonstream.counting.catalogue", "def f():\n    import hist", None),
        (
            "muonstream.counting.catalogue",
            "if True:\n    from pydantic import BaseModel",
            "is core and imports pydantic",
        ),
        ("muonstream.detector.model", "from pydantic import BaseModel", None),
        (
            "muonstream.sources.files",
            "from muonstream.sinks.store import Store",
            "imports sinks, which does not stand below sources",
        ),
        (
            "muonstream.muons.tracks",
            "from muonstream.survey import clocks",
            "imports survey, which does not stand below muons",
        ),
        ("muonstream.sources.follow", "from .files import read_blocks", None),
        (
            "muonstream.sources.files",
            "def f():\n    import muonstream.cli.app",
            "imports cli, which does not stand below sources",
        ),
        ("muonstream.engines.local", "from muonstream.sources import files", None),
        ("muonstream.engines.local", "from muonstream.dashboard.feed import Feed", None),
        ("muonstream.dashboard.app", "import muonstream.run.monitor, starlette", None),
        ("muonstream.commands.run", "from muonstream.engines import local", None),
    ],
)
def test_the_import_rules_tell_right_from_wrong(module: str, line: str, reason: str | None) -> None:
    reasons = {forbidden(module, imported) for imported in imports(ast.parse(line), module)}
    assert reasons == {reason}


def test_no_module_is_too_long() -> None:
    lengths = {dotted(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {module: length for module, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_function_takes_too_many_parameters() -> None:
    """Kernels take arrays one by one, and typer reads a command's options from its parameters."""
    excused = re.compile(r"compiled|inlined|\w*app\.command")
    found = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any(excused.match(ast.unparse(decorator)) for decorator in node.decorator_list):
                continue
            given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len([name for name in given if name not in ("self", "cls")]) > MOST_PARAMETERS:
                found[f"{dotted(path)}.{node.name}"] = len(given)
    assert found == {}


def test_no_file_mentions_a_place_on_one_machine() -> None:
    places = re.compile(r"(?<![\w.])/(work|root)/|\.\./shared")
    files = [path for folder in ("src", "docs", "tools", "benchmarks") for path in (ROOT / folder).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".txt", ".cff"}]
    files.append(ROOT / "Makefile")
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in files if path.is_file()}
    mentions = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path, text in texts.items()
        if "__pycache__" not in path.parts
        for found in places.finditer(text)
    ]
    assert mentions == []


def test_every_room_has_its_line_in_the_map() -> None:
    chapter = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## The map")[2].partition("\n## ")[0]
    mapped = re.findall(r"`(\w+)(?:\.py|/)`", "".join(re.findall(r"^\| (.*?) \|", chapter, flags=re.MULTILINE)))
    assert sorted(mapped) == sorted(LEVELS)


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    """So that a room's modules need no list of their own."""
    texts = {path: ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in MODULES}
    assert [str(path) for path, text in texts.items() if not text] == []


def test_a_folder_of_tests_needs_no_other_one() -> None:
    """What tests of several folders share stands beside the folders, or it is found in whole runs alone."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    folders = {path.stem: path.parent for path in tests}
    borrowed = [
        f"{path.relative_to(ROOT)}: {imported.name}"
        for path in tests
        for imported in imports(ast.parse(path.read_text("utf-8")), path.stem)
        if folders.get(imported.name, path.parent) != path.parent
    ]
    assert borrowed == []


INTERNAL_ERRORS = frozenset(
    {"MuonstreamError", "BrokenError", "ProtocolError", "RefusedError", "PostError", "RedirectError", "StoppedError"}
)
"""The root, and errors that are caught inside the room that raises them."""


def test_errors_for_users_have_one_root() -> None:
    bases: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}

    def has_root(name: str) -> bool:
        return name == "MuonstreamError" or any(has_root(base) for base in bases.get(name, ()))

    assert {name for name in bases if not has_root(name)} == INTERNAL_ERRORS - {"MuonstreamError"}


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = ("numpy", "numba", "bokeh", "pydantic", "starlette", "uvicorn", "confluent_kafka")
    program = f"import sys, muonstream.cli.app; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
