"""An inspection on the terminal: the input's properties, tables of its parts, and at the end what to look at first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from rich.table import Table

from muonstream.commands import common
from muonstream.commands.places import Places
from muonstream.run.monitor import Snapshot
from muonstream.survey.digest import BoardDigest, ChannelDigest, SurveyDigest
from muonstream.survey.remarks import Remark, departure_text, percent, seconds, spans
from muonstream.survey.suggestion import Suggestion
from muonstream.words import ORBIT_SECONDS, Head

CELLS_SHOWN: Final = 8
SILENT_SHOWN: Final = 12
COLD: Final = 0.3
"""Cells with less than this share of the median cell's hits are listed as cold, if that has ENOUGH_HITS."""
ENOUGH_HITS: Final = 20
CHANNELS_SHOWN: Final = 12
ROWS_SHOWN: Final = 12
LABEL: Final = 9
BARS, PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
NARROW: Final = 80
STYLES: Final = {"bad": "bold red", "odd": "yellow", "note": ""}


def show(
    file: str,
    found: SurveyDigest,
    *,
    snapshot: Snapshot,
    header: Sequence[tuple[str, str]],
    places: Places,
    notes: Sequence[str],
    remarks: Sequence[Remark],
    suggestion: Suggestion,
) -> None:
    """Print all of it. header: names and values of what the input is; notes: lines of the reader and the builder."""
    common.out.print(file, style="bold", markup=False)
    for name, value in (*header, *_times(found)):
        _line(name, value)
    if found.hits:
        _boards(found)
        _fields(found)
        _chambers(found, snapshot)
    _heads(found, places)
    _unknown(found, places)
    _departures(found, places)
    _cells(found)
    _bullets("Notes of the reader", [("", "", note) for note in notes])
    if suggestion.toml:
        common.out.print("\nSuggested detector file (positions and offsets are not in the data)", style="bold")
        common.out.print(suggestion.toml.rstrip(), markup=False)
    for line in () if suggestion.toml else suggestion.remarks:
        common.out.print(f"\n{line}", markup=False)
    marks = {"bad": "!!", "odd": "! ", "note": "- "}
    title = "What to look at first" if any(one.level != "note" for one in remarks) else "Nothing odd"
    _bullets(title, [(marks[one.level], STYLES[one.level], one.text) for one in remarks], always=True)


def bars(values: Sequence[float], width: int, *, top: float | None = None) -> str:
    """Values from 0 up as a row of at most width bars; neighbours are averaged where there are more."""
    if not values:
        return ""
    signs = BARS if "utf" in (common.out.encoding or "").lower() else PLAIN_BARS
    n = min(width, len(values))
    edges = [k * len(values) // n for k in range(n + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    highest = max(means) if top is None else top
    if highest <= 0:
        return signs[0] * n
    # a value above 0 is never drawn as an empty bar
    return "".join(signs[min(8, max(round(8 * mean / highest), 1))] if mean > 0 else signs[0] for mean in means)


def _width() -> int:
    return max(common.out.width, NARROW)


def _line(name: str, value: str) -> None:
    """A name and its value; on a terminal, long values are continued under themselves."""
    lead = f"{name:<{LABEL}} "
    lines = _wrapped(value, LABEL + 1)
    common.out.print(lead + f"\n{' ' * (LABEL + 1)}".join(lines), markup=False)


def _wrapped(text: str, indent: int) -> list[str]:
    """On a terminal, lines that fit its width; for a pipe one line, so that it can be searched."""
    if not common.out.is_terminal:
        return [text]
    return textwrap.wrap(text, common.out.width - indent, break_on_hyphens=False, break_long_words=False) or [""]


def _bullets(title: str, rows: Iterable[tuple[str, str, str]], *, always: bool = False) -> None:
    rows = list(rows)
    if not rows and not always:
        return
    common.out.print(f"\n{title}", style="bold")
    for mark, style, text in rows:
        lead = f"{mark} " if mark else ""
        lines = _wrapped(text, len(lead))
        common.out.print(lead + f"\n{' ' * len(lead)}".join(lines), style=style or None, markup=False)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table without lines: the first columns are text, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    common.out.print()
    common.out.print(table)


def _times(found: SurveyDigest) -> list[tuple[str, str]]:
    if not found.hits:
        return []
    low = min(one.first_orbit for one in found.boards)
    high = max(one.last_orbit for one in found.boards)
    counted = [
        f"{n} {what}{'' if n == 1 else 's'}"
        for what in ("gap", "reset", "wrap")
        if (n := sum(one.kind == what for one in found.events))
    ]
    gaps = found.time_s - found.live_s
    within = f"{seconds(found.live_s)} of data" + (f" within {seconds(found.time_s)}" if gaps > 0 else "")
    lines = [("time", ", ".join([within, *counted]))]
    bits = f"{found.orbit_bits} bits used"
    if found.counter_bits:
        bits += f", the counter seems to have {found.counter_bits}"
    lines.append(("orbits", f"{low:,} to {high:,}, {bits}"))
    if found.rates_hz:
        chart = bars(found.rates_hz, min(60, _width() - LABEL - 50))
        step = found.rates_step_s * len(found.rates_hz) / max(len(chart), 1)
        low_hz, high_hz = min(found.rates_hz), max(found.rates_hz)
        rate = _hz(found.hits - found.repeats.near, found)
        text = f"{rate} hits/s  {chart}  {_number(low_hz)} to {_number(high_hz)}, {seconds(step)} a bar"
        lines.append(("rate", text))
    if found.board_changes:
        back = percent(found.back_changes / found.board_changes) if found.back_changes else "none"
        deep = f", by up to {found.deepest_back_change:,} orbits" if found.deepest_back_change else ""
        text = f"{back} of the steps from board to board go back in time{deep}; "
        lines.append(("order", f"{text}at most {found.longest_packet:,} words of one board in a row"))
    counts = found.repeats
    if counts.near or counts.anywhere_share:
        anywhere = percent(counts.anywhere_share)
        lines.append(
            (
                "repeats",
                f"{counts.near:,} hits equal one of the 8,192 hits before them "
                f"({counts.adjacent:,} the hit just before); "
                f"in the whole input, {anywhere} of the hits are repeats (estimated from {counts.sampled:,} words)",
            )
        )
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.4g}"


