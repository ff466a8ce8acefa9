"""Detector files: chambers, boards, channels and geometry of a telescope, in TOML, validated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, ValidationError, model_serializer, model_validator

from muonstream.detector.channels import ChannelMap, build_channel_map
from muonstream.detector.fields import Board, Channel, Label, Length, Position, Table, number, whole
from muonstream.detector.guidance import guidance_table
from muonstream.detector.known import Known, known_table
from muonstream.detector.relation import DriftRelation, correction_faults, relation_table
from muonstream.detector.thresholds import Thresholds
from muonstream.detector.toml_text import table_of
from muonstream.errors import MuonstreamError, shown
from muonstream.words import CHANNEL_MASK

MOST_CHAMBERS: Final = 128


class DetectorError(MuonstreamError, ValueError):
    """A detector file that cannot be used: one line a fault, each with file, key, what was found, what is allowed."""


Model = TypeVar("Model", bound=Table)


class BoardChannel(Table):
    """One channel of one board."""

    board: Board
    """FPGA number, 0 to 7."""
    channel: Channel
    """TDC channel of that board, 0 to 511."""
    name: str = ""


class Chamber(Table):
    """One drift-tube chamber (a superlayer): layers of cells, and where it stands."""

    number: Annotated[int, whole(1, 999)]
    """What the chamber is called in summaries and results, from 1."""
    name: Label
    board: Board
    """The board that reads it, 0 to 7."""
    first_channel: Channel
    """Its first channel; cell n is channel first_channel + n."""
    layers: Annotated[int, whole(1, 64)] = 4
    cells_per_layer: Annotated[int, whole(1, 512)] = 16
    layer_of_channel: tuple[Annotated[int, whole(0, 63)], ...]
    """Layer from the top (0) of channels n % layers = 0, 1, ...: a permutation of the layers."""
    layer_shift_mm: tuple[Position, ...]
    """Shift of each layer's wires along x, from the top layer on."""
    cell_width_mm: Length = 42.0
    cell_height_mm: Length = 13.0
    time_offset_ns: Annotated[float, number(-250, 250)] = 0.0
    """Added to hit time less passage time to give the drift time."""
    drift_velocity_um_per_ns: Annotated[float, number(0, 1000, above=True)] = 53.8
    t_max_ns: Annotated[float, number(0, 1000, above=True)] = 390.0
    """Longest drift time, half a cell's width."""
    x_mm: Position = 0.0
    """Alignment: where the chamber's middle is along the coordinate it measures."""
    z_mm: Position
    """Height of the chamber's floor."""
    rotation_deg: Annotated[float, number(-360, 360)] = 0.0
    """Rotation about the vertical; chambers of the same rotation measure the same view."""
    tilt_deg: Annotated[float, number(-45, 45)] = 0.0
    """Alignment: rotation about the wires; a track has that much less of an angle in the chamber's frame."""
    dead_cells: tuple[Channel, ...] = ()
    """Cells known to be dead, by channel less first_channel."""
    cell_time_offset_ns: tuple[Annotated[float, number(-100, 100)], ...] = ()
    """Added to the hit times of each cell, beside the chamber's; none for 0 in all."""
    drift: Annotated[DriftRelation | None, BeforeValidator(relation_table)] = None
    """What is added to velocity times drift time; None for a straight relation."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, whole: Any) -> dict[str, Any]:
        # a detector without them is identified as it was before they could be there
        absent = {"cell_time_offset_ns": not self.cell_time_offset_ns, "drift": self.drift is None}
        return {key: value for key, value in whole(self).items() if not absent.get(key)}

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.layers * self.cells_per_layer

    @property
    def view(self) -> Literal["x", "y"]:
        """Which coordinate the chamber measures: x, or y when it is turned by more than 45 degrees to x."""
        angle = np.radians(self.rotation_deg)
        return "y" if abs(np.sin(angle)) > abs(np.cos(angle)) else "x"

    def layer_of_cell(self) -> NDArray[np.int64]:
        """Layer from the top of each cell, int64[cells]."""
        return np.asarray(self.layer_of_channel, dtype=np.int64)[np.arange(self.cells) % self.layers]

    def wire_x_mm(self) -> NDArray[np.floating[Any]]:
        """Wire position of each cell in the chamber's own frame, float64[cells], from its left edge."""
        shift = np.asarray(self.layer_shift_mm)[self.layer_of_cell()]
        wires: NDArray[np.floating[Any]] = (np.arange(self.cells) // self.layers + 0.5) * self.cell_width_mm + shift
        return wires

    def wire_z_mm(self) -> NDArray[np.floating[Any]]:
        """Height of each cell's wire, float64[cells]."""
        return self.z_mm + (self.layers - self.layer_of_cell() - 0.5) * self.cell_height_mm

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        return _refuse(self, self._faults())

    def _faults(self) -> Iterator[str]:
        if sorted(self.layer_of_channel) != list(range(self.layers)):
            found = list(self.layer_of_channel)
            yield f"layer_of_channel: found {found}, expected each of 0 to {self.layers - 1} once"
        if len(self.layer_shift_mm) != self.layers:
            yield f"layer_shift_mm: found {len(self.layer_shift_mm)} numbers, expected one a layer ({self.layers})"
        if self.cells > CHANNEL_MASK + 1:
            yield f"cells_per_layer: found {self.cells} cells in all, allowed {CHANNEL_MASK + 1} at most"
        elif self.first_channel + self.cells > CHANNEL_MASK + 1:
            yield (
                f"first_channel: found {self.first_channel} with {self.cells} cells, "
                f"allowed 0 to {CHANNEL_MASK + 1 - self.cells}"
            )
        for position, cell in enumerate(self.dead_cells):
            if cell >= self.cells:
                yield f"dead_cells[{position}]: found {cell}, allowed 0 to {self.cells - 1}"
            elif cell in self.dead_cells[:position]:
                yield f"dead_cells[{position}]: found {cell} again, expected each cell once"
        velocity = self.drift_velocity_um_per_ns / 1000
        yield from correction_faults(self.cells, self.cell_time_offset_ns, self.drift, velocity)


class Detector(Table):
    """A telescope: its chambers, scintillators and triggers."""

    name: Label
    description: str = ""
    estimated: tuple[str, ...] = ()
    """Keys whose values are estimates, not measurements."""
    boards: tuple[Board, ...] = ()
    """Every board that sends words, in rising order: those the file names, which chambers, scintillators and triggers
    must keep to, or, where it names none, those that these use."""
    chambers: tuple[Chamber, ...]
    scintillators: tuple[BoardChannel, ...] = ()
    """Channels whose earliest word in an orbit is the passage time."""
    triggers: tuple[BoardChannel, ...] = ()
    """Channels of boards' internal triggers: no chamber's hits."""
    thresholds: Thresholds = Thresholds()
    # left out of what identifies a detector: other words of guidance make no other results
    guidance: Annotated[tuple[tuple[str, str], ...], BeforeValidator(guidance_table), Field(exclude=True)] = ()
    """What to do when a check is Medium or Bad, by the check's name, where it is not the default of `GUIDANCE`."""
    known: Annotated[tuple[Known, ...], BeforeValidator(known_table), Field(exclude=True)] = ()
    """Alarms that are known, which are shown apart; as the guidance they are not part of what identifies a detector."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse(self, self._faults())
        boards = self.boards or {board for _, board, _ in self._users()}
        # the one field that is completed from others, before any other code has seen the frozen object
        object.__setattr__(self, "boards", tuple(sorted(boards)))
        return self

    def _users(self) -> Iterator[tuple[str, int, range]]:
        """Whoever has channels: key, board, channels."""
        for i, c in enumerate(self.chambers):
            yield f"chambers[{i}]", c.board, range(c.first_channel, c.first_channel + c.cells)
        for what, channels in (("scintillators", self.scintillators), ("triggers", self.triggers)):
            for i, single in enumerate(channels):
                yield f"{what}[{i}]", single.board, range(single.channel, single.channel + 1)

    def _faults(self) -> Iterator[str]:
        if not 1 <= len(self.chambers) <= MOST_CHAMBERS:
            yield f"chambers: found {len(self.chambers)}, allowed 1 to {MOST_CHAMBERS}"
        for i, board in enumerate(self.boards):
            if board in self.boards[:i]:
                yield f"boards[{i}]: found {board} again, expected each board once"
        for i, chamber in enumerate(self.chambers):
            if chamber.number in [c.number for c in self.chambers[:i]]:
                yield f"chambers[{i}].number: found {chamber.number} again, expected a number of its own"
            if chamber.name in [c.name for c in self.chambers[:i]]:
                yield f"chambers[{i}].name: found {chamber.name!r} again, expected a name of its own"
        owners: dict[tuple[int, int], str] = {}
        owned = sorted({board for _, board, _ in self._users()})
        for key, board, channels in self._users():
            if self.boards and board not in self.boards:
                yield f"{key}.board: found {board}, expected the boards {list(self.boards)}"
            shared: dict[str, list[int]] = {}
            for channel in channels:
                other = owners.setdefault((board, channel), key)
                if other != key:
                    shared.setdefault(other, []).append(channel)
            own_key = f"{key}.first_channel" if key.startswith("chambers") else f"{key}.channel"
            for other, taken in shared.items():
                span = f"channel {taken[0]}" if len(taken) == 1 else f"channels {taken[0]} to {taken[-1]}"
                yield f"{own_key}: found {span} of board {board}, which {other} has, expected channels of its own"
        names = [*(c.name for c in self.chambers), *(f"Board {board}" for board in self.boards or owned)]
        for i, one in enumerate(self.known):
            allowed = [*names, "Scintillator", "Detector", "Stream"]
            if not any(one.subject == name or one.subject.startswith(f"{name} ") for name in allowed):
                yield f"known[{i}].subject: found {one.subject!r}, expected what begins with {', '.join(allowed)}"
        for i, key in enumerate(self.estimated):
            if not self._has(key):
                yield f"estimated[{i}]: found {key!r}, expected a key of this file, such as chambers[0].z_mm"

    def _has(self, key: str) -> bool:
        """Whether a key such as chambers[0].z_mm is there."""
        found: object = self
        for part in key.replace("[", ".[").split("."):
            if part.startswith("[") and part.endswith("]") and part[1:-1].isdecimal() and len(part) < 10:
                index = int(part[1:-1])
                if not isinstance(found, tuple) or index >= len(found):
                    return False
                found = found[index]
            elif isinstance(found, Table) and part in type(found).model_fields:
                found = getattr(found, part)
            else:
                return False
        return True

    def channel_map(self) -> ChannelMap:
        """The tables by which the kernel reads this detector's words."""
        return build_channel_map(
            [(c.board, c.first_channel, c.layer_of_cell()) for c in self.chambers],
            [(s.board, s.channel) for s in self.scintillators],
            [(t.board, t.channel) for t in self.triggers],
        )

    @classmethod
    def bundled(cls) -> list[str]:
        """Names of the detector files that come with the package."""
        folder = resources.files("muonstream.detector")
        return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))

    @classmethod
    def default(cls) -> Detector:
        """The default telescope."""
        return _bundled("telescope")

    @classmethod
    def load(cls, name: str | Path) -> Detector:
        """Read a detector file, or a bundled one by its name.

        Raises DetectorError with one line a fault.
        """
        text_name = str(name)
        if text_name in cls.bundled():
            return _bundled(text_name)
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            known = ", ".join(cls.bundled())
            raise DetectorError(f"{path}: no such file; expected a TOML file or a bundled detector: {known}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DetectorError(f"{path}: cannot be read: {error}") from None
        return parse(text, str(path))


def parse(text: str, file: str) -> Detector:
    """A detector from TOML text; `file` names it in messages. Raises DetectorError, with one line a fault."""
    try:
        table = table_of(text)
    except ValueError as error:
        raise DetectorError(f"{file}{error}") from None
    try:
        return Detector.model_validate(table)
    except ValidationError as error:
        lines = [line for fault in error.errors() for line in _reworded(fault)]
        raise DetectorError("\n".join(f"{file}: {line}" for line in lines)) from None


_KINDS: Final = {
    "tuple_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "string_type": "text",
}


def _refuse(model: Model, faults: Iterator[str]) -> Model:
    """The model itself, unless something is wrong with it. Raises ValueError with one line a fault."""
    lines = list(faults)
    if lines:
        raise ValueError("\n".join(lines))
    return model


def _reworded(fault: Any) -> list[str]:
    """The lines of one fault of pydantic, each as `key: found, allowed`."""
    key = ""
    for part in fault["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    if fault["type"] == "value_error":
        lines = str(fault["ctx"]["error"]).splitlines()
        # a fault of one value says what was found; those of a whole table begin with the key within it
        joins = {"found ": ": ", "[": ""}
        return [
            (key + next((join for begin, join in joins.items() if line.startswith(begin)), ".") + line).lstrip(".")
            for line in lines
        ]
    if fault["type"] == "missing":
        return [f"{key}: found nothing, it must be given"]
    if fault["type"] == "extra_forbidden":
        return [f"{key}: found a key that is not known{_allowed_keys(fault['loc'])}"]
    allowed = _KINDS.get(fault["type"], fault["msg"])
    return [f"{key}: found {shown(fault['input'])}, expected {allowed}"]


def _allowed_keys(loc: tuple[int | str, ...]) -> str:
    tables: dict[str, type[Table]] = {
        "chambers": Chamber,
        "scintillators": BoardChannel,
        "triggers": BoardChannel,
        "thresholds": Thresholds,
    }
    table = Detector if len(loc) == 1 else tables[str(loc[0])]
    names = ", ".join(table.model_fields)
    return f", expected {names}" if names else ", none is allowed yet"


@cache
def _bundled(name: str) -> Detector:
    text = (resources.files("muonstream.detector") / f"{name}.toml").read_text(encoding="utf-8")
    return parse(text, f"{name}.toml")
