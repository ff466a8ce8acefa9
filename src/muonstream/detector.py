"""Detector files: chambers, boards, channels and geometry of a telescope, in TOML, validated."""

from __future__ import annotations

import tomllib
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from muonstream.channels import ChannelMap, build_channel_map

Board = Annotated[int, Field(ge=0, le=7, strict=True)]
Channel = Annotated[int, Field(ge=0, le=511, strict=True)]
Length = Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
Position = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class DetectorError(ValueError):
    """A detector file that cannot be used: one line a fault, each with file, key, what was found, what is allowed."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BoardChannel(_Table):
    """One channel of one board."""

    board: Board
    """FPGA number, 0 to 7."""
    channel: Channel
    """TDC channel of that board, 0 to 511."""
    name: str = ""


class Chamber(_Table):
    """One drift-tube chamber (a superlayer): layers of cells, and where it stands."""

    number: Annotated[int, Field(ge=1, le=999, strict=True)]
    """What the chamber is called in summaries and results, from 1."""
    name: Annotated[str, Field(min_length=1, max_length=60)]
    board: Board
    """The board that reads it, 0 to 7."""
    first_channel: Channel
    """Its first channel; cell n is channel first_channel + n."""
    layers: Annotated[int, Field(ge=1, le=64, strict=True)] = 4
    cells_per_layer: Annotated[int, Field(ge=1, le=512, strict=True)] = 16
    layer_of_channel: tuple[Annotated[int, Field(ge=0, le=63, strict=True)], ...]
    """Layer from the top (0) of channels n % layers = 0, 1, ...: a permutation of the layers."""
    layer_shift_mm: tuple[Position, ...]
    """Shift of each layer's wires along x, from the top layer on."""
    cell_width_mm: Length = 42.0
    cell_height_mm: Length = 13.0
    time_offset_ns: Annotated[float, Field(ge=-250, le=250, allow_inf_nan=False)] = 0.0
    """Added to hit time less passage time to give the drift time."""
    drift_velocity_um_per_ns: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 53.8
    t_max_ns: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 390.0
    """Longest drift time, half a cell's width."""
    x_mm: Position = 0.0
    """Alignment: shift of the chamber along its wires' normal."""
    z_mm: Position
    """Height of the chamber's floor."""
    rotation_deg: Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)] = 0.0
    """Rotation about the vertical; chambers of the same rotation measure the same view."""
    dead_cells: tuple[Annotated[int, Field(ge=0, strict=True)], ...] = ()
    """Cells known to be dead, by channel less first_channel."""

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.layers * self.cells_per_layer

    @property
    def view(self) -> Literal["x", "y"]:
        """Which coordinate the chamber measures: x, or y when it is turned by about 90 degrees."""
        return "y" if abs(np.sin(np.radians(self.rotation_deg))) > 0.5 else "x"

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
        if sorted(self.layer_of_channel) != list(range(self.layers)):
            raise ValueError(
                f"layer_of_channel: found {list(self.layer_of_channel)}, allowed is each of 0 to {self.layers - 1} once"
            )
        if len(self.layer_shift_mm) != self.layers:
            raise ValueError(
                f"layer_shift_mm: found {len(self.layer_shift_mm)} numbers, allowed is one a layer ({self.layers})"
            )
        if self.first_channel + self.cells > 512:
            raise ValueError(
                f"first_channel: found {self.first_channel} with {self.cells} cells, "
                f"allowed are channels to 511, so at most {512 - self.cells}"
            )
        beyond = [cell for cell in self.dead_cells if cell >= self.cells]
        if beyond:
            raise ValueError(f"dead_cells: found {beyond[0]}, allowed are 0 to {self.cells - 1}")
        if len(set(self.dead_cells)) != len(self.dead_cells):
            raise ValueError(f"dead_cells: found {list(self.dead_cells)}, allowed is each cell once")
        return self


class Detector(_Table):
    """A telescope: its chambers, scintillators and triggers."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    description: str = ""
    estimated: tuple[str, ...] = ()
    """Keys whose values are estimates, not measurements."""
    boards: tuple[Board, ...]
    """Every board that sends words; chambers, scintillators and triggers may name no other."""
    chambers: Annotated[tuple[Chamber, ...], Field(min_length=1)]
    scintillators: tuple[BoardChannel, ...] = ()
    """Channels whose earliest word in an orbit is the passage time."""
    triggers: tuple[BoardChannel, ...] = ()
    """Channels of boards' internal triggers: no chamber's hits."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        owners: dict[tuple[int, int], str] = {}
        for key, value in Counter(self.boards).items():
            if value > 1:
                raise ValueError(f"boards: found {key} twice, allowed is each board once")
        for label, given in (
            ("number", [str(c.number) for c in self.chambers]),
            ("name", [c.name for c in self.chambers]),
        ):
            for i, text in enumerate(given):
                if text in given[:i]:
                    raise ValueError(f"chambers[{i}].{label}: found {text} again, allowed is a {label} of its own")
        users = [
            (f"chambers[{i}]", c.board, range(c.first_channel, c.first_channel + c.cells))
            for i, c in enumerate(self.chambers)
        ]
        for what, channels in (("scintillators", self.scintillators), ("triggers", self.triggers)):
            users += [(f"{what}[{i}]", bc.board, range(bc.channel, bc.channel + 1)) for i, bc in enumerate(channels)]
        for key_name, board, span in users:
            if board not in self.boards:
                raise ValueError(f"{key_name}.board: found {board}, allowed are the boards {list(self.boards)}")
            for channel in span:
                other = owners.setdefault((board, channel), key_name)
                if other != key_name:
                    raise ValueError(
                        f"{key_name}: found channel {channel} of board {board}, which {other} has; "
                        "allowed are channels that overlap no other's"
                    )
        return self

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
        folder = resources.files("muonstream") / "detectors"
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
            raise DetectorError(
                f"{path}: no such file; allowed are a TOML file or a bundled detector: {known}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DetectorError(f"{path}: cannot be read: {error}") from None
        return parse(text, str(path))


def parse(text: str, file: str) -> Detector:
    """A detector from TOML text; `file` names it in messages. Raises DetectorError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DetectorError(f"{file}: not TOML: {error}") from None
    try:
        return Detector.model_validate(table)
    except ValidationError as error:
        raise DetectorError("\n".join(f"{file}: {_reworded(fault)}" for fault in error.errors())) from None


def _reworded(fault: Any) -> str:
    """One fault of pydantic as `key: found, allowed`."""
    key = ""
    for part in fault["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    if fault["type"] == "value_error":
        inner = str(fault["ctx"]["error"])
        return f"{key}.{inner}" if key else inner
    if fault["type"] == "missing":
        return f"{key}: found nothing, it must be given"
    if fault["type"] == "extra_forbidden":
        return f"{key}: found a key that is not known"
    allowed = fault["msg"].replace("Input should be ", "").replace("Input should ", "")
    return f"{key}: found {fault['input']!r}, allowed is {allowed}"


@cache
def _bundled(name: str) -> Detector:
    text = (resources.files("muonstream") / "detectors" / f"{name}.toml").read_text(encoding="utf-8")
    return parse(text, f"{name}.toml")