def _hz(hits: int, found: SurveyDigest) -> str:
    """A rate, over live time or, of sparse data, over all time."""
    spent = found.time_s if found.sparse else found.live_s
    return _number(hits / spent) if spent > 0 else ""


def _boards(found: SurveyDigest) -> None:
    table = _table("Boards", "board", "hit words", "Hz", "first orbit", "last orbit", "gaps", "falls", "wild")
    for one in found.boards:
        numbers = (one.first_orbit, one.last_orbit, one.gaps, one.falls, one.wild)
        name = str(one.board) if one.known else f"{one.board} (unknown)"
        table.add_row(name, f"{one.hits:,}", _hz(one.hits, found), *(f"{number:,}" for number in numbers))
    for board in found.missing_boards:
        table.add_row(str(board), "0", *[""] * 6)
    _print(table)
    table = _table("Order", "board", "earlier", "by up to", "behind 50 %", "99 %", "most", "packet", "most frequent")
    for one in found.boards:
        often = ", ".join(f"{n:,}" for n, _ in one.packets[:3])
        lags = (one.lag.median, one.lag.p99, one.lag.deepest)
        counts = [percent(one.back_share), f"{one.deepest_back:,}", *(_orbits(number) for number in lags)]
        table.add_row(str(one.board), *counts, f"{one.packet_median:,}", often)
    _print(table)
    explained = (
        "earlier: share of the words that are earlier than the previous word of the same board, and by how many orbits "
        "at most. behind: orbits behind the leading board. packet: words of one board in a row; half of the words are "
        "in packets no longer than this"
    )
    common.out.print("\n".join(_wrapped(explained, 0)), style="dim")


def _orbits(number: int) -> str:
    """A number of orbits, or a time where it is long."""
    return f"{number:,}" if number * ORBIT_SECONDS < 0.1 else seconds(number * ORBIT_SECONDS)


def _fields(found: SurveyDigest) -> None:
    table = _table("TDC and BX", "board", "TDC 1 to 30", "BX", left=2)
    table.columns[2].justify = "left"
    for one in found.boards:
        fields = one.fields
        tdc = [f"without {spans(list(fields.tdc_missing))}"] if fields.tdc_missing else []
        tdc += [f"{fields.tdc_outside:,} outside"] if fields.tdc_outside else []
        bx = [f"{fields.bx_outside:,} of 3564 or more"] if fields.bx_outside else []
        bx += [f"bit {bit} always {value}" for bit, value in fields.bx_stuck]
        bx += [f"{fields.bx_hottest[1]:,.1f} x {fields.bx_hottest[0]}"] if fields.bx_hottest else []
        chart = bars(fields.tdc_counts[1:31], 30)
        table.add_row(str(one.board), f"{chart} {', '.join(tdc) or 'even'}", _even(one, bx))
    _print(table)


def _even(one: BoardDigest, remarks: list[str]) -> str:
    return ", ".join(remarks) or ("uneven" if one.fields.bx_uneven else "even")


