"""Verdicts on times: where time boxes begin, drift velocities, whether boards keep step, a late scintillator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.level import Level
from muonstream.verdicts.findings import Finding, graded
from muonstream.verdicts.timebox import Edge, TimeBox

TIMING_SIGMAS = 3.0
"""Edges' errors are generous, so that three of them are enough."""
SEGMENT_SIGMAS = 4.0
SHORT_S = 30.0
"""Errors of velocities by segments are not generous. Three of them are enough in stretches that are renewed while a
level has to last; in longer ones, of quiet telescopes, chance lasts as long as they do."""
T0_SIGMAS = 4.0
"""The lower edge of a box with few hits tends to be found up to a nanosecond late."""
T0_BEYOND: Final = 1.0
"""By so many of its errors a time has to pass a limit: the limits are but a few errors wide, and in a day there are
thousands of stretches, so that in one of them a healthy chamber's time is just beyond."""


def judge_timing(
    catalogue: Catalogue,
    boxes: Mapping[int, TimeBox],
    velocities: Mapping[int, tuple[float, float]] | None = None,
    crossed_s: float = 0.0,
) -> Iterator[Finding]:
    """When time boxes begin and how wide they are, whether boards keep step, and whether the scintillator is late.

    velocities: by segments, um/ns with errors, by chamber; they say more than the width of a box
    crossed_s: how long the stretch is that they are of
    """
    detector, thresholds = catalogue.detector, catalogue.detector.thresholds
    begins = {c: box.begin for c, box in boxes.items()}
    common, shared, late = _common_shift(catalogue, begins)
    if late is not None:
        yield late
    begins = {c: Edge(e.position_ns - common, e.error_ns) if c in shared else e for c, e in begins.items()}
    steps = _board_steps(catalogue, begins)
    off_board = {board: step for board, (step, level) in steps.items() if level > Level.GOOD}
    for board, (step, level) in steps.items():
        limit = graded(abs(step), thresholds.board_step_ns)[1]
        reason = f"its times are {step:+.1f} ns from the scintillator's board"
        yield Finding("board step", f"Board {board}", level, reason, value=step, limit=limit, unit="ns")
    for c, chamber in enumerate(detector.chambers):
        if c not in begins:
            yield Finding("t0", chamber.name, Level.NULL, "no clear time box yet", chamber.name)
        else:
            shift, error = begins[c].position_ns - off_board.get(chamber.board, 0.0), begins[c].error_ns
            level, limit = _limited(shift, thresholds.t0_shift_ns, error, T0_SIGMAS, beyond=T0_BEYOND)
            reason = f"the time box begins at {shift:+.1f} ± {error:.1f} ns"
            yield Finding("t0", chamber.name, level, reason, chamber.name, shift, limit, "ns")
    sigmas = TIMING_SIGMAS if crossed_s <= SHORT_S else SEGMENT_SIGMAS
    yield from _judge_velocities(catalogue, boxes, velocities or {}, sigmas)


def _judge_velocities(
    catalogue: Catalogue, boxes: Mapping[int, TimeBox], by_segments: Mapping[int, tuple[float, float]], sigmas: float
) -> Iterator[Finding]:
    """Drift velocities compared with the detector file's; a change in all chambers, as by the gas, is one finding."""
    chambers, limits = catalogue.detector.chambers, catalogue.detector.thresholds.velocity_change
    told: dict[int, tuple[float, float, str]] = {}
    for c, room in enumerate(chambers):
        if c in by_segments:
            speed, error = by_segments[c]
            reason = f"segments say {speed:.2f} ± {error:.2f} um/ns, the file {room.drift_velocity_um_per_ns:g}"
            told[c] = speed / room.drift_velocity_um_per_ns - 1, error / speed, reason
        elif c in boxes:
            box = boxes[c]
            change = room.t_max_ns / box.width_ns - 1
            speed = room.drift_velocity_um_per_ns * (1 + change)
            reason = f"the longest drift time is {box.width_ns:.1f} ± {box.width_error_ns:.1f} ns: {speed:.2f} um/ns"
            told[c] = change, box.width_error_ns / box.width_ns, reason
    shared = 0.0
    if len(chambers) > 1 and len(told) == len(chambers):
        mean, error, agree = _agreed([Edge(change, error) for change, error, _ in told.values()], limits[0])
        level, limit = _limited(mean, limits, error, TIMING_SIGMAS)
        if level > Level.GOOD and agree:
            shared = mean
        else:
            level, limit = min(level, Level.GOOD), limits[0]
        reason = f"drift velocities of all chambers are {mean:+.1%} ± {error:.1%} from the file's"
        yield Finding("velocity", "Detector", level, reason, value=mean, limit=limit)
    for c, room in enumerate(chambers):
        if c not in told:
            yield Finding("velocity", room.name, Level.NULL, "no clear time box yet", room.name)
            continue
        change, error, reason = told[c]
        level, limit = _limited(change - shared, limits, error, sigmas if c in by_segments else TIMING_SIGMAS)
        yield Finding("velocity", room.name, level, reason, room.name, change - shared, limit)


