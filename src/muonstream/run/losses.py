"""Reasons to doubt a run's numbers: inputs read in the wrong form, words that were lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from muonstream.formats.block import InputReport
from muonstream.formats.recognise import BINARY
from muonstream.run.inputs import InputTotals
from muonstream.run.monitor import Snapshot

ENOUGH_ROWS: Final = 100
"""From this many rows of a text on, most of them must be good."""


def misread(snapshot: Snapshot) -> str:
    """A line about the first input that mostly did not fit the form it was read as, "" without such an input.

    Those are texts with mostly malformed rows, and binary files with mostly bytes out of step. All rows of a short text
    must be malformed for that.
    """
    return misread_input(snapshot.inputs)


def misread_input(inputs: Iterable[InputReport]) -> str:
    """The same of inputs' reports."""
    for report in inputs:
        rows = report.words + report.malformed
        over = report.bytes.passed_over
        if report.format in BINARY:
            if report.steps_lost and 2 * over > report.size:
                return (
                    f"{report.name}: found no words of the boards in {over:,} of {report.size:,} bytes, which were "
                    f"passed over; its format ({report.format}) is wrong, or most of it is damaged"
                )
        elif report.malformed and 2 * report.malformed > rows and (rows >= ENOUGH_ROWS or not report.words):
            return (
                f"{report.name}: found {report.malformed:,} malformed of {rows:,} rows, expected a few at most; "
                f"most of it was not counted: its format ({report.format}) or its rows are wrong"
            )
    return ""


def wrong_detector(snapshot: Snapshot) -> str:
    """A line where most hits are of channels that the detector file does not have, "" otherwise."""
    account = snapshot.account
    hits = account.hits + account.scintillator + account.trigger + account.unmapped
    if 2 * account.unmapped <= hits:
        return ""
    return (
        f"{account.unmapped:,} of {hits:,} words of HEAD 2 are of channels that the detector file "
        f"({snapshot.detector.name}) does not have; muonstream inspect shows which, and suggests a file"
    )


def losses(snapshot: Snapshot) -> str:
    """What was lost, left out or counted twice, and accounts that do not balance, in one line; "" for nothing."""
    account = snapshot.account
    words = [
        f"{number:,} {name}"
        for number, name in ((account.malformed, "malformed"), (account.late, "late"), (account.stray, "stray"))
        if number
    ]
    limit = snapshot.detector.thresholds.unmapped_words[0]
    if account.unmapped > limit * account.words:
        words.append(f"{account.unmapped:,} unmapped (more than {limit:.0%})")
    found = [f"of the words, {', '.join(words)}"] if words else []
    found += [f"{number:,} {what}" for number, what in InputTotals.of(snapshot.inputs).suspect]
    return ", ".join(found)
