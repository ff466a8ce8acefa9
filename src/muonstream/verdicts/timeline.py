"""The time line of verdicts: steps of data time in, statuses and changes of level out; the same for the same words."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.steps import Step
from muonstream.detector.known import why_known
from muonstream.detector.level import Level
from muonstream.verdicts.aftermath import Aftermath
from muonstream.verdicts.cells import typical_hits
from muonstream.verdicts.findings import median
from muonstream.verdicts.judge import Exposure, Lost, Windows, judge
from muonstream.verdicts.levels import Levels, Moment
from muonstream.verdicts.past import Past
from muonstream.verdicts.timebox import TimeBox, newest_time_box
from muonstream.verdicts.verdicts import Change, Spell, Verdicts, as_plain, concluded, of_plain, with_known

FINE_S: Final = 15.0
COARSE_STEP_S: Final = 5.0
LONG_S: Final = 120.0
OLD_SHARE: Final = 0.1
"""Counts are kept of each step in the last FINE_S, of one each COARSE_STEP_S up to LONG_S, and of older ones each
so large a part of their age: some 100 of a run of days."""
BOX_S: Final = (10.0, 20.0, 40.0, 80.0, LONG_S)
"""Stretches from which a time box may be taken."""
BOXES_EACH_STEPS: Final = 3
"""Time boxes are fitted every so many steps, those of all chambers together: a shift that they share is one."""
ENOUGH: Final = 1.5
"""A stretch is long enough for cells when a typical cell has so many times the fewest hits."""
BUSY_CELLS, BUSY_SEGMENTS = 0.25, 0.05
"""Chambers with less than this part of a typical chamber's hits, or segments, are not waited for."""
HISTORY: Final = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    """The run's counts at the end of a step."""

    live_s: float
    counts: Counts
    late: int = 0
    stray: int = 0