def _limited(
    value: float, limits: tuple[float, float], error: float, sigmas: float, *, beyond: float = 0.0
) -> tuple[Level, float]:
    """The level of a value with an error: a possible fluctuation is Good, or Null where even Bad might be one.

    beyond: by how many errors a value has to pass a limit
    """
    level, limit = graded(max(abs(value) - beyond * error, 0.0), limits, chance=abs(value) < sigmas * error)
    if level is Level.GOOD and TIMING_SIGMAS * error > limits[1] * 1.5:
        level = Level.NULL
    return level, limit


def _common_shift(catalogue: Catalogue, begins: Mapping[int, Edge]) -> tuple[float, set[int], Finding | None]:
    """By how much time boxes begin late together, ns, for which the scintillator is the cause, and of which chambers.

    All that have moved must have moved alike, on the scintillator's own board as on the others, and be most of them:
    those that muons with a scintillator's signal cross seldom show it later.
    """
    detector, limits = catalogue.detector, catalogue.detector.thresholds.t0_shift_ns
    if not detector.scintillators or len(begins) < 2:
        return 0.0, set(), None
    least = {c: max(limits[0] + T0_BEYOND * e.error_ns, T0_SIGMAS * e.error_ns) for c, e in begins.items()}
    moved = {c for c, e in begins.items() if abs(e.position_ns) > least[c]}
    hosts = {s.board for s in detector.scintillators}
    boards = {detector.chambers[c].board for c in moved}
    of_all = bool(boards & hosts) and boards >= {detector.chambers[c].board for c in begins}
    mean, error, agree = _agreed([begins[c] for c in moved or begins], limits[1])
    level, limit = _limited(mean, limits, error, T0_SIGMAS, beyond=T0_BEYOND)
    if not moved or not of_all or not agree or 2 * len(moved) <= len(begins):
        moved, level, limit = set(), Level.GOOD, limits[0]
    reason = f"the time boxes of {len(moved or begins)} chambers begin at {mean:+.1f} ± {error:.1f} ns"
    finding = Finding("scintillator time", "Scintillator", level, reason, value=-mean, limit=limit, unit="ns")
    return mean, moved if level > Level.GOOD else set(), finding


def _agreed(edges: Sequence[Edge], apart_ns: float) -> tuple[float, float, bool]:
    """The mean of edges, its error, and whether they are one within their errors or so many ns."""
    weights = np.array([edge.error_ns**-2 for edge in edges])
    places = np.array([edge.position_ns for edge in edges])
    mean, error = float((weights * places).sum() / weights.sum()), float(weights.sum() ** -0.5)
    spread = float(np.abs(places - mean).max())
    return mean, error, spread < max(apart_ns, TIMING_SIGMAS * max(edge.error_ns for edge in edges))


def _board_steps(catalogue: Catalogue, begins: Mapping[int, Edge]) -> dict[int, tuple[float, Level]]:
    """By how much each board's chambers all begin late, ns, where they agree, against the scintillator's board."""
    detector, thresholds = catalogue.detector, catalogue.detector.thresholds
    hosts = {s.board for s in detector.scintillators}
    out: dict[int, tuple[float, Level]] = {}
    for board in detector.boards:
        edges = [begins[c] for c, chamber in enumerate(detector.chambers) if chamber.board == board and c in begins]
        if board in hosts or not hosts or len(edges) < 2:
            continue
        mean, error, agree = _agreed(edges, thresholds.t0_shift_ns[1])
        chance = not agree or abs(mean) < TIMING_SIGMAS * error
        level, _ = graded(abs(mean), thresholds.board_step_ns, chance=chance)
        out[board] = (mean, level)
    return out
