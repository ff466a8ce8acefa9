"""Verdicts on a run: pure functions from counts to findings, with the thresholds of the detector file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.channels import SCINTILLATOR
from muonstream.detector.level import Level
from muonstream.verdicts.cells import CellCounts, CellVerdicts, cell_name, judge_cells, particles, typical_hits
from muonstream.verdicts.crowding import judge_crowding
from muonstream.verdicts.echoes import judge_echoes
from muonstream.verdicts.findings import (
    Finding,
    Judgement,
    change,
    chi_squared,
    graded,
    kolmogorov,
    median,
    significant,
    spread_between,
    spread_of_means,
    widened,
)
from muonstream.verdicts.muons import judge_muons, segment_velocity, segments_of
from muonstream.verdicts.timebox import TimeBox
from muonstream.verdicts.timing import judge_timing

SCINTILLATOR_HITS = 50
"""A chamber with so many times the fewest hits has muons among them, some of which cross the scintillator."""

GAPS_FEWEST_S: Final = 30.0
FEWEST_LOST: Final = 20
"""Fewer words that are late or make no sense raise no alarm, however few others came: a run's last words, which nothing
follows, or a flipped bit."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Counts (int64[size] by the catalogue) of a stretch of data, and its live seconds.

    runs: of several runs together, each of them
    """

    counts: Counts
    seconds: float
    runs: tuple[Exposure, ...] = ()

    def spread(self, number: Callable[[Exposure], float]) -> float:
        """How much a number of things a second differs between the runs by more than chance, as a share."""
        if len(self.runs) < 2:
            return 0.0
        return spread_between([number(run) for run in self.runs], [run.seconds for run in self.runs])

    def cells(self, catalogue: Catalogue, chamber: int) -> CellCounts:
        """The hits by cell of a chamber; those in orbits with a passage time, or on segments, are not noise.

        Nor are as many as the cells around have, if the detector file says that particles make them.
        """
        explained = catalogue.hits_per_cell_with_scintillator(self.counts, chamber)
        if catalogue.muon_shapes:
            explained = explained + catalogue.cells_of(self.counts, "cell_on_segment", chamber)
        hits = catalogue.hits_per_cell(self.counts, chamber)
        explained = np.minimum(explained, hits)
        factor = catalogue.detector.thresholds.particles_factor
        beam = particles(catalogue.detector.chambers[chamber], hits - explained, factor) if factor else 0
        return CellCounts(hits, explained, self.seconds, beam)


@dataclass(frozen=True, slots=True)
class Lost:
    """Words of a stretch of data, and those of them that were late, stray, malformed or of unknown channels."""

    words: int = 0
    late: int = 0
    stray: int = 0
    unmapped: int = 0
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class Gaps:
    """Data time of a stretch in seconds; the part of it without words, and the usual one, None where it is unknown."""

    data_s: float = 0.0
    share: float = 0.0
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """The stretches of a run that checks look at; all but `before` and `reference` end now.

    step: the last step of data time; instant: the newest data in which a typical chamber has enough hits to say of
    another that it has none; brief: the newest with enough hits in typical cells to judge cells; long: up to some
    minutes, or as long as brief; run: the whole run
    paired: the newest data in which enough hits were looked at for pairs
    crossed: the newest in which enough segments crossed layers
    before: the run before that, while it was good; reference: of another run, used in its place if there is one
    """

    step: Exposure
    instant: Exposure
    brief: Exposure
    long: Exposure
    paired: Exposure
    crossed: Exposure
    run: Exposure
    before: Exposure | None = None
    reference: Exposure | None = None

    @property
    def compared(self) -> Exposure | None:
        """The data to compare with."""
        return self.reference or self.before


def judge(catalogue: Catalogue, windows: Windows, boxes: Mapping[int, TimeBox], lost: Lost, gaps: Gaps) -> Judgement:
    """All verdicts that the words alone decide.

    boxes: the time boxes of chambers, by index, as far as there are
    """
    detector = catalogue.detector
    compared, brief = windows.compared, windows.brief
    of_gaps = judge_gaps(catalogue, gaps)
    findings = [judge_hits(catalogue, windows), *judge_lost(catalogue, lost), of_gaps]
    findings += judge_crowding(catalogue, windows.brief.counts)
    silent, silent_boards = _silent(catalogue, windows.instant)
    findings += silent_boards
    cells: list[CellVerdicts] = []
    rates: list[Finding] = []
    for c, chamber in enumerate(detector.chambers):
        if c in silent:
            nothing = np.full(chamber.cells, Level.NULL, dtype=np.int8)
            cells.append(CellVerdicts(nothing, (), np.zeros(chamber.cells, dtype=np.bool_)))
            continue
        now = brief.cells(catalogue, c)
        usual = compared.cells(catalogue, c) if compared else None
        cells.append(judge_cells(chamber, detector.thresholds, now, usual))
        findings += cells[-1].findings
        findings += judge_echoes(catalogue, windows.paired.counts, c)
        if catalogue.muon_shapes:
            findings += _muons(catalogue, c, windows, cells[-1].odd)
        spread = _noise_spread(catalogue, c, compared, cells[-1].odd)
        rates += judge_noise(catalogue, c, now, usual, cells[-1], spread)
        if compared is not None:
            rates += judge_active_cells(catalogue, c, brief, compared)
        if windows.reference is not None:
            rates += judge_occupancy(catalogue, c, windows.long, windows.reference, cells[-1])
    findings += judge_rates(catalogue, brief, silent)
    hosts = {s.board for s in detector.scintillators}
    mute = {detector.chambers[c].board for c in silent}
    if not hosts & mute:
        rates += judge_scintillator(catalogue, windows)
    findings += rates
    known = {c: box for c, box in boxes.items() if c not in silent}
    velocities: dict[int, tuple[float, float]] = {}
    if catalogue.muon_shapes:
        stretches = [windows.crossed.counts, windows.long.counts]
        for c in range(len(detector.chambers)):
            told = None if c in silent else segment_velocity(catalogue, c, stretches)
            if told is not None:
                velocities[c] = told
    findings += judge_timing(catalogue, known, velocities, windows.crossed.seconds)
    wrong = {f"{finding.check}: {finding.subject}" for finding in [*rates, of_gaps] if finding.level > Level.GOOD}
    wrong |= {f"silent: {detector.chambers[c].name}" for c in silent}
    for chamber, one in zip(detector.chambers, cells, strict=True):
        noisy = {finding.subject for finding in one.findings if finding.check == "noisy cell"}
        names = {cell_name(chamber, int(cell)) for cell in np.flatnonzero(one.levels > Level.GOOD)}
        wrong |= {f"{'noisy' if name in noisy else 'dead'}: {name}" for name in names}
    return Judgement(tuple(findings), tuple(verdict.levels for verdict in cells), frozenset(wrong))


def _muons(catalogue: Catalogue, chamber: int, windows: Windows, odd: NDArray[np.bool_]) -> Iterator[Finding]:
    """The verdicts from reconstruction on a chamber, whose rate of segments is compared with its earlier one.

    odd: cells that have a finding of their own, which are not judged again by their efficiency
    """
    of_rate = None
    usual, now = windows.compared, windows.crossed
    if usual is not None and usual.seconds > 0:
        scale = now.seconds / usual.seconds
        of_rate = (
            segments_of(catalogue, now.counts, chamber),
            segments_of(catalogue, usual.counts, chamber) * scale,
            scale,
            usual.spread(lambda run: segments_of(catalogue, run.counts, chamber)),
        )
    return judge_muons(catalogue, chamber, now.counts, windows.long.counts, of_rate, odd)


def judge_hits(catalogue: Catalogue, windows: Windows) -> Finding:
    """Whether there are any hits: without them nothing is known of the detector."""
    fewest = catalogue.detector.thresholds.min_hits
    run, step = windows.run, windows.step
    words = sum(catalogue.words_by_kind(run.counts).values())
    hits = int(catalogue.chamber_hits(run.counts).sum())
    new_words = sum(catalogue.words_by_kind(step.counts).values())
    new_hits = int(catalogue.chamber_hits(step.counts).sum())
    if hits == 0 and words >= fewest:
        return Finding("hits", "Detector", Level.BAD, f"not one hit among {words:,} words", value=0.0, unit="hits")
    expected = (hits - new_hits) * step.seconds / (run.seconds - step.seconds) if run.seconds > step.seconds else 0.0
    if new_hits == 0 and max(new_words, expected) >= fewest:
        reason = f"no hit for {step.seconds:.1f} s, while {new_words:,} other words came"
        return Finding("hits", "Detector", Level.BAD, reason, value=0.0, unit="hits")
    if hits < fewest:
        return Finding("hits", "Detector", Level.NULL, f"only {hits:,} hits so far", value=float(hits), unit="hits")
    return Finding("hits", "Detector", Level.GOOD, "hits come in", value=float(hits), unit="hits")


def judge_lost(catalogue: Catalogue, lost: Lost) -> Iterator[Finding]:
    """Whether words are lost, invalid, or of channels that the detector file does not have."""
    thresholds = catalogue.detector.thresholds
    for kind in ("late", "stray", "malformed", "unmapped"):
        limits = thresholds.unmapped_words if kind == "unmapped" else thresholds.lost_words
        n = getattr(lost, kind)
        share = n / lost.words if lost.words > 0 else 0.0
        level, limit = graded(share, limits)
        if lost.words < thresholds.min_hits:
            level = Level.NULL
        elif n < FEWEST_LOST:
            level = Level.GOOD
        yield Finding(f"{kind} words", "Stream", level, f"{share:.3%} of the words are {kind}", "", share, limit)


def judge_gaps(catalogue: Catalogue, gaps: Gaps) -> Finding:
    """How much of the data time is without words, beyond what is usual, as it is between the spills of a beam.

    A pause is a gap where the rate beside it makes it improbable: words were lost, or the readout stood still. Live
    time, and so every rate, leaves gaps out, and no other check sees them.
    """
    limits = catalogue.detector.thresholds.gaps
    reason = f"no words for {gaps.share:.0%} of {gaps.data_s:.0f} s of data time, "
    if gaps.usual is None or gaps.data_s < GAPS_FEWEST_S:
        return Finding("gaps", "Stream", Level.NULL, f"{reason}compared with nothing", "", None, limits[0])
    more = gaps.share - gaps.usual
    level, limit = graded(more, limits)
    reason += f"{gaps.usual:.0%} usually"
    return Finding("gaps", "Stream", level, reason, "", more, limit)


def judge_rates(catalogue: Catalogue, now: Exposure, silent: Set[int]) -> Iterator[Finding]:
    """Each chamber's hits in a typical cell against the other chambers': this needs no time before."""
    thresholds, chambers = catalogue.detector.thresholds, catalogue.detector.chambers
    typical = {
        c: typical_hits(chamber, catalogue.hits_per_cell(now.counts, c))
        for c, chamber in enumerate(chambers)
        if c not in silent
    }
    for c, n in typical.items():
        name = chambers[c].name
        others = [typical[other] for other in typical if other != c and typical[other] > 0]
        expected = median(np.array(others))
        if expected < thresholds.min_hits:
            reason = "compared with nothing: no other chamber has enough hits"
            yield Finding("rate", name, Level.NULL, reason, name)
            continue
        missing = 1 - n / expected
        chance = not significant(n, expected, thresholds.significance)
        level, limit = graded(missing, thresholds.missing_rate, chance=chance)
        reason = f"{n / now.seconds:.2g} Hz in a typical cell, {expected / now.seconds:.2g} Hz in other chambers'"
        yield Finding("rate", name, level, reason, name, missing, limit)


def _silent(catalogue: Catalogue, instant: Exposure) -> tuple[set[int], list[Finding]]:
    """Chambers without any hit while others have many, and the findings of their boards, or of them alone."""
    detector = catalogue.detector
    hits = catalogue.chamber_hits(instant.counts)
    expected = median(hits[hits > 0]) if hits.any() else 0.0
    enough = expected >= detector.thresholds.min_hits
    silent = {c for c, n in enumerate(hits) if n == 0 and enough}
    findings = []
    for board in detector.boards:
        chambers = [c for c, chamber in enumerate(detector.chambers) if chamber.board == board]
        if not chambers:
            continue
        mute = [detector.chambers[c].name for c in chambers if c in silent]
        if len(mute) == len(chambers):
            reason = f"no hits for {instant.seconds:.1f} s, while other boards send"
            findings.append(Finding("silent", f"Board {board}", Level.BAD, reason, value=0.0, unit="hits"))
            continue
        level = Level.GOOD if enough else Level.NULL
        findings.append(Finding("silent", f"Board {board}", level, "sends hits" if enough else "too few hits"))
        reason = f"no hits for {instant.seconds:.1f} s, while its board sends others"
        findings += [Finding("silent", name, Level.BAD, reason, name, 0.0, None, "hits") for name in mute]
    return silent, findings


def judge_noise(
    catalogue: Catalogue,
    chamber: int,
    now: CellCounts,
    usual: CellCounts | None,
    cells: CellVerdicts,
    spread: float = 0.0,
) -> Iterator[Finding]:
    """A chamber's noise against what was; cells that are out of line individually are left out.

    spread: that of good runs, see `spread_between`
    """
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    n = float(now.noise[~cells.odd].sum())
    hz = n / now.seconds if now.seconds else 0.0
    if usual is None or not usual.seconds or not now.seconds:
        yield Finding("noise", name, Level.NULL, f"{hz:.0f} Hz, compared with nothing", name, None)
        return
    scale = now.seconds / usual.seconds
    expected = float(usual.noise[~cells.odd].sum()) * scale
    if expected < thresholds.min_hits:
        yield Finding("noise", name, Level.NULL, f"{hz:.0f} Hz, too few hits to compare", name, None)
        return
    level, relative, limit = change(n, expected, thresholds.noise_change, thresholds.significance, scale, spread)
    reason = f"{hz:.0f} Hz, {relative:+.0%} against what it was"
    yield Finding("noise", name, level, reason, name, relative, limit)


def judge_scintillator(catalogue: Catalogue, windows: Windows) -> Iterator[Finding]:
    """The scintillator's rate compared with before, and whether it has any words, which needs no comparison."""
    thresholds = catalogue.detector.thresholds
    if not catalogue.detector.scintillators:
        return
    now, usual = windows.brief, windows.compared
    n = catalogue.special(now.counts, SCINTILLATOR)
    hz = n / now.seconds if now.seconds else 0.0
    scale = now.seconds / usual.seconds if usual and usual.seconds else 0.0
    was = catalogue.special(usual.counts, SCINTILLATOR) * scale if usual else 0.0
    if was >= thresholds.min_hits:
        spread = usual.spread(lambda run: catalogue.special(run.counts, SCINTILLATOR)) if usual else 0.0
        level, relative, limit = change(n, was, thresholds.scintillator_change, thresholds.significance, scale, spread)
        reason = f"{hz:.1f} Hz, {relative:+.0%} against what it was"
        yield Finding("scintillator", "Scintillator", level, reason, value=relative, limit=limit)
        return
    run = windows.run
    hits = median(catalogue.chamber_hits(run.counts))
    if catalogue.special(run.counts, SCINTILLATOR) == 0 and hits >= SCINTILLATOR_HITS * thresholds.min_hits:
        reason = f"not one word in {run.seconds:.0f} s, while a chamber has {hits:,.0f} hits"
        yield Finding("scintillator", "Scintillator", Level.BAD, reason, value=0.0, unit="words")
        return
    reason = f"{hz:.1f} Hz, compared with nothing"
    yield Finding("scintillator", "Scintillator", Level.NULL, reason)


