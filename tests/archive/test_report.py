"""The report is one file with everything in it, well formed, and cannot be made to run anything."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from archived_runs import counted

from muonstream.archive.compare import compare
from muonstream.archive.people import Comment, Flag, People
from muonstream.archive.report import Reported, number, report_html

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "br", "rect", "path", "polyline"}


class Checker(HTMLParser):
    """Keeps what is open, and every tag and attribute that was met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_is_whole_and_self_contained() -> None:
    people = People((Comment(EVIL, EVIL, 1.0),), (Flag("bad", EVIL, EVIL, 1.0, 2.0),))
    one = Reported(replace(counted(1), run=EVIL), {"number": 7, "provenance": {"host": EVIL}}, "ended", people)
    compared = ("sim2", *compare(counted(1), counted(2)))
    text = report_html([one, Reported(counted(1), {}, "interrupted", People(), compared)], title=EVIL, made=1.7e9)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert "script" not in checker.tags
    assert checker.links == []
    assert "Compared with sim2" in text
    assert text.count("<svg") == 2 * 12
    assert "The account balances." in text
    assert "% of the data time is not flagged as bad" in text


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1234.5678, 1.2, "1,234.6 ± 1.2"),
        (0.98765, 0.0123, "0.988 ± 0.012"),
        (5e6, None, "5,000,000"),
        (0.123456789, None, "0.123457"),
        (100.0, 30.0, "100 ± 30"),
        (1.0, 0.0, "1"),
        (0.0, 9.3e-6, "0 ± 9.3e-06"),
    ],
)
def test_values_are_shown_to_two_digits_of_their_error(value: float, error: float | None, shown: str) -> None:
    assert number(value, error) == shown


def test_provenance_is_told_in_words() -> None:
    references = [
        {"name": "Run7", "file": "a.muonrun", "id": "a", "by": "", "since_wall_time": 0.0, "until_wall_time": 1.7e9},
        {"name": "Run8", "file": "b.muonrun", "id": "b", "by": "Ann", "since_wall_time": 1.7e9, "until_wall_time": 0.0},
    ]
    known = {"check": "dead cell", "subject": "Chamber 3 cell 20", "run": "Run7", "why": "wire", "name": "Ann"}
    run = {"number": 8, "provenance": {"references": references, "remembered": [known], "host": "daq"}}
    text = report_html([Reported(counted(1), run, "ended", People((), (Flag("good"),)))])
    assert "Run7 (until 2023-11-14 " in text
    assert "Run8 (set by Ann from 2023-11-14 " in text
    assert "Chamber 3 cell 20: dead cell, known from Run7 on, wire (Ann)" in text
    assert "whole detector, whole run</td>" in text
    assert not re.search(r"[\[{]&#x27;|>None<|\(\)", text)


def test_many_runs_are_called_by_their_number_and_times() -> None:
    runs = [Reported(replace(counted(1), begun_wall_time=1.7e9 + 3600 * n), {}, "ended", People()) for n in range(4)]
    assert "<h1>4 runs, begun 2023-11-14 " in report_html(runs)
    assert "<h1>sim1, sim1</h1>" in report_html(runs[:2])
    assert report_html(runs[:1]).count(">sim1</h") == 1
