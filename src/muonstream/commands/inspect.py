"""`muonstream inspect`: what is in files, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from muonstream import __version__
from muonstream.commands import common
from muonstream.commands.inspect_tables import show
from muonstream.commands.places import Places
from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.errors import FAILED, INTERRUPTED, MuonstreamError, ToldError, without_secrets
from muonstream.formats.binary import BEGINS_INSIDE
from muonstream.formats.block import NO_BYTES, Block, ByteAccount, InputReport, counted
from muonstream.formats.evidence import Expected
from muonstream.formats.jumps import is_jump
from muonstream.run.monitor import Snapshot
from muonstream.sources.ahead import ahead
from muonstream.sources.files import is_stream, read_blocks
from muonstream.survey.digest import SurveyDigest, digest
from muonstream.survey.remarks import Remark, remarks
from muonstream.survey.suggestion import Suggestion, suggest
from muonstream.survey.survey import Survey

SCHEMA: Final = 1
"""Version of the JSON; it rises when a key changes its meaning or is removed, not when one is added."""
NOTES_KEPT: Final = 100


@dataclass(slots=True)
class Inspection:
    """What was read of one input."""

    file: str
    survey: Survey
    places: Places = field(default_factory=Places)
    notes: list[str] = field(default_factory=list)
    notes_in_all: int = 0
    faults: list[str] = field(default_factory=list)
    bytes: ByteAccount = NO_BYTES
    repeated: int = 0
    steps_lost: int = 0
    report: InputReport | None = None
    format: str = ""

    def unnamed(self, line: str) -> str:
        """A line without the input's name in front."""
        return line.removeprefix(f"{self.file}: ")

    def see(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Passes blocks on and keeps what the inspection needs of them."""
        for block in blocks:
            self.places.add(len(block.words), block.bytes)
            self.survey.feed(block.words)
            self.bytes += block.bytes
            self.repeated += block.repeated
            self.steps_lost += block.steps_lost
            self.notes_in_all += len(block.notes)
            self.notes += map(without_secrets, block.notes[: NOTES_KEPT - len(self.notes)])
            self.faults += map(without_secrets, block.faults[: NOTES_KEPT - len(self.faults)])
            if block.report is not None:
                self.report = block.report
                self.format = block.report.format or self.format
            yield block


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of an inspection, for the tables and for JSON."""

    inspection: Inspection
    detector: Detector
    found: SurveyDigest
    snapshot: Snapshot
    builder_remarks: tuple[str, ...]
    remarks: tuple[Remark, ...]
    suggestion: Suggestion

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON; the keys are described in docs/inspect.md."""
        seen = self.inspection
        return {
            "file": seen.file,
            "error": None,
            "format": seen.format,
            "why": seen.report.why if seen.report else "",
            "bytes": seen.bytes.as_dict()
            | {
                "total": seen.bytes.total,
                "size": seen.report.size if seen.report else None,
                "residual": seen.report.residual if seen.report else None,
            },
            "account": self.snapshot.account.as_dict(),
            "steps_lost": seen.steps_lost,
            "repeated_words": seen.repeated,
            "notes": seen.notes,
            "notes_in_all": seen.notes_in_all,
            "faults": seen.faults,
            "builder_remarks": list(self.builder_remarks),
            "live_time_s": self.snapshot.live_time_s,
            "survey": asdict(self.found),
            "remarks": [asdict(one) for one in self.remarks],
            "suggested_detector": self.suggestion.toml,
        }


def inspect_files(files: list[str], *, detector_name: str, format_name: str | None, as_json: bool = False) -> None:
    """Print what is in files, one after another.

    Raises DetectorError; and ToldError at the end if a file could not be read, which was reported in its turn.
    """
    detector = common.load_detector(detector_name)
    results: list[dict[str, Any]] = []
    exit_code = 0
    for number, file in enumerate(files):
        if not as_json and number:
            common.out.print()
        try:
            found = _inspect(file, detector, format_name)
        except (MuonstreamError, KeyboardInterrupt) as error:
            results.append({"file": without_secrets(file), "error": without_secrets(str(error)) or "interrupted"})
            common.complain(str(error) or "interrupted")
            exit_code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else max(exit_code, FAILED)
            if exit_code == INTERRUPTED:
                break
        else:
            if as_json:
                results.append(found.as_json())
            else:
                _show(found)
    if as_json:
        print(json.dumps({"muonstream": __version__, "schema": SCHEMA, "detector": detector.name, "files": results}))
    if exit_code:
        raise ToldError(exit_code)


def _inspect(file: str, detector: Detector, format_name: str | None) -> Findings:
    expected = Expected.of(detector.channel_map())
    name = without_secrets(file)
    seen = Inspection(name, Survey(expected.known), format=format_name or "")
    with Pipeline(detector, run=name, source=name, pairs=False) as pipeline:
        blocks = read_blocks(file, common.format_of(format_name), expected=expected)
        # a pipe may be waited for, and Ctrl-C should end that
        snapshot = run_blocks(pipeline, seen.see(blocks if is_stream(file) else ahead(blocks)))
        said = getattr(pipeline.builder, "remarks", None)
        builder_remarks = tuple(said()) if callable(said) else ()
    found = digest(seen.survey, detector)
    return Findings(
        inspection=seen,
        detector=detector,
        found=found,
        snapshot=snapshot,
        builder_remarks=builder_remarks,
        remarks=_sorted(
            [
                *_intake(seen, snapshot, found),
                *(Remark("odd", line) for line in builder_remarks),
                *remarks(found, seen.places.text),
            ]
        ),
        suggestion=suggest(found, detector),
    )


def _intake(seen: Inspection, snapshot: Snapshot, found: SurveyDigest) -> Iterator[Remark]:
    """Remarks on what the reader and the builder found in the input."""
    account = snapshot.account
    if seen.report is not None and not seen.report.balanced:
        yield Remark("bad", f"{seen.report.residual:,} bytes are not accounted for")
    if seen.steps_lost:
        times = counted(seen.steps_lost, "time")
        yield Remark(
            "bad", f"out of step {times}, {seen.bytes.passed_over:,} bytes passed over: see the reader's notes"
        )
    elif seen.bytes.passed_over and seen.notes and BEGINS_INSIDE in seen.notes[0]:
        yield Remark("note", seen.unnamed(seen.notes[0]))
    elif seen.bytes.passed_over:
        yield Remark("bad", f"{seen.bytes.passed_over:,} bytes are passed over: see the reader's notes")
    if account.malformed:
        first = f", the first: {seen.unnamed(seen.faults[0])}" if seen.faults else ""
        yield Remark("bad", f"{account.malformed:,} words or rows are malformed{first}")
    for number, what in ((account.late, "late"), (account.stray, "stray")):
        if number:
            yield Remark("bad", f"{number:,} words are {what}: they are in no histogram")
    # a repeated piece does not move the survey's clocks, but the frame builder sees the counter fall
    falls = sum(one.kind in ("reset", "wrap", "board fall") for one in found.events) + found.repeats.pieces
    if snapshot.resets > falls:
        resets = counted(snapshot.resets, "counter reset")
        yield Remark("odd", f"counting found {resets}, but the boards' own words show {falls or 'none'}")
    if not account.balanced:
        yield Remark("bad", f"{account.residual:,} words are not accounted for")
    # the survey itself says where gaps and resets are
    notes = [note for note in seen.notes if not is_jump(note)]
    if notes and not (seen.steps_lost or seen.bytes.passed_over or notes[0] in seen.faults[:1]):
        n = seen.notes_in_all - len(seen.notes) + len(notes)
        yield Remark("odd", f"{counted(n, 'note')} of the reader, the first: {seen.unnamed(notes[0])}")


def _sorted(found: list[Remark]) -> tuple[Remark, ...]:
    return tuple(sorted(found, key=lambda one: ("bad", "odd", "note").index(one.level)))


def _show(findings: Findings) -> None:
    show(
        findings.inspection.file,
        findings.found,
        snapshot=findings.snapshot,
        header=_header(findings),
        places=findings.inspection.places,
        notes=_notes(findings),
        remarks=findings.remarks,
        suggestion=findings.suggestion,
    )


def _header(findings: Findings) -> list[tuple[str, str]]:
    """Properties of the file: names and values."""
    seen, account = findings.inspection, findings.snapshot.account
    lines = []
    if seen.format:
        why = seen.report.why if seen.report else ""
        lines.append(("format", f"{seen.format}: {why}" if why else seen.format))
    if seen.bytes.total:
        parts = [f"{n:,} {name.replace('_', ' ')}" for name, n in seen.bytes.as_dict().items() if n]
        size = seen.report.size if seen.report else seen.bytes.total
        lines.append(("bytes", f"{size:,} = {' + '.join(parts)}"))
        if seen.report and not seen.report.balanced:
            lines.append(("", f"{seen.report.residual:,} bytes are not accounted for"))
    kinds = {name: n for name, n in account.as_dict().items() if n and name not in ("words", "residual", "balanced")}
    parts = [f"{n:,} {name}" for name, n in kinds.items()]
    lines.append(("words", f"{account.words:,} = {' + '.join(parts) or '0'}"))
    return lines


def _notes(findings: Findings) -> list[str]:
    seen, account = findings.inspection, findings.snapshot.account
    # a decoder may report a fault as a note too
    lines = list(dict.fromkeys(seen.unnamed(line) for line in [*seen.notes, *seen.faults[:5]]))
    if seen.notes_in_all > len(seen.notes):
        lines.append(f"{seen.notes_in_all - len(seen.notes):,} more notes")
    if account.malformed > 5:
        lines.append(f"{account.malformed:,} malformed words or rows in all")
    return lines
