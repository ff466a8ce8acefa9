"""The time line of verdicts: steps of data time in, statuses and changes of level out; the same for the same words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.steps import Step
from muonstream.detector.known import why_known
from muonstream.detector.level import Level
from muonstream.verdicts.aftermath import Aftermath
from muonstream.verdicts.cells import typical_hits
from muonstream.verdicts.findings import Finding, median
from muonstream.verdicts.judge import FEWEST_LOST, Exposure, Gaps, Lost, Windows, judge
from muonstream.verdicts.kept import LONG_S, Ends, Kept
from muonstream.verdicts.levels import Levels, Moment
from muonstream.verdicts.memory import Memory, Remembered
from muonstream.verdicts.past import Past
from muonstream.verdicts.timebox import TimeBox, newest_time_box
from muonstream.verdicts.verdicts import Change, Spell, Verdicts, as_plain, concluded, of_plain, upward, with_known

BOX_S: Final = (10.0, 20.0, 40.0, 80.0, LONG_S)
"""Stretches in which a time box may be fitted."""
BOXES_EACH_STEPS: Final = 3
"""Number of steps between fits of time boxes, all chambers at once, so that a common shift is seen as one."""
ENOUGH: Final = 1.5
"""A stretch is long enough for cells when a typical cell has so many times the fewest hits."""
LOST_S: Final = 10.0
"""Shares of lost words are of at least so long, and of so many words that FEWEST_LOST of them make an alarm."""
BUSY_CELLS, BUSY_SEGMENTS = 0.25, 0.05
"""Chambers with less than this part of a typical chamber's hits, or segments, are not waited for."""
HISTORY: Final = 500


