"""The page on operation has an entry for everything that asks someone to act: alarms, checks, reasons, exit codes."""

from __future__ import annotations

import ast
import inspect
import re
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from muonstream import errors
from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.dashboard.access.connections import Door
from muonstream.dashboard.health import health
from muonstream.detector.guidance import GUIDANCE
from muonstream.kafka.publisher import Outlet
from muonstream.run import snapshot_codec
from muonstream.sinks.notify import Notifier

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operation.md").read_text("utf-8")


def entries(heading: str) -> dict[str, str]:
    """The rows of a chapter's table: the first cell, and the last."""
    chapter = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|\n").split(" | ")] for line in chapter.splitlines() if line[:1] == "|"
    ]
    assert len(rows) > 2, heading
    return {row[0]: row[-1] for row in rows[2:]}


def texts(function: Callable[..., Any], of: str) -> Iterator[str]:
    """The texts that a function returns (of: return) or calls something with; 0 stands for each value in them."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        values = node.args if isinstance(node, ast.Call) and called == of else []
        if of == "return" and isinstance(node, ast.Return) and node.value is not None:
            values = [node.value.body] if isinstance(node.value, ast.IfExp) else [node.value]
        for value in values:
            parts = value.values if isinstance(value, ast.JoinedStr) else [value]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in parts)
            if any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts):
                yield text


PROBLEMS: list[tuple[Callable[..., Any], str]] = [
    (health, "append"),
    (Door.problem.fget, "return"),  # type: ignore[attr-defined]
    (Outlet.problem, "return"),
    (snapshot_codec.encode, "SnapshotError"),
    (Notifier._work, "_say"),
    (Notifier._died, "_say"),
    (container.locked, "ArchiveError"),
    (container.write, "ArchiveError"),
    (Archive._place, "ArchiveError"),
]


@pytest.mark.parametrize(("function", "of"), PROBLEMS, ids=lambda one: getattr(one, "__qualname__", str(one)))
def test_every_reason_for_which_a_run_is_unhealthy_has_an_entry(function: Callable[..., Any], of: str) -> None:
    patterns = [re.escape(one).replace(re.escape("..."), ".+") for one in entries("Why a run is unhealthy")]
    found = list(texts(function, of))
    assert found
    for text in found:
        if function is Notifier._work or function is Notifier._died:
            text = f"0: {text}"  # the service comes first
        assert [pattern for pattern in patterns if re.fullmatch(pattern, text)], text


def test_every_check_has_its_entry_with_the_guidance_of_the_program() -> None:
    assert entries("Checks") == GUIDANCE


def test_every_alarm_has_an_entry() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-rules.yaml").read_text("utf-8"))
    alarms = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    described = {name for cell in entries("Alarms") for name in cell.split(", ")}
    assert described == alarms


def test_every_exit_code_has_an_entry() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and type(value) is int}
    described = {int(code) for cell in entries("Exit codes") for code in cell.split(", ")}
    assert described == codes | {0, 128 + signal.SIGKILL}