class Timeline:
    """Judges one run step by step; nothing but the words decides, neither the clock nor how the words came.

    reference: counts of another run, with its live seconds, by the same catalogue
    clock: gives unix seconds, which are kept with changes for people
    """

    def __init__(
        self, catalogue: Catalogue, *, reference: Exposure | None = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.catalogue = catalogue
        self.reference = reference
        self.verdicts = Verdicts(chambers={c.name: Level.NULL for c in catalogue.detector.chambers})
        self._clock = clock
        self._now = _Kept(0.0, catalogue.zeros())
        self._data_time_s = 0.0
        self._kept: list[_Kept] = [self._now]
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
        # two steps may be told apart by less live time than none: a pause is a gap or not by all the data there are
        live_s = max(step.live_s, previous.live_s)
        self._now = _Kept(live_s, previous.counts + step.counts, step.late, step.stray)
        self._past.add(live_s, Exposure(step.counts, live_s - previous.live_s))
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
        judgement = judge(self.catalogue, windows, self._boxes, self._lost(windows.brief))
        judgement = self._aftermath.of(judgement, windows, self._now.live_s)
        self._keep()
        self._past.judged(self._now.live_s, judgement.wrong)
        now_s = self._now.live_s
        changes = self._levels.take(judgement.findings, Moment(now_s, self._clock(), data_time_s, ended))
        self._history.extend(changes)
        self._changes += len(changes)
        statuses = with_known(self._levels.statuses.values(), self.catalogue.detector.known)
        level, reason, chambers = concluded(statuses, list(self.verdicts.chambers))
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

    def _window(self, start: _Kept) -> Exposure:
        now = self._now
        return Exposure(now.counts - start.counts, now.live_s - start.live_s)

    def _windows(self) -> Windows:
        """The stretches, all of them ending now, that checks look at."""
        kept, live_s = self._kept, self._now.live_s
        last = kept[-2] if kept[-1] is self._now and len(kept) > 1 else kept[-1]
        long = next((entry for entry in reversed(kept) if live_s - entry.live_s >= LONG_S), kept[0])
        brief = self._with_enough("counts")
        with_muons = bool(self.catalogue.muon_shapes)
        starts = {
            "step": last,
            "instant": self._with_hits(),
            "brief": brief,
            "long": long if long.live_s < brief.live_s else brief,
            "paired": self._with_enough("pair_hits"),
            "crossed": self._with_enough("cell_expected") if with_muons else brief,
        }
        made = {id(entry): self._window(entry) for entry in starts.values()}
        return Windows(
            **{name: made[id(entry)] for name, entry in starts.items()},
            run=self._window(_Kept(0.0, self.catalogue.zeros())),
            before=self._past.exposure,
            reference=self.reference,
        )

    def _newest(self, enough: Callable[[_Kept], bool]) -> _Kept:
        """The newest of the counts kept from which on there is enough, the oldest where there is not."""
        # a longer stretch has more of everything, so that halving finds it
        after = bisect_left(range(len(self._kept)), True, key=lambda i: not enough(self._kept[i]))
        return self._kept[max(after - 1, 0)]

    def _with_hits(self) -> _Kept:
        """From when on a typical chamber has enough hits to say of another that it has none."""
        catalogue = self.catalogue
        now = catalogue.chamber_hits(self._now.counts)

        def enough(entry: _Kept) -> bool:
            hits = now - catalogue.chamber_hits(entry.counts)
            return bool(hits.any()) and median(hits[hits > 0]) >= catalogue.detector.thresholds.min_hits

        return self._newest(enough)

    def _with_enough(self, name: str) -> _Kept:
        """From when on an entry of the catalogue has enough to judge cells, or layers by segments.

        By typical cells: one noisy cell makes no stretch long enough, and one busy chamber makes no other a quiet one.
        """
        catalogue, by_segments = self.catalogue, name == "cell_expected"
        fewest = ENOUGH * catalogue.detector.thresholds.min_hits

        def enough(entry: _Kept) -> bool:
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

        return self._newest(enough)

    def _lost(self, window: Exposure) -> Lost:
        """Words that were lost or not used, in the newest data with enough to judge by."""
        start = next((entry for entry in self._kept if self._now.live_s - entry.live_s <= window.seconds), self._now)
        kinds = self.catalogue.words_by_kind(window.counts)
        words = sum(kinds.values())
        late, stray = self._now.late - start.late, self._now.stray - start.stray
        return Lost(words + late + stray, late, stray, kinds["unmapped"], kinds["malformed"])

    def _keep(self) -> None:
        """Keep this step's counts, and forget those that are old and close to others."""
        if self._now is not self._kept[-1]:
            self._kept.append(self._now)
        thin: list[_Kept] = []
        for entry in self._kept:
            age_s = self._now.live_s - entry.live_s
            apart_s = 0.0 if age_s <= FINE_S else COARSE_STEP_S if age_s <= LONG_S else OLD_SHARE * age_s
            if not thin or entry.live_s - thin[-1].live_s >= apart_s:
                thin.append(entry)
        self._kept = thin

    def _fit_boxes(self) -> None:
        chambers, live_s = self.catalogue.detector.chambers, self._now.live_s
        starts = [
            next((entry for entry in reversed(self._kept) if live_s - entry.live_s >= seconds), self._kept[0])
            for seconds in BOX_S
        ]
        if self._kept[0] is not starts[-1]:
            # a quiet telescope needs longer, up to the run's length
            starts.append(self._kept[0])
        starts = [entry for i, entry in enumerate(starts) if i == 0 or entry is not starts[i - 1]]
        windows = [self._window(entry).counts for entry in starts]
        for c, chamber in enumerate(chambers):
            # what is from before times changed is not mixed with what came after, however little of it there is
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
        """The alarms of the run, those that were raised just now too."""
        spells = dict(self._spells)
        for key, status in self._levels.statuses.items():
            level = status.finding.level
            if level > Level.GOOD:
                spell = spells.get(key, Spell(*key, level, 0.0))
                spells[key] = replace(spell, level=max(level, spell.level))
        known = self.catalogue.detector.known
        named = [replace(one, known=why_known(known, one.check, one.subject, one.level)) for one in spells.values()]
        return tuple(sorted(named, key=lambda one: (bool(one.known), -one.level, -one.seconds, one.check, one.subject)))

    def state(self) -> dict[str, Any]:
        """What a restarted engine goes on from, as plain numbers and arrays: statuses, history, and the run's counts.

        The stretches before are not kept: after a restart windows begin again, with the run's counts up to there.
        """
        return {
            "counts": self._now.counts.copy(),
            "live_s": self._now.live_s,
            "late": self._now.late,
            "stray": self._now.stray,
            **self._past.state(),
            "verdicts": as_plain(self.verdicts),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same catalogue."""
        self._now = _Kept(float(state["live_s"]), state["counts"].copy(), int(state["late"]), int(state["stray"]))
        self._kept = [self._now]
        self._past.restore(state)
        self.verdicts = of_plain(state["verdicts"])
        self._data_time_s = self.verdicts.data_time_s
        self._levels = Levels(self.verdicts.statuses)
        self._spells = {(spell.check, spell.subject): spell for spell in self.verdicts.spells}
        self._worst = self.verdicts.worst
        self._history = deque(self.verdicts.history, maxlen=HISTORY)
        self._changes = self.verdicts.changes
