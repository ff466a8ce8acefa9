"""Guidance: for each check what to do when it is Medium or Bad, a line or two for the person on shift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from muonstream.errors import shown

GUIDANCE: Final[dict[str, str]] = {
    "account": (
        "Words were lost inside the program. Keep the files and the store, note the time, and report it as a fault of "
        "muonstream: this run's counts cannot be trusted."
    ),
    "active cells": (
        "Events have become larger or smaller. Look at Orbits and Occupancy: noise that several cells share raises it, "
        "lost layers lower it. Check high voltage, thresholds and grounding of the chamber."
    ),
    "afterpulses": (
        "Many hits are followed by another of their cell. Check the chamber's thresholds, high voltage and gas; "
        "compare with the run before."
    ),
    "afterpulsing cell": (
        "One cell fires again after its own hits. Check its front-end channel and its wire's high voltage; if nothing "
        "else is wrong, acknowledge it and note the cell."
    ),
    "board step": (
        "All times of this board have moved against the scintillator's board, often by whole bunch crossings of 25 ns. "
        "Check the board's clock and reset; resynchronising the boards puts it right. This run's times are wrong."
    ),
    "cell efficiency": (
        "Muons cross this cell without a hit. Check its threshold and its wire's high voltage; look at Muons, "
        "efficiency of cells."
    ),
    "crosstalk": "Hits of neighbouring cells come together. Check shielding, grounding and cables of the chamber.",
    "crosstalking cells": (
        "Hits of these two cells come together. Check the front-end card and the cable that they share."
    ),
    "dead cell": (
        "This cell has far fewer hits than its neighbours. Check its front-end channel and its wire. If it is known, "
        "add it to dead_cells of the detector file; a cell that is listed but has hits is to be taken off the list."
    ),
    "dead cells": (
        "Many cells of this chamber are dead. Look at Occupancy for the pattern: neighbours in a row point to a "
        "front-end card or a cable, a layer to its high voltage."
    ),
    "dead layer": "A whole layer has no hits. Check its high voltage first, then the front-end cards of the layer.",
    "dead row": "Neighbouring cells are dead together. Check the front-end card and the cable that they share.",
    "efficiency": (
        "Muons cross this chamber without a segment in it. Check its high voltage, gas and thresholds, and whether its "
        "alignment in the detector file is right."
    ),
    "forced windows": (
        "Windows were closed before all boards had sent their words, for want of memory: words that came afterwards "
        "are late. Check whether one board lags far behind the others."
    ),
    "given up": (
        "So many hits came at once that some were not compared or not tried; all of them are counted. Look for a noisy "
        "cell at Occupancy, and for a board whose orbit counter stands still at System."
    ),
    "gaps": (
        "For a part of the time no words came at all, though hits were due. Check whether the readout stood still or "
        "words were lost on the way: its log, the network, Kafka's retention. Where a beam has irregular spills, raise "
        "gaps in the detector file's thresholds."
    ),
    "hit resolution": (
        "Hits scatter more than they should about straight tracks. Check gas and high voltage, then the drift "
        "velocity; `muonstream calibrate` finds it from a run."
    ),
    "hits": (
        "No hits come from any chamber. Check the high voltage and the front end's power; if words come, look at "
        "System for what they are, and check that the detector file is the right one."
    ),
    "inputs": (
        "Some of what was read is not data, was there twice, or was left out. Look at System for the files and bytes "
        "and for the reasons."
    ),
    "late words": (
        "Words come later than the program can wait, and are not analysed. Check the load of the readout computer and "
        "of Kafka, and whether one board lags behind the others; --idle-seconds makes it wait longer."
    ),
    "layer shift": (
        "A layer is not where the detector file says. Check layer_shift_mm and layer_of_channel in the detector file, "
        "and the cabling of the layer."
    ),
    "layer efficiency": (
        "Muons cross this layer without a hit. Check the layer's high voltage and thresholds; look at Muons, "
        "efficiency of cells, for whether it is a part of the layer."
    ),
    "malformed input": (
        "Rows or bytes of the input could not be made words. Look at System for the lines that say what was found; "
        "check the readout's output and that the format is the right one."
    ),
    "malformed words": (
        "Some of what comes is not data of the expected form. Look at System for the lines that say what was found; "
        "check the readout's output and that the format is the right one."
    ),
    "noise": (
        "The noise of the whole chamber has changed. Check thresholds, high voltage, grounding, and whether anybody "
        "works nearby; compare the chambers at Occupancy."
    ),
    "noisy cell": (
        "One cell has far too many hits. Raise its threshold or mask its channel; if it stays, note the cell for the "
        "next access."
    ),
    "occupancy": (
        "Hits are distributed over the cells otherwise than in the reference. Compare at Occupancy with the reference; "
        "check that the reference is of the same set-up."
    ),
    "rate": (
        "This chamber has far fewer hits than the others. Check its high voltage, thresholds and gas. If it has always "
        "been so by where it stands, set missing_rate in the detector file's thresholds."
    ),
    "scintillator": (
        "The scintillator's rate has changed. Check its high voltage, its discriminator's threshold and its cable: "
        "without it there are no passage times."
    ),
    "scintillator time": (
        "The time boxes of all chambers have moved together, so the scintillator's signal comes early or late. Check "
        "its cable, its discriminator and the delay in the trigger logic; if it is to stay, correct the time offsets."
    ),
    "segments": (
        "The rate of segments has changed. If the noise is as before, look for lost layers at Muons; check high "
        "voltage and gas."
    ),
    "silent": (
        "No hits come from here while others send. Check power, clock and link of the board, or the chamber's high "
        "voltage and cables; then restart the board's readout."
    ),
    "stalled": (
        "No new words come at all. Check the readout, the disk or Kafka that the words come through, and the network; "
        "a run that was stopped on purpose needs nothing."
    ),
    "stray words": (
        "Words come whose orbit is far from all others. Check the boards' orbit counters and resets; look at System "
        "for which input they come from."
    ),
    "t0": (
        "The drift times of this chamber begin early or late. Check cables and delays that were changed; if it is to "
        "stay, correct time_offset_ns, which `muonstream calibrate` finds from a run."
    ),
    "unmapped words": (
        "Hits come from channels that the detector file does not have. `muonstream inspect` lists them; correct the "
        "detector file, or check the cabling."
    ),
    "velocity": (
        "Electrons drift faster or slower than the detector file says. Check the gas (flow, mixture, pressure, "
        "temperature) and the high voltage."
    ),
    "x-t relation": (
        "Hits at some distance from their wires lie off their tracks: drift times do not mean the distances that the "
        "detector file says. Check the high voltage of wires and strips, and the gas."
    ),
    "wrong hits": (
        "Many segments have a hit that is not the track's. Check for noise and crosstalk, and whether time offsets and "
        "drift velocity in the detector file are right."
    ),
}
"""Every check that there is, and the guidance that holds unless the detector file has another."""
LONGEST: Final = 1000


def guidance_of(check: str, own: Iterable[tuple[str, str]] = ()) -> str:
    """The guidance for a check: of `own`, pairs of check and text, if it is there; "" for a check without any."""
    return dict(own).get(check, GUIDANCE.get(check, ""))


def guidance_table(value: object) -> tuple[tuple[str, str], ...]:
    """The table `guidance` of a detector file as pairs of check and text, in the order of the table.

    Raises ValueError, with one line a fault: which key, what was found, what is expected.
    """
    if isinstance(value, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)
    if not isinstance(value, dict):
        raise ValueError(f"found {shown(value)}, expected a table of texts, by the names of checks")
    faults = []
    for check, text in value.items():
        if check not in GUIDANCE:
            faults.append(f"{_key(check)}: found a check that is not known, expected {', '.join(GUIDANCE)}")
        elif not isinstance(text, str) or not 1 <= len(text) <= LONGEST or not text.replace("\n", "").isprintable():
            faults.append(f"{_key(check)}: found {shown(text)}, expected text of 1 to {LONGEST} printable characters")
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(value.items())


def _key(check: object) -> str:
    """A key as a detector file has it: in quotes where there is a blank in it."""
    text = str(check)
    return text if text.replace("_", "").replace("-", "").isalnum() else shown(text)