class Timeline:
    """Judges one run step by step; nothing but the words decides, neither the clock nor how the words came.

    reference: counts of another run, with its live seconds, by the same catalogue
    clock: gives unix seconds, which are kept with changes for people
    remembered: alarms that were known when the run began
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        reference: Exposure | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        remembered: Iterable[Remembered] = (),
    ) -> None:
        self.catalogue = catalogue
        self.memory = Memory(remembered)
        self.reference = reference
        self.verdicts = Verdicts(chambers={c.name: Level.NULL for c in catalogue.detector.chambers})
        self._clock = clock
        self._ends = Ends(catalogue.zeros())
        self._now = self._ends.last
        self._data_time_s = 0.0
        self._past = Past(catalogue.zeros())
        self._boxes: dict[int, TimeBox] = {}
        self._box_from_s = [0.0] * len(catalogue.detector.chambers)
        self._aftermath = Aftermath(catalogue.detector)
        self._judged_steps = 0
        self._levels = Levels()
        self._spells: dict[tuple[str, str], Spell] = {}
        self._worst = Level.NULL
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._changes = 0

    def add(self, step: Step) -> list[Change]:
        """Judge a step and give the levels that changed. Steps come in order, each once."""
        previous = self._now
        # live time may even fall between two steps: whether a pause is a gap is decided from all data so far
        live_s = max(step.live_s, previous.live_s)
        data_s = max(step.data_time_s, previous.data_s)
        self._now = Kept(live_s, previous.counts + step.counts, step.late, step.stray, data_s)
        self._lasted(live_s - previous.live_s)
        return self._judged(max(step.data_time_s, self._data_time_s), ended=False)

    def finish(self) -> list[Change]:
        """The run has ended: what its last step showed needs no second one."""
        return self._judged(self._data_time_s, ended=True)

    def _judged(self, data_time_s: float, *, ended: bool) -> list[Change]:
        self._data_time_s = data_time_s
        windows = self._windows()
        if self._judged_steps % BOXES_EACH_STEPS == 0 or ended:
            self._fit_boxes()
        self._judged_steps += 1
        judgement = judge(self.catalogue, windows, self._boxes, self._lost(windows.brief), self._gaps())
        judgement = self._aftermath.of(judgement, windows, self._now.live_s)
        self._ends.keep(self._now)
        self._past.judged(self._ends, self._held_s(windows), judgement.wrong)
        now_s = self._now.live_s
        findings = (*judgement.findings, *self._hidden(judgement.findings))
        changes = self._levels.take(findings, Moment(now_s, self._clock(), data_time_s, ended))
        self._history.extend(changes)
        self._changes += len(changes)
        statuses = with_known(self._levels.statuses.values(), self.catalogue.detector.known)
        level, reason, chambers = concluded(statuses, list(self.verdicts.chambers))
        statuses = self.memory.shown(statuses, level, chambers, now_s)
        self._worst = max(self._worst, level)
        self.verdicts = Verdicts(
            level,
            reason,
            chambers,
            statuses,
            judgement,
            tuple(self._history),
            self._changes,
            self._worst,
            self._longest(),
            self._now.live_s,
            data_time_s,
        )
        return changes

    def _hidden(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """In place of alarms that are not found as their chamber is silent, which is not back to normal for that."""
        found = {finding.key for finding in findings}
        for key, status in self._levels.statuses.items():
            one = status.finding
            if one.level > Level.GOOD and one.part in self._aftermath.silent and key not in found:
                reason = "not judged: the chamber is silent"
                yield replace(one, level=Level.NULL, reason=reason, value=None, limit=None)

    def _window(self, start: Kept) -> Exposure:
        now = self._now
        return Exposure(now.counts - start.counts, now.live_s - start.live_s)

    def _windows(self) -> Windows:
        """The stretches, all of them ending now, that checks look at."""
        long = self._ends.until(self._now.live_s - LONG_S) or self._ends.first
        brief = self._with_enough("counts")
        with_muons = bool(self.catalogue.muon_shapes)
        starts = {
            "step": self._ends.before(self._now),
            "instant": self._with_hits(),
            "brief": brief,
            "long": long if long.live_s < brief.live_s else brief,
            "paired": self._with_enough("pair_hits"),
            "crossed": self._with_enough("cell_expected") if with_muons else brief,
        }
        made = {id(entry): self._window(entry) for entry in starts.values()}
        return Windows(
            **{name: made[id(entry)] for name, entry in starts.items()},
            run=self._window(self._ends.first),
            before=self._past.exposure,
            reference=self.reference,
        )

    def _held_s(self, windows: Windows) -> float:
        """How far back the stretches reach that are compared with what was."""
        # where there are never segments enough theirs is the whole run, which would leave nothing to compare with
        crossed_s = windows.crossed.seconds
        return max(windows.brief.seconds, crossed_s if crossed_s < windows.run.seconds else 0.0)

    def _with_hits(self) -> Kept:
        """From when on a typical chamber has enough hits to say of another that it has none."""
        catalogue = self.catalogue
        now = catalogue.chamber_hits(self._now.counts)

        def enough(entry: Kept) -> bool:
            hits = now - catalogue.chamber_hits(entry.counts)
            return bool(hits.any()) and median(hits[hits > 0]) >= catalogue.detector.thresholds.min_hits

        return self._ends.newest(enough)

    def _with_enough(self, name: str) -> Kept:
        """From when on an entry of the catalogue has enough to judge cells, or layers by segments.

        By typical cells: one noisy cell makes no stretch long enough, and one busy chamber makes no other a quiet one.
        """
        catalogue, by_segments = self.catalogue, name == "cell_expected"
        fewest = ENOUGH * catalogue.detector.thresholds.min_hits

        def enough(entry: Kept) -> bool:
            new = self._now.counts - entry.counts
            if by_segments:
                hits = catalogue.chamber_hits(new, name)
                parts = np.array([chamber.layers for chamber in catalogue.detector.chambers])
                each = hits / parts
            else:
                each = np.array(
                    [
                        typical_hits(chamber, catalogue.cells_of(new, name, c))
                        for c, chamber in enumerate(catalogue.detector.chambers)
                    ]
                )
            if not each.any():
                return False
            busy = each > (BUSY_SEGMENTS if by_segments else BUSY_CELLS) * median(each[each > 0])
            return bool((each[busy] >= fewest).all())

        return self._ends.newest(enough)

    def _lost(self, brief: Exposure) -> Lost:
        """Words that were lost or not used, in the newest data with enough to judge by: those for cells, or fewer."""
        now, medium = self._now, self.catalogue.detector.thresholds.lost_words[0]

        def enough(end: Kept) -> bool:
            words = sum(self.catalogue.words_by_kind(now.counts - end.counts).values())
            return now.live_s - end.live_s >= LOST_S and words * medium >= FEWEST_LOST

        start = self._ends.newest(enough)
        if now.live_s - start.live_s > brief.seconds:
            start = self._ends.until(now.live_s - brief.seconds) or self._ends.first
        kinds = self.catalogue.words_by_kind(now.counts - start.counts)
        words = sum(kinds.values())
        late, stray = self._now.late - start.late, self._now.stray - start.stray
        return Lost(words + late + stray, late, stray, kinds["unmapped"], kinds["malformed"])

    def _gaps(self) -> Gaps:
        """How much of the newest LONG_S of data time was without words."""
        now = self._now
        start = self._ends.newest(lambda end: now.data_s - end.data_s >= LONG_S)
        data_s = now.data_s - start.data_s
        share = max(0.0, 1 - (now.live_s - start.live_s) / data_s) if data_s > 0 else 0.0
        return Gaps(data_s, share, self._past.gap_share)

    def _fit_boxes(self) -> None:
        chambers, live_s = self.catalogue.detector.chambers, self._now.live_s
        starts = [self._ends.until(live_s - seconds) or self._ends.first for seconds in BOX_S]
        if self._ends.first is not starts[-1]:
            # a quiet telescope needs longer, up to the run's length
            starts.append(self._ends.first)
        starts = [entry for i, entry in enumerate(starts) if i == 0 or entry is not starts[i - 1]]
        windows = [self._window(entry).counts for entry in starts]
        for c, chamber in enumerate(chambers):
            # data from before a change of times are never mixed with those after it, however few these are
            used = [n for n, entry in enumerate(starts) if n == 0 or entry.live_s >= self._box_from_s[c]]
            found = [self.catalogue.drift_histogram_ns(windows[n], c) for n in used]
            box, taken = newest_time_box(found[0][0], [counts for _, counts in found], chamber.t_max_ns)
            if taken is not None:
                self._box_from_s[c] = starts[used[taken]].live_s
            if box is None:
                self._boxes.pop(c, None)
            else:
                self._boxes[c] = box

    def _lasted(self, seconds: float) -> None:
        """Add the live time of a step to the alarms that were shown at its beginning."""
        for key, status in self._levels.statuses.items():
            level = status.finding.level
            if level > Level.GOOD:
                spell = self._spells.get(key, Spell(*key, level, 0.0))
                self._spells[key] = replace(spell, level=max(level, spell.level), seconds=spell.seconds + seconds)

    def _longest(self) -> tuple[Spell, ...]:
        """The alarms of the run, including those raised just now."""
        spells = dict(self._spells)
        for key, status in self._levels.statuses.items():
            level = status.finding.level
            if level > Level.GOOD:
                spell = spells.get(key, Spell(*key, level, 0.0))
                spells[key] = replace(spell, level=max(level, spell.level))
        named = [replace(one, known=self.why_known(one.check, one.subject, one.level)) for one in spells.values()]

        def gravest_first(one: Spell) -> tuple[object, ...]:
            return bool(one.known), -upward(one.subject, one.level), -one.level, -one.seconds, one.check, one.subject

        return tuple(sorted(named, key=gravest_first))

    def why_known(self, check: str, subject: str, level: Level) -> str:
        """Why an alarm is known, by the detector file or from the run before; "" where it is new."""
        key = check, subject, level
        return why_known(self.catalogue.detector.known, *key) or self.memory.why(*key)

    def state(self) -> dict[str, Any]:
        """All of it as plain numbers and arrays: a restarted engine gives the time line of one that ran on."""
        return {
            "ends": self._ends.state(),
            "past": self._past.state(),
            "boxes": {str(c): box.as_plain() for c, box in self._boxes.items()},
            "box_from_s": list(self._box_from_s),
            "aftermath": self._aftermath.state(),
            "judged_steps": self._judged_steps,
            "pending": self._levels.pending(),
            "memory": self.memory.state(),
            "verdicts": as_plain(self.verdicts),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same catalogue. Raises ValueError, KeyError or TypeError for anything else."""
        self._ends.restore(state["ends"])
        self._now = self._ends.last
        self._past.restore(state["past"])
        self._boxes = {int(c): TimeBox.of_plain(box) for c, box in state["boxes"].items()}
        self._box_from_s = [float(since_s) for since_s in state["box_from_s"]]
        self._aftermath.restore(state["aftermath"])
        self._judged_steps = int(state["judged_steps"])
        self.verdicts = of_plain(state["verdicts"])
        if "memory" in state:  # versions before it had none
            self.memory = Memory.restored(state["memory"])
        self._data_time_s = self.verdicts.data_time_s
        self._levels = Levels(self.verdicts.statuses, state["pending"])
        self._spells = {(spell.check, spell.subject): spell for spell in self.verdicts.spells}
        self._worst = self.verdicts.worst
        self._history = deque(self.verdicts.history, maxlen=HISTORY)
        self._changes = self.verdicts.changes
