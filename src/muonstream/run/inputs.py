"""Totals of a run's inputs: files seen, read and passed over, and the account of their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from muonstream.formats.block import NO_BYTES, ByteAccount, InputReport, counted

SHOWN: Final = 12
"""Number of the newest inputs shown singly, and of those that were passed over."""


@dataclass(frozen=True, slots=True)
class InputTotals:
    """Sums over inputs. read, undecided, passed_over: how many; the others as in `InputReport`

    size, bytes, waiting: of those that are read; unbalanced: inputs whose bytes do not add up
    """

    seen: int
    read: int
    undecided: int
    passed_over: int
    size: int
    waiting: int
    bytes: ByteAccount
    repeated: int
    steps_lost: int
    broken: int
    lost: int
    unbalanced: int

    @classmethod
    def of(cls, reports: Sequence[InputReport]) -> InputTotals:
        """Add up the reports of inputs."""
        read = [report for report in reports if report.status == "read"]
        return cls(
            seen=len(reports),
            read=len(read),
            undecided=sum(report.status == "waiting" for report in reports),
            passed_over=sum(report.status == "passed over" for report in reports),
            size=sum(report.size for report in read),
            waiting=sum(report.waiting for report in read),
            bytes=sum((report.bytes for report in read), start=NO_BYTES),
            repeated=sum(report.repeated for report in reports),
            steps_lost=sum(report.steps_lost for report in reports),
            broken=sum(report.broken for report in reports),
            lost=sum(report.lost for report in reports),
            unbalanced=sum(not report.balanced for report in reports),
        )

    @property
    def suspect(self) -> list[tuple[int, str]]:
        """Counts of what good inputs do not have, with their names."""
        found = [
            (self.bytes.padding, "bytes of padding"),
            (self.bytes.passed_over, "bytes passed over"),
            (self.lost, "words lost before they were read"),
            (self.repeated, "repeated words"),
            (self.steps_lost, "times out of step" if self.steps_lost != 1 else "time out of step"),
            (
                self.broken,
                f"time{'s' * (self.broken != 1)} that compressed data were damaged, cut, or followed by other bytes",
            ),
            (
                self.passed_over + self.undecided,
                "inputs passed over" if self.passed_over + self.undecided != 1 else "input passed over",
            ),
            (self.unbalanced, "inputs whose bytes do not add up"),
        ]
        return [(number, what) for number, what in found if number]

    @property
    def line(self) -> str:
        """One line: how many bytes of how many inputs, and how they were used."""
        parts = [
            f"{number:,} {name.replace('_', ' ')}"
            for name, number in self.bytes.as_dict().items()
            if number or name == "words"
        ]
        if self.waiting:
            parts.append(f"{self.waiting:,} waiting")
        more = self.seen - self.read
        of = counted(self.read, "input") + (f" ({more:,} more passed over or undecided)" if more else "")
        return f"{self.size:,} bytes of {of}: {', '.join(parts)}"


def inputs_json(reports: Sequence[InputReport]) -> dict[str, Any]:
    """The totals, and the newest inputs one by one, as plain JSON types."""
    totals = InputTotals.of(reports)
    over = [report for report in reports if report.status == "passed over"]
    newest = [report for report in reports if report.status != "passed over"][-SHOWN:]
    return {
        **{key: value for key, value in asdict(totals).items() if key != "bytes"},
        "bytes": totals.bytes.as_dict(),
        "suspect": [[number, what] for number, what in totals.suspect],
        "newest": [_shown(report) for report in newest[::-1]],
        "over": [_shown(report) for report in over[: -SHOWN - 1 : -1]],
    }


def _shown(report: InputReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "status": report.status,
        "format": report.format,
        "why": report.why,
        "size": report.size,
        "words": report.words,
    }
