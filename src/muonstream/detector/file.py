"""A detector as the text of a detector file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from muonstream.detector.model import BoardChannel, Chamber, Detector
from muonstream.detector.thresholds import Thresholds


def source_text(name: str) -> str:
    """The text of a detector file, or of a bundled one by its name. Raises OSError when it cannot be read."""
    if name in Detector.bundled():
        return (resources.files("muonstream.detector") / f"{name}.toml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8")


def _value(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the one that TOML wants and JSON does not
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e9 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, BoardChannel):
        parts = {"board": value.board, "channel": value.channel} | ({"name": value.name} if value.name else {})
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in parts.items()) + " }"
    if isinstance(value, Iterable):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    raise TypeError(type(value))


def detector_toml(
    detector: Detector, *, remarks: Iterable[str] = (), chamber_remarks: Mapping[int, Iterable[str]] | None = None
) -> str:
    """The detector file of a detector: numbers to the sixth decimal, values that are the default left out.

    remarks: lines of comment at the beginning; chamber_remarks: before each chamber, by its number
    """
    lines = [f"# {line}" for remark in remarks for line in remark.splitlines()]
    if lines:
        lines.append("")
    for key in ("name", "description", "estimated", "boards", "scintillators", "triggers"):
        value = getattr(detector, key)
        if value or key == "name":
            lines.append(f"{key} = {_value(value)}")
    for chamber in detector.chambers:
        lines.append("")
        lines += [f"# {line}" for line in (chamber_remarks or {}).get(chamber.number, ())]
        lines.append("[[chambers]]")
        for key, field in Chamber.model_fields.items():
            value = getattr(chamber, key)
            if key != "drift" and (field.is_required() or value != field.default):
                lines.append(f"{key} = {_value(value)}")
        if chamber.drift is not None:
            table = chamber.drift.as_plain().items()
            lines += ["", "[chambers.drift]", *(f"{key} = {_value(value)}" for key, value in table)]
    limits = [
        f"{key} = {_value(value)}"
        for key, field in Thresholds.model_fields.items()
        if (value := getattr(detector.thresholds, key)) != field.default
    ]
    if limits:
        lines += ["", "[thresholds]", *limits]
    if detector.guidance:
        lines += ["", "[guidance]", *(f"{_value(check)} = {_value(text)}" for check, text in detector.guidance)]
    for one in detector.known:
        lines += ["", "[[known]]", *(f"{key} = {_value(value)}" for key, value in one.as_plain().items())]
    return "\n".join(lines) + "\n"
