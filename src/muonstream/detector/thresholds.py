"""Limits of verdicts, as a detector file gives them."""

from __future__ import annotations

from typing import Annotated

from muonstream.detector.fields import Limits, Table, number, whole


class Thresholds(Table):
    """Limits of verdicts. Pairs are the values above which a verdict is Medium and Bad."""

    missing_cell: Limits = (0.8, 0.95)
    """Share of the expected hits that a cell lacks; expected is the median of its chamber's cells."""
    noisy_cell_hz: Limits = (200.0, 500.0)
    """Noise of a cell: hits in orbits without a passage time, and not on segments when muons are looked for."""
    noisy_cell_factor: Limits = (5.0, 10.0)
    """Noise of a cell over the median of its chamber's cells."""
    changed_cell_factor: Limits = (3.0, 5.0)
    """Noise of a cell over what it was in the reference, or before."""
    particles_factor: Annotated[float, number(0, 100)] = 0.0
    """In a beam, hits of a cell up to so many times those of the cells around are particles and not noise."""
    dead_cells: Limits = (0.01, 0.1)
    """Share of a chamber's cells that are dead, known ones apart."""
    dead_row: Annotated[int, whole(2, 512)] = 7
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
    min_hits: Annotated[int, whole(10, 1_000_000)] = 100
    """Hits that are expected of a median cell before any cell is judged."""
    significance: Annotated[float, number(1, 20)] = 5.0
    """Standard deviations by which a change must stand out before it counts."""
