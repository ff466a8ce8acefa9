"""Detector files: chambers, boards, channels and geometry of a telescope, in TOML, validated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_serializer, model_validator

from muonstream.detector.channels import ChannelMap, build_channel_map
from muonstream.detector.guidance import guidance_table
from muonstream.detector.known import Known, known_table
from muonstream.detector.relation import DriftRelation, correction_faults, relation_table
from muonstream.detector.toml_text import table_of
from muonstream.errors import MuonstreamError, shown
from muonstream.words import CHANNEL_MASK, FPGA_MASK

MOST_CHAMBERS: Final = 128


# Validators of our own rather than pydantic's bounds, so that a fault can say what is allowed, both ends of it; and
# none takes true for 1 or "3" for 3.
def _whole(low: int, high: int) -> BeforeValidator:
    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        kind = "" if isinstance(value, int) and not isinstance(value, bool) else "whole numbers "
        raise ValueError(f"found {shown(value)}, allowed {kind}{low} to {high}")

    return BeforeValidator(check)


def _number(low: float, high: float, *, above: bool = False) -> BeforeValidator:
    def check(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value <= high and not (above and value == low):  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
        kind = "" if is_number else "numbers "
        wanted = f"more than {low:g}, up to {high:g}" if above else f"{low:g} to {high:g}"
        raise ValueError(f"found {shown(value)}, allowed {kind}{wanted}")

    return BeforeValidator(check)


def _label(value: object) -> str:
    if isinstance(value, str) and 1 <= len(value) <= 60 and value.isprintable():
        return value
    raise ValueError(f"found {shown(value)}, expected text of 1 to 60 printable characters")


def _limits(value: object) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        low, high = value
        if all(isinstance(x, int | float) and not isinstance(x, bool) for x in value) and 0 < low <= high < 1e9:
            return float(low), float(high)
    raise ValueError(f"found {shown(value)}, expected two numbers above 0, the second not below the first")


Board = Annotated[int, _whole(0, FPGA_MASK)]
Channel = Annotated[int, _whole(0, CHANNEL_MASK)]
Label = Annotated[str, BeforeValidator(_label)]
Length = Annotated[float, _number(0, 1e5, above=True)]
Position = Annotated[float, _number(-1e6, 1e6)]


Limits = Annotated[tuple[float, float], BeforeValidator(_limits)]


class DetectorError(MuonstreamError, ValueError):
    """A detector file that cannot be used: one line a fault, each with file, key, what was found, what is allowed."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=_Table)


class BoardChannel(_Table):
    """One channel of one board."""

    board: Board
    """FPGA number, 0 to 7."""
    channel: Channel
    """TDC channel of that board, 0 to 511."""
    name: str = ""


class Chamber(_Table):
    """One drift-tube chamber (a superlayer): layers of cells, and where it stands."""

    number: Annotated[int, _whole(1, 999)]
    """What the chamber is called in summaries and results, from 1."""
    name: Label
    board: Board
    """The board that reads it, 0 to 7."""
    first_channel: Channel
    """Its first channel; cell n is channel first_channel + n."""
    layers: Annotated[int, _whole(1, 64)] = 4
    cells_per_layer: Annotated[int, _whole(1, 512)] = 16
    layer_of_channel: tuple[Annotated[int, _whole(0, 63)], ...]
    """Layer from the top (0) of channels n % layers = 0, 1, ...: a permutation of the layers."""
    layer_shift_mm: tuple[Position, ...]
    """Shift of each layer's wires along x, from the top layer on."""
    cell_width_mm: Length = 42.0
    cell_height_mm: Length = 13.0
    time_offset_ns: Annotated[float, _number(-250, 250)] = 0.0
    """Added to hit time less passage time to give the drift time."""
    drift_velocity_um_per_ns: Annotated[float, _number(0, 1000, above=True)] = 53.8
    t_max_ns: Annotated[float, _number(0, 1000, above=True)] = 390.0
    """Longest drift time, half a cell's width."""
    x_mm: Position = 0.0
    """Alignment: where the chamber's middle is along the coordinate it measures."""
    z_mm: Position
    """Height of the chamber's floor."""
    rotation_deg: Annotated[float, _number(-360, 360)] = 0.0
    """Rotation about the vertical; chambers of the same rotation measure the same view."""
    tilt_deg: Annotated[float, _number(-45, 45)] = 0.0
    """Alignment: rotation about the wires; a track has that much less of an angle in the chamber's frame."""
    dead_cells: tuple[Channel, ...] = ()
    """Cells known to be dead, by channel less first_channel."""
    cell_time_offset_ns: tuple[Annotated[float, _number(-100, 100)], ...] = ()
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