def _chambers(found: SurveyDigest, snapshot: Snapshot) -> None:
    table = _table("Chambers", "chamber", "board", "channels", "hits", "Hz", "silent", "dead")
    for chamber in snapshot.detector.chambers:
        last = chamber.first_channel + chamber.cells - 1
        mine = [
            one
            for one in found.channels
            if one.what and one.board == chamber.board and chamber.first_channel <= one.channel <= last
        ]
        hits = sum(one.hits for one in mine)
        table.add_row(
            chamber.name,
            str(chamber.board),
            f"{chamber.first_channel}-{last}",
            f"{hits:,}",
            _hz(hits, found),
            f"{sum(not one.hits and not one.dead for one in mine):,}",
            f"{sum(one.dead for one in mine):,}",
        )
    for one in found.channels:
        if one.what in ("trigger", "scintillator"):
            table.add_row(one.what, str(one.board), str(one.channel), f"{one.hits:,}", _hz(one.hits, found), "", "")
    _print(table)


def _heads(found: SurveyDigest, places: Places) -> None:
    if all(one.head == Head.HIT for one in found.heads):
        return
    shares = dict(found.head_shares)
    wide = _width() >= 120
    table = _table("Words by HEAD", "HEAD", "kind", "words", "share", "as before", "over the input", "first", left=2)
    for column in (5, 6):
        table.columns[column].justify = "left"
    for one in found.heads:
        chart = bars(shares.get(one.head, ()), 40 if wide else 12, top=1.0)
        first = (
            "" if one.head == Head.HIT else (f"{places.text(one.examples[0][0])} " if wide else "") + one.examples[0][1]
        )
        equal = "" if one.head == Head.HIT else f"{one.equal:,}"
        share = percent(one.words / found.words)
        table.add_row(str(one.head), one.name, f"{one.words:,}", share, equal, chart, first)
    _print(table)


def _unknown(found: SurveyDigest, places: Places) -> None:
    unknown = found.unknown()
    if not unknown:
        return
    columns = ("board", "channel", "words", "TDC codes", "in company")
    table = _table("Channels not in the detector file", *columns)
    for one in unknown[:CHANNELS_SHOWN]:
        codes = f"1 ({one.only_tdc})" if one.tdc_codes == 1 else str(one.tdc_codes)
        table.add_row(str(one.board), str(one.channel), f"{one.hits:,}", codes, percent(one.in_company))
    _print(table)
    rest = unknown[CHANNELS_SHOWN:]
    if rest:
        where = "; ".join(
            f"board {board}: {spans([one.channel for one in rest if one.board == board])}"
            for board in sorted({one.board for one in rest})
        )
        more = f"and {len(rest):,} more with {sum(one.hits for one in rest):,} words: {where}"
        common.out.print("\n".join(_wrapped(more, 0)), markup=False)


def _departures(found: SurveyDigest, places: Places) -> None:
    if not found.departures:
        return
    table = _table("Stretches unlike the rest", "from", "words", "what")
    table.columns[2].justify = "left"
    for one in sorted(found.departures, key=lambda one: -one.words)[:ROWS_SHOWN]:
        table.add_row(places.text(one.first_word), f"{one.words:,}", departure_text(one))
    _print(table)
    if len(found.departures) > ROWS_SHOWN:
        common.out.print(f"and {len(found.departures) - ROWS_SHOWN:,} more")


def _cells(found: SurveyDigest) -> None:
    cells = [one for one in found.channels if " cell " in one.what]
    alive = sorted((one for one in cells if one.hits), key=lambda one: -one.hits)
    # unless a cell is clearly cold, the lowest ones are statistical fluctuations
    median = alive[len(alive) // 2].hits if alive else 0
    cold = [one for one in reversed(alive) if one.hits < COLD * median] if median >= ENOUGH_HITS else []
    for title, which in (("Coldest cells", cold[:CELLS_SHOWN]), ("Hottest cells", alive[:CELLS_SHOWN])):
        if not which or found.time_s <= 0:
            continue
        table = _table(title, "Hz", "chamber", "cell", "board", "channel", "hits", left=2)
        table.columns[0].justify = "right"
        for one in which:
            chamber, _, cell = one.what.rpartition(" cell ")
            table.add_row(_hz(one.hits, found), chamber, cell, str(one.board), str(one.channel), f"{one.hits:,}")
        _print(table)
    for dead, remark in ((False, ""), (True, ", as the detector file says")):
        silent = [one for one in cells if not one.hits and one.dead is dead]
        if silent and (found.hits or not dead):
            common.out.print("\n".join(_wrapped(f"without any hit{remark}: {_names(silent)}", 0)), markup=False)


def _names(silent: list[ChannelDigest]) -> str:
    more = f" and {len(silent) - SILENT_SHOWN} more" if len(silent) > SILENT_SHOWN else ""
    return ", ".join(one.what for one in silent[:SILENT_SHOWN]) + more