def judge_active_cells(catalogue: Catalogue, chamber: int, now: Exposure, usual: Exposure) -> Iterator[Finding]:
    """The mean number of active cells in a chamber's orbits compared with before."""
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    means: list[float] = []
    errors: list[float] = []
    for window in (now, usual, *usual.runs):
        mean, variance, total = _active_cells(catalogue, chamber, window)
        if total < thresholds.min_hits:
            if len(means) > 1:  # a run that is too short says nothing of the spread
                continue
            yield Finding("active cells", name, Level.NULL, "too few orbits", name)
            return
        means.append(mean)
        errors.append(variance)
    relative = means[0] / means[1] - 1
    chance = abs(means[0] - means[1]) < thresholds.significance * sum(errors[:2]) ** 0.5
    least = thresholds.significance * spread_of_means(means[2:], errors[2:])
    level, limit = graded(abs(relative), widened(thresholds.active_cells_change, least), chance=chance)
    reason = f"{means[0]:.2f} cells an orbit, {relative:+.0%} against what it was"
    yield Finding("active cells", name, level, reason, name, relative, limit)


def _active_cells(catalogue: Catalogue, chamber: int, window: Exposure) -> tuple[float, float, int]:
    """The mean number of active cells in a chamber's orbits, its variance, and the number of orbits."""
    orbits = catalogue.view(window.counts, "active_cells")[chamber, 1:]
    number = np.arange(1, len(orbits) + 1)
    total = int(orbits.sum())
    if not total:
        return 0.0, 0.0, 0
    mean = float((orbits * number).sum() / total)
    return mean, float((orbits * (number - mean) ** 2).sum() / total**2), total


