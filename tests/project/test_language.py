"""Phrases that are always wrong are in no source, message or document; all others are read for, not searched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RATHER = {
    r"(?<!there )(?<!There )\b(is|are) no (?!longer\b|such\b|more\b|\w+ (in|of|at|for|from|to)\b)[a-z]": "is not a ...",
    r"\bgone on with\b": "resumed, continued",
    r"\b(cannot|not) be had\b|\bto be had\b": "is not available",
    r"\banew\b": "again",
    r"\bsome \d+ (s|ms|min|h|%)\b": "about",
    r"\b[Nn]obody\b": "say what is not done, or no one",
    r"\bis there already\b": "already exists",
    r"\ballowed (is|are)\b": "expected",
    r"\bsaid in one line\b": "reported in one line",
    r"\b(takes?|taken) apart\b": "decodes",
    r"\bon its way\b": "in flight",
    r"(?<!such )\bas \d+:\d": "such as",
}
FOLDERS = (
    "src",
    "docs",
    "tools",
    "benchmarks",
    "deploy",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
)


def wrong(text: str) -> list[str]:
    return [found.group() for pattern in RATHER for found in re.finditer(pattern, text)]


def test_no_phrase_is_used_that_is_always_wrong() -> None:
    there = [
        path for name in FOLDERS for path in ((ROOT / name).rglob("*") if (ROOT / name).is_dir() else [ROOT / name])
    ]
    files = [path for path in there if path.suffix in {".py", ".md", ".js", ".html", ".yaml"}]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): wrong(path.read_text("utf-8")) for path in files}
    # the style page names some of them
    chapter = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Style")[2].partition("\n## ")[0]
    assert chapter
    found["CONTRIBUTING.md"] = [one for one in found["CONTRIBUTING.md"] if one not in wrong(chapter)]
    assert {path: phrases for path, phrases in found.items() if phrases} == {}


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("a pipe is no file", ["is no f"]),
        ("there is no reference yet; it is no longer read", []),
        ("it took some 10 s", ["some 10 s"]),
        ("in some files", []),
        ("CHAMBER:CELL, as 2:17", ["as 2:1"]),
        ("CHAMBER:CELL, such as 2:17", []),
        ("the topic cannot be had", ["cannot be had"]),
    ],
)
def test_wrong_phrases_are_told_from_right_ones(text: str, phrases: list[str]) -> None:
    assert wrong(text) == phrases
