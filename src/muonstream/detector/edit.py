"""A detector file with new numbers in it, and everything else, comments above all, as its author wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from muonstream.detector.file import detector_toml
from muonstream.detector.model import Chamber, Detector, DetectorError, parse
from muonstream.detector.relation import DriftRelation
from muonstream.errors import MuonstreamError

DIGITS: Final = 6
CHAMBER: Final = re.compile(r"(?m)^[ \t]*\[\[[ \t]*chambers[ \t]*\]\]")
NUMBER: Final = re.compile(r"(?m)^[ \t]*(?:cell_width_mm|cell_height_mm|z_mm|drift_velocity_um_per_ns)[ \t]*=.*\n")
"""Lines that every chamber has, each whole."""
WRITTEN_BEFORE: Final = re.compile(
    r"(?m)^# (drift velocity .*, time offset .*|place .*, tilt .*, from \d+ pairs)\n"
    r"(?=(# .*\n)*[ \t]*\[\[[ \t]*chambers)"
)
"""The remarks of an earlier calibration, which new ones replace."""


class EditError(MuonstreamError):
    """A detector file that cannot be edited in place: one line with the reason."""


def edited_toml(
    text: str,
    detector: Detector,
    *,
    remarks: Iterable[str] = (),
    chamber_remarks: Mapping[int, Iterable[str]] | None = None,
) -> str:
    """The text of a detector file, with those values changed that `detector` has otherwise.

    text: a detector file of the same chambers in the same order; numbers are written to the sixth decimal
    remarks: lines of comment at the beginning; chamber_remarks: before each chamber, by its number

    Needs the extra `toml`. Raises EditError without it, and for a file that cannot hold the new values where they are.
    """
    try:
        import tomlkit
    except ImportError:
        raise EditError("comments are kept by the extra toml: pip install 'muonstream[toml]'") from None
    before = parse(text, "the detector file")
    if [chamber.number for chamber in before.chambers] != [chamber.number for chamber in detector.chambers]:
        raise EditError("the file has other chambers")
    document = tomlkit.parse(WRITTEN_BEFORE.sub("", text))
    for key in ("name", "description", "estimated"):
        if getattr(before, key) != getattr(detector, key):
            document[key] = _plain(getattr(detector, key))
    headed = len(CHAMBER.findall(text)) == len(detector.chambers)
    above, below = [], []
    tables: Any = document["chambers"]
    for table, old, new in zip(tables, before.chambers, detector.chambers, strict=True):
        changed = {
            key: _plain(getattr(new, key)) for key in Chamber.model_fields if getattr(old, key) != getattr(new, key)
        }
        # a new key would come after what stands behind the table, such as comments about the next one
        added = {key: changed.pop(key) for key in list(changed) if headed and key not in table}
        table.update(changed)
        above.append("".join(f"# {line}\n" for line in (chamber_remarks or {}).get(new.number, ())))
        below.append("".join(f"{key} = {_inline(value)}\n" for key, value in added.items()))
    made = tomlkit.dumps(document)
    made = _around_chambers(made, above, below) if headed else "".join(above) + made
    made = "".join(f"# {line}\n" for remark in remarks for line in remark.splitlines()) + made
    try:
        same = parse(made, "the edited file") == _rest_of(before, parse(detector_toml(detector), "the new file"))
    except DetectorError as error:
        raise EditError(str(error).partition("\n")[0]) from None
    if not same:
        raise EditError("the file cannot hold the new values where they are")
    return made


def _rest_of(before: Detector, detector: Detector) -> Detector:
    """The detector with what is not edited, such as thresholds, as it was before."""
    kept = ("boards", "scintillators", "triggers", "thresholds", "guidance", "known")
    return detector.model_copy(update={key: getattr(before, key) for key in kept})


def _plain(value: Any) -> Any:
    """A value as TOML has it."""
    if isinstance(value, DriftRelation):
        return {key: _plain(one) for key, one in value.as_plain().items()}
    if isinstance(value, float):
        rounded = round(value, DIGITS)
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _inline(value: Any) -> str:
    """A value of `_plain` in one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + " }"
    return str(value)


def _around_chambers(text: str, above: Sequence[str], below: Sequence[str]) -> str:
    """A text with lines above the heading of each chamber, and below its last number. Raises EditError."""
    headings = list(CHAMBER.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end, before, after in reversed(list(zip(headings, ends, above, below, strict=True))):
        numbers = list(NUMBER.finditer(text, heading.end(), end))
        if not numbers:
            raise EditError(f"found no line of a chamber such as 'z_mm = 0' after {heading[0]}")
        last = numbers[-1].end()
        text = text[: heading.start()] + before + text[heading.start() : last] + after + text[last:]
    return text