class Thresholds(_Table):
    """Limits of verdicts. Pairs are the values above which a verdict is Medium and Bad."""

    missing_cell: Limits = (0.8, 0.95)
    """Share of the expected hits that a cell lacks; expected is the median of its chamber's cells."""
    noisy_cell_hz: Limits = (200.0, 500.0)
    """Noise of a cell: hits in orbits without a passage time."""
    noisy_cell_factor: Limits = (5.0, 10.0)
    """Noise of a cell over the median of its chamber's cells."""
    changed_cell_factor: Limits = (3.0, 5.0)
    """Noise of a cell over what it was in the reference, or before."""
    dead_cells: Limits = (0.01, 0.1)
    """Share of a chamber's cells that are dead, known ones apart."""
    dead_row: Annotated[int, _whole(2, 512)] = 7
    """So many dead cells side by side in a layer are Bad."""
    noise_change: Limits = (0.3, 0.6)
    """Relative change of a chamber's noise against the reference, or what was before."""
    scintillator_change: Limits = (0.3, 0.6)
    """The same of the scintillator's rate."""
    active_cells_change: Limits = (0.1, 0.25)
    """The same of the mean number of active cells in orbits that have any."""
    occupancy_distance: Limits = (0.05, 0.1)
    """Kolmogorov's distance between a chamber's hits by cell and the reference's."""
    t0_shift_ns: Limits = (2.0, 4.0)
    """Where a chamber's time box begins, from 0."""
    velocity_change: Limits = (0.006, 0.018)
    """Relative difference between the drift velocity that the time box's width implies and the file's."""
    board_step_ns: Limits = (8.0, 12.5)
    """Difference between the times of two boards; a bunch crossing is 25 ns."""
    afterpulses: Limits = (0.08, 0.15)
    """Share of a chamber's hits that are followed by another of their cell within 600 ns, beyond chance."""
    afterpulsing_cell: Limits = (0.15, 0.3)
    """The same of one cell."""
    crosstalk: Limits = (0.1, 0.25)
    """Share of the quieter of two neighbouring cells' hits that come with one of the other, beyond pairs alike."""
    segment_rate_change: Limits = (0.3, 0.6)
    """Relative change of a chamber's segments against the reference, or what was before, when muons are looked for."""
    missing_segments: Limits = (0.2, 0.4)
    """Share of the lines that cross a chamber, by the others' segments, without a segment of its own."""
    missing_hits_layer: Limits = (0.15, 0.4)
    """Share of segments that cross a layer, by the other layers' hits, without a hit there."""
    missing_hits_cell: Limits = (0.5, 0.8)
    """The same of a cell."""
    residual_mean_mm: Limits = (0.15, 0.3)
    """How far a layer is from where the other layers' hits put it, on average."""
    residual_width_mm: Limits = (0.7, 0.9)
    """Error of one hit: the width of the core of what hits are from straight tracks."""
    xt_residual_mm: Limits = (0.06, 0.12)
    """Mean residual of hits at some distance from their wires; some 7 % of what the x-t relation is off by there."""
    wrong_hits: Limits = (0.35, 0.6)
    """Share of segments with a hit that is not the track's."""
    missing_rate: Limits = (0.6, 0.8)
    """Share of the other chambers' hits in a typical cell that a chamber lacks."""
    lost_words: Limits = (0.001, 0.01)
    """Share of words late, stray or malformed."""
    unmapped_words: Limits = (0.01, 0.1)
    """Share of words of channels that the detector file does not know."""
    gaps: Limits = (0.1, 0.3)
    """Part of the data time without words, beyond what is usual in the run."""
    stalled_s: Limits = (5.0, 10.0)
    """Time without any new words."""
    min_hits: Annotated[int, _whole(10, 1_000_000)] = 100
    """Hits that are expected of a median cell before any cell is judged."""
    significance: Annotated[float, _number(1, 20)] = 5.0
    """Standard deviations by which a change must stand out before it counts."""


class Detector(_Table):
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
            if part.startswith("[") and part.endswith("]") and part[1:-1].isdecimal():
                index = int(part[1:-1])
                if not isinstance(found, tuple) or index >= len(found):
                    return False
                found = found[index]
            elif isinstance(found, _Table) and part in type(found).model_fields:
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
    tables: dict[str, type[_Table]] = {
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