def _noise_spread(catalogue: Catalogue, chamber: int, compared: Exposure | None, odd: NDArray[np.bool_]) -> float:
    """How much a chamber's noise differs between the runs that are compared with."""
    if compared is None:
        return 0.0
    return compared.spread(lambda run: float(run.cells(catalogue, chamber).noise[~odd].sum()))


def judge_occupancy(
    catalogue: Catalogue, chamber: int, now: Exposure, reference: Exposure, cells: CellVerdicts
) -> Iterator[Finding]:
    """A chamber's hits by cell against the reference's: Kolmogorov's distance, with chi squared for information."""
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    a = catalogue.hits_per_cell(now.counts, chamber)[~cells.odd]
    b = catalogue.hits_per_cell(reference.counts, chamber)[~cells.odd]
    if min(a.sum(), b.sum()) < thresholds.min_hits:
        yield Finding("occupancy", name, Level.NULL, "too few hits to compare with the reference", name)
        return
    distance, scaled = kolmogorov(a, b)
    # chance stays below 1.6 but once in a hundred times
    among = 0.0
    for run in reference.runs:
        one = catalogue.hits_per_cell(run.counts, chamber)[~cells.odd]
        among = max(among, kolmogorov(one, b - one)[0])
    limits = widened(thresholds.occupancy_distance, among)
    level, limit = graded(distance, limits, chance=scaled < thresholds.significance / 2)
    chi2, free = chi_squared(a, b)
    reason = f"Kolmogorov distance {distance:.3f} from the reference, chi squared {chi2:.0f} of {free} bins"
    yield Finding("occupancy", name, level, reason, name, distance, limit)
