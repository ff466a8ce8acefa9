"""A detector file that would fit the channels of a survey, for a person to complete: positions are not in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from muonstream.detector.file import detector_toml
from muonstream.detector.model import BoardChannel, Chamber, Detector
from muonstream.survey.digest import ChannelDigest, SurveyDigest
from muonstream.words import CHANNEL_MASK

COLUMN_CHANNELS: Final = 16
"""Chambers begin and end at multiples of this: four columns of four layers."""
CHAMBER_CHANNELS: Final = 64
FEWEST_ACTIVE: Final = 8
"""Number of active channels that a chamber must have to be suggested."""
FEW_OF_COLUMN: Final = 3
ENOUGH_HITS: Final = 20
COMPANY: Final = 0.5
COMPANY_FACTOR: Final = 1.8
SPACING_MM: Final = 100.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A detector file as text that `Detector` can load, and what its author should know; "" when none is needed."""

    toml: str = ""
    remarks: tuple[str, ...] = ()


def fits(found: SurveyDigest) -> bool:
    """Whether a detector file names all channels with more than a few words, and has no board that is silent."""
    limit = max(found.hits / 1000, 2)
    strange = [one for one in found.unknown() if one.hits > limit or one.hits >= ENOUGH_HITS]
    return not strange and not found.missing_boards


def suggest(found: SurveyDigest, detector: Detector) -> Suggestion:
    """A detector file for the boards and channels that were seen, unless the present one fits them.

    Chambers that the present file has, at the same board and channels, are taken from it.
    """
    if not found.hits or fits(found):
        return Suggestion()
    chambers: list[Chamber] = []
    singles: dict[str, list[BoardChannel]] = {"scintillators": [], "triggers": []}
    remarks: list[str] = []
    for board in found.boards:
        mine = [one for one in found.channels if one.board == board.board and one.hits]
        special = _specials(mine)
        for one, what, why in special:
            singles[what].append(BoardChannel(board=one.board, channel=one.channel))
            remarks.append(f"board {one.board} channel {one.channel} as one of the {what}: {why}")
        taken = {one.channel for one, _, _ in special}
        limit = max(board.hits / 20_000, 1)
        cells = [one for one in mine if one.channel not in taken and one.hits > limit]
        left = [one for one in mine if one.channel not in taken and one.hits <= limit and not one.what]
        for first, n, active in _ranges([one.channel for one in cells], taken):
            if active < FEWEST_ACTIVE:
                left += [one for one in cells if first <= one.channel < first + n]
                continue
            for begin in range(first, first + n, CHAMBER_CHANNELS):
                size = min(CHAMBER_CHANNELS, first + n - begin)
                chambers.append(_chamber(detector, board.board, begin, size, chambers))
        outside = [one for one in left if not any(_holds(chamber, one) for chamber in chambers)]
        remarks += [
            f"board {one.board} channel {one.channel} is left out: {one.hits:,} words"
            for one in outside[:CHAMBER_CHANNELS]
        ]
    if not chambers:
        return Suggestion(remarks=("no range of channels looks like a chamber, so no detector file is suggested",))
    if _wired(chambers, singles) == _wired(list(detector.chambers), _singles(detector)):
        return Suggestion()
    new = Detector(
        name="suggested",
        description="Sketch from the channels seen in a file: positions, offsets and orders of layers are guesses",
        estimated=tuple(f"chambers[{index}].z_mm" for index in range(len(chambers))),
        chambers=tuple(chambers),
        scintillators=tuple(singles["scintillators"]),
        triggers=tuple(singles["triggers"]),
    )
    return Suggestion(detector_toml(new, remarks=remarks), tuple(remarks))


def _singles(detector: Detector) -> dict[str, list[BoardChannel]]:
    return {"scintillators": list(detector.scintillators), "triggers": list(detector.triggers)}


def _wired(chambers: list[Chamber], singles: dict[str, list[BoardChannel]]) -> set[tuple[str, int, int, int]]:
    """The connections of a detector, without names and positions."""
    cells = {("chamber", one.board, one.first_channel, one.cells) for one in chambers}
    return cells | {(what, one.board, one.channel, 1) for what, ones in singles.items() for one in ones}


def _specials(mine: list[ChannelDigest]) -> list[tuple[ChannelDigest, str, str]]:
    """Channels that are not cells: by the present detector file, or by their behaviour."""
    many = [one for one in mine if one.hits >= ENOUGH_HITS]
    usual = float(np.median([one.in_company for one in many])) if many else 0.0
    active = {one.channel for one in mine}
    found = []
    for one in mine:
        if one.what in ("trigger", "scintillator") and (one.tdc_codes == 1 or _alone(one.channel, active)):
            found.append((one, f"{one.what}s", "as in the present detector file"))
        elif " cell " in one.what or one.hits < ENOUGH_HITS:
            continue
        elif one.tdc_codes == 1:
            found.append((one, "triggers", f"all {one.hits:,} words have TDC {one.only_tdc}"))
        elif one.in_company > max(COMPANY, COMPANY_FACTOR * usual) and _alone(one.channel, active):
            share = f"{100 * one.in_company:.0f} %"
            found.append((one, "scintillators", f"{share} of its words coincide with three other channels"))
    return found


def _alone(channel: int, active: set[int]) -> bool:
    """Whether few channels of its column are active, as those of a cell's are."""
    first = channel // COLUMN_CHANNELS * COLUMN_CHANNELS
    return sum(other in active for other in range(first, first + COLUMN_CHANNELS)) <= FEW_OF_COLUMN


def _ranges(channels: list[int], taken: set[int]) -> list[tuple[int, int, int]]:
    """Ranges of channels as (first, how many, active ones), from multiples of 16 on, without the taken ones."""
    columns: dict[int, int] = {}
    for channel in channels:
        column = channel // COLUMN_CHANNELS
        if not taken & set(range(column * COLUMN_CHANNELS, (column + 1) * COLUMN_CHANNELS)):
            columns[column] = columns.get(column, 0) + 1
    out: list[tuple[int, int, int]] = []
    for column in sorted(columns):
        first = column * COLUMN_CHANNELS
        if out and out[-1][0] + out[-1][1] == first:
            out[-1] = out[-1][0], out[-1][1] + COLUMN_CHANNELS, out[-1][2] + columns[column]
        else:
            out.append((first, COLUMN_CHANNELS, columns[column]))
    return [(first, min(n, CHANNEL_MASK + 1 - first), active) for first, n, active in out]


def _holds(chamber: Chamber, one: ChannelDigest) -> bool:
    return chamber.board == one.board and 0 <= one.channel - chamber.first_channel < chamber.cells


def _chamber(detector: Detector, board: int, first: int, size: int, before: list[Chamber]) -> Chamber:
    number = len(before) + 1
    for known in detector.chambers:
        if (known.board, known.first_channel, known.cells) == (board, first, size):
            return known.model_copy(update={"number": number, "name": f"Chamber {number}"})
    return Chamber(
        number=number,
        name=f"Chamber {number}",
        board=board,
        first_channel=first,
        layers=4,
        cells_per_layer=size // 4,
        layer_of_channel=(0, 2, 1, 3),
        layer_shift_mm=(0.0, 21.0, 0.0, 21.0),
        z_mm=SPACING_MM * number,
    )
