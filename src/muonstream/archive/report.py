"""The report on archived runs: one self-contained HTML file that prints well on A4."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream import __version__
from muonstream.archive.archive import local_time
from muonstream.archive.compare import Difference, ShapeDifference
from muonstream.archive.container import ArchiveError
from muonstream.archive.people import People, good_times
from muonstream.archive.quantities import Quantity, quantities
from muonstream.detector.level import Level
from muonstream.picture import histogram_svg
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.verdicts import duration, headline
from muonstream.words import NS_PER_TDC

MOST_CHANGES: Final = 60
MOST_NAMED: Final = 3
MOST_DIFFERENCES: Final = 25
STYLE: Final = """
@page { size: A4; margin: 15mm }
body { font: 14px/1.45 system-ui, sans-serif; color: #1e293b; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin-top: 1.8rem; break-after: avoid }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9em }
th, td { text-align: left; padding: .15rem .5rem; border-bottom: 1px solid #e2e8f0; vertical-align: top }
td.n, th.n { text-align: right; white-space: nowrap } td.w { white-space: nowrap }
.good { color: #166534 } .medium { color: #92400e } .bad { color: #991b1b; font-weight: 600 } .null { color: #64748b }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem } .pictures svg { width: 48%; height: auto; break-inside: avoid }
article + article { break-before: page; border-top: 3px solid #cbd5e1; margin-top: 2rem }
footer { margin-top: 2rem; color: #64748b; font-size: .85em }
@media print { body { margin: 0; max-width: none; padding: 0 } }
"""


@dataclass(frozen=True, slots=True)
class Reported:
    """A run of a report.

    run: the content of run.json; state: the present one; against: the comparison, with the other run's name
    """

    snapshot: Snapshot
    run: dict[str, Any]
    state: str
    people: People
    against: tuple[str, Sequence[Difference], Sequence[ShapeDifference]] | None = None

    @property
    def id(self) -> str:
        """The same for all that is written of one run."""
        return str(self.run.get("id", ""))


def write_report(path: Path, text: str) -> None:
    """Write a report's file whole, or not at all, in place of one that is there. Raises ArchiveError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ArchiveError(f"{path}: cannot be written: {error.strerror or error}") from None


def report_html(runs: Sequence[Reported], *, title: str = "", made: float | None = None) -> str:
    """The text of the HTML file; made: unix seconds, now if None."""
    at = _local(time.time() if made is None else made)
    heading = title or _heading(runs)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="muonstream-runs" content="{escape(" ".join(one.id for one in runs), quote=True)}">',
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(heading)}</h1>",
    ]
    if len(runs) > 1:
        parts.append(_overview(runs))
    parts += [_article(one, alone=len(runs) == 1 and not title) for one in runs]
    parts.append(f"<footer>Made by muonstream {__version__}, {escape(at)}.</footer></body></html>")
    return "\n".join(parts) + "\n"


def _heading(runs: Sequence[Reported]) -> str:
    """What the runs are called together: by their names, or many of them by how many and when."""
    if len(runs) <= MOST_NAMED:
        return ", ".join(_name(one) for one in runs)
    begun = [one.snapshot.begun_wall_time for one in runs if one.snapshot.begun_wall_time]
    return f"{len(runs)} runs" + (f", begun {_local(min(begun))} to {_local(max(begun))}" if begun else "")


def _overview(runs: Sequence[Reported]) -> str:
    rows = []
    for one in runs:
        snapshot = one.snapshot
        level = Level.NULL if snapshot.verdicts is None else snapshot.verdicts.worst
        rows.append(
            f"<tr><td>{escape(_name(one))}</td><td>{_local(snapshot.begun_wall_time)}</td><td>{escape(one.state)}</td>"
            f'<td class="n">{duration(snapshot.live_time_s)}</td><td class="n">{snapshot.account.words:,}</td>'
            f'<td class="{level.name.lower()}">{escape(_headline(snapshot))}</td></tr>'
        )
    head = '<tr><th>run</th><th>begun</th><th>state</th><th class="n">live</th><th class="n">words</th><th>verdict</th>'
    return f"<table><thead>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _article(one: Reported, *, alone: bool) -> str:
    """All of one run; alone: the page's heading is its name."""
    snapshot = one.snapshot
    level = Level.NULL if snapshot.verdicts is None else snapshot.verdicts.worst
    facts = (
        f"{escape(snapshot.source)}; begun {_local(snapshot.begun_wall_time)}; {escape(one.state)}; "
        f"{duration(snapshot.live_time_s)} of live time; detector {escape(snapshot.detector.name)}"
    )
    parts = [
        f"<article>{'' if alone else f'<h2>{escape(_name(one))}</h2>'}",
        f'<p class="{level.name.lower()}">{escape(_headline(snapshot))}</p><p>{facts}</p>',
        _people(one),
        _alarms(snapshot),
        _account(snapshot),
        _quantities([one for one in quantities(snapshot) if one.name != "worst verdict"]),
        f'<h2>Pictures</h2><div class="pictures">{"".join(_pictures(snapshot))}</div>',
        _differences(one),
        _changes(snapshot),
        _provenance(one),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _people(one: Reported) -> str:
    people = one.people
    if not (people.comments or people.flags):
        return ""
    rows = [
        f"<tr><td>{_local(comment.time)}</td><td>{escape(comment.name)}</td><td>{escape(comment.text)}</td></tr>"
        for comment in people.comments
    ]
    rows += [
        f"<tr><td>{_local(flag.time)}</td><td>{escape(flag.name)}</td><td>flag: {flag.effect}, "
        f"{escape(flag.part or 'whole detector')}, {_range(flag.from_s, flag.to_s)}"
        f"{': ' if flag.cause else ''}{escape(flag.cause)}</td></tr>"
        for flag in people.flags
    ]
    good = good_times(people.flags, one.snapshot.data_time_s)
    share = sum(end - begin for begin, end in good) / max(one.snapshot.data_time_s, 1e-9)
    note = f"<p>{share:.1%} of the data time is not flagged as bad.</p>" if people.flags else ""
    return f"<h2>Comments and flags</h2><table><tbody>{''.join(rows)}</tbody></table>{note}"


def _alarms(snapshot: Snapshot) -> str:
    verdicts = snapshot.verdicts
    if verdicts is None:
        return "<h2>Alarms</h2><p>This run was not judged.</p>"
    rows = [
        f'<tr><td class="{spell.level.name.lower()}">{spell.level.title}</td><td>{escape(spell.subject)}</td>'
        f'<td>{escape(spell.check)}</td><td class="n">{duration(spell.seconds)}</td><td>{escape(spell.known)}</td></tr>'
        for spell in verdicts.spells
    ]
    if not rows:
        return f"<h2>Alarms</h2><p>None in {duration(verdicts.judged_s)} that were judged.</p>"
    head = '<tr><th>level</th><th>where</th><th>check</th><th class="n">for</th><th>known</th></tr>'
    return f"<h2>Alarms</h2><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _account(snapshot: Snapshot) -> str:
    account = snapshot.account
    rows = [
        f'<tr><td>{escape(name)}</td><td class="n">{number:,}</td></tr>'
        for name, number in account.as_dict().items()
        if number
    ]
    balance = "balances" if account.balanced else f"does not balance: {account.residual:,} words are missing"
    faults = "".join(f"<li>{escape(line)}</li>" for line in snapshot.faults[:20])
    notes = f"<ul>{faults}</ul>" if faults else ""
    return f"<h2>Account</h2><table><tbody>{''.join(rows)}</tbody></table><p>The account {balance}.</p>{notes}"


def _quantities(found: Sequence[Quantity]) -> str:
    """Those of the detector one below another, then a table with a column for each chamber."""
    whole = _listed([one for one in found if not one.subject])
    subjects = list(dict.fromkeys(one.subject for one in found if one.subject))
    shown = {one.key: number(one.value, one.error) for one in found}
    units = {one.name: one.unit for one in found if one.subject}
    head = "".join(f'<th class="n">{escape(subject)}</th>' for subject in subjects)
    rows = [
        f"<tr><td>{escape(name)}{f', {escape(unit)}' if unit else ''}</td>"
        + "".join(f'<td class="n">{shown.get((name, subject), "")}</td>' for subject in subjects)
        + "</tr>"
        for name, unit in units.items()
    ]
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"{whole}<h2>By chamber</h2>{table}"


def _listed(found: Sequence[Quantity]) -> str:
    rows = [
        f'<tr><td>{escape(one.name)}</td><td class="n">'
        f"{number(one.value, one.error)}</td><td>{escape(one.unit)}</td></tr>"
        for one in found
    ]
    return f"<h2>Quantities</h2><table><tbody>{''.join(rows)}</tbody></table>"


def _pictures(snapshot: Snapshot) -> list[str]:
    catalogue, total = snapshot.catalogue, snapshot.total
    made = []
    for index, chamber in enumerate(snapshot.detector.chambers):
        cells = catalogue.hits_per_cell(total, index).astype(np.float64)
        edges = np.arange(len(cells) + 1, dtype=np.float64)
        made.append(histogram_svg(f"{chamber.name}: hits by cell", "cell", edges, cells))
    for index, chamber in enumerate(snapshot.detector.chambers):
        drift = catalogue.view(total, "drift_tdc")[index][1:-1].astype(np.float64)
        if drift.any():
            drift = drift[: len(drift) // 8 * 8].reshape(-1, 8).sum(axis=1)
            axis = catalogue.entries["drift_tdc"].axis
            edges_ns = np.asarray((axis.start + np.arange(len(drift) + 1) * 8.0) * NS_PER_TDC, dtype=np.float64)
            made.append(histogram_svg(f"{chamber.name}: drift time", "hit minus passage, ns", edges_ns, drift))
    if snapshot.catalogue.muon_shapes:
        for index, chamber in enumerate(snapshot.detector.chambers):
            entry = catalogue.entries["misfit"]
            values = catalogue.view(total, "misfit")[index][1:-1].astype(np.float64)
            if values.any():
                title = f"{chamber.name}: combination of hits that is zero for a straight track"
                made.append(histogram_svg(title, "misfit, mm", entry.axis.edges, values))
    return made


def _differences(one: Reported) -> str:
    if one.against is None:
        return ""
    name, scalars, shapes = one.against
    rows = [
        f'<tr><td>{escape(d.name)}</td><td class="w">{escape(d.subject)}</td><td class="n">{d.one:,.6g}</td>'
        f'<td class="n">{d.other:,.6g}</td><td>{escape(d.unit)}</td>'
        f'<td class="n">{"" if d.sigma is None else f"{d.sigma:+.1f}"}</td></tr>'
        for d in scalars[:MOST_DIFFERENCES]
    ]
    more = [
        f'<tr><td>{escape(s.name)}</td><td class="w">{escape(s.subject)}</td><td class="n">{s.entries[0]:,}</td>'
        f'<td class="n">{s.entries[1]:,}</td><td>shape, chi2 {s.chi2:,.0f} / {s.degrees}</td>'
        f'<td class="n">{s.sigma:+.1f}</td></tr>'
        for s in shapes[:MOST_DIFFERENCES]
    ]
    head = (
        f'<tr><th>what</th><th>where</th><th class="n">here</th><th class="n">{escape(name)}</th><th>unit</th>'
        '<th class="n">standard deviations</th></tr>'
    )
    body = "".join([*rows, *more])
    return f"<h2>Compared with {escape(name)}</h2><table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _changes(snapshot: Snapshot) -> str:
    verdicts = snapshot.verdicts
    if verdicts is None or not verdicts.history:
        return ""
    shown = verdicts.history[-MOST_CHANGES:]
    rows = [
        f'<tr><td class="w">{_local(one.time)}</td><td class="n">{one.data_time_s:,.0f} s</td>'
        f"<td>{escape(one.subject)}</td><td>{escape(one.check)}</td>"
        f'<td class="{one.after.name.lower()}">{one.before.title} to {one.after.title}</td>'
        f"<td>{escape(one.reason)}</td></tr>"
        for one in shown
    ]
    more = verdicts.changes - len(shown)
    note = f"<p>{more:,} earlier changes are not shown.</p>" if more > 0 else ""
    head = '<tr><th>at</th><th class="n">data time</th><th>where</th><th>check</th><th>level</th><th>why</th></tr>'
    return f"<h2>Time line of verdicts</h2><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>{note}"


def _provenance(one: Reported) -> str:
    provenance = one.run.get("provenance", {})
    found = {
        **provenance,
        "references": _references(provenance.get("references", ())),
        "remembered": _remembered(provenance.get("remembered", ())),
        "detector file (SHA-256)": one.run.get("detector", {}).get("sha256", ""),
        "archived": one.run.get("written", ""),
    }
    rows = [
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>"
        for key, value in found.items()
        if value not in ("", None, [], ())
    ]
    return f"<h2>Provenance</h2><table><tbody>{''.join(rows)}</tbody></table>"


def _references(runs: Sequence[dict[str, Any]]) -> str:
    """The runs that verdicts were compared with, and who set them when."""
    told = []
    for run in runs:
        since, until, by = (run.get(key) for key in ("since_wall_time", "until_wall_time", "by"))
        more = [f"set by {by}"] if by else []
        more += [f"from {_local(since)}"] if since else []
        more += [f"until {_local(until)}"] if until else []
        told.append((run.get("name") or "unnamed") + f" ({' '.join(more)})" * bool(more))
    return ", ".join(told)


def _remembered(alarms: Sequence[dict[str, Any]]) -> str:
    """The alarms that were known when the run began, and who acknowledged them why."""
    told = []
    for one in alarms:
        why, name = one.get("why"), one.get("name")
        answer = f", {why}" * bool(why) + f" ({name})" * bool(name)
        told.append(f"{one.get('subject')}: {one.get('check')}, known from {one.get('run') or 'earlier'} on{answer}")
    return "; ".join(told)


def _name(one: Reported) -> str:
    number = one.run.get("number")
    name = one.snapshot.run or "run"
    told = number and str(number) not in re.findall(r"[1-9][0-9]*", name)
    return f"{name} (run {number})" if told else name


def _headline(snapshot: Snapshot) -> str:
    return "not judged" if snapshot.verdicts is None else headline(snapshot.verdicts)


def _local(wall_time: float) -> str:
    return local_time(wall_time) or "not known"


def _range(from_s: float | None, to_s: float | None) -> str:
    if from_s is None and to_s is None:
        return "whole run"
    return f"{from_s or 0:g} s to {'the end' if to_s is None else f'{to_s:g} s'}"


def number(value: float, error: float | None) -> str:
    """A value with its error, both to two digits of the error; without one, to six digits."""
    if error is None or not error > 0 or not np.isfinite(error):
        return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:,.6g}"
    if value == 0:
        return f"0 ± {error:,.2g}"
    digits = max(1 - int(np.floor(np.log10(error))), 0)
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"
