"""Remarks on a survey, in order of importance: one line each, with numbers and the place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from muonstream.formats.block import counted
from muonstream.survey.clocks import EVENTS_KEPT
from muonstream.survey.digest import BoardDigest, ChannelDigest, EventDigest, SurveyDigest
from muonstream.survey.plausibility import BoardFields
from muonstream.survey.repeats import RUN_HITS
from muonstream.survey.stretches import Departure
from muonstream.words import BX_PER_ORBIT, ORBIT_SECONDS, Head

Level = Literal["bad", "odd", "note"]

LISTED: Final = 6
"""Channels of a board, or events, that get a line of their own."""
DEEP_LAG_S: Final = 1.0
HOT_FACTOR: Final = 10.0
FEW_HITS: Final = 20

Place = Callable[[int], str]
"""How a word's place in the input, from 0, is written, such as "word 13 (byte 96)"."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One line. bad: data are lost, doubled or wrongly timed; odd: not as expected; note: good to know."""

    level: Level
    text: str


def word_place(word: int) -> str:
    """A place where the bytes are not known; people count words from 1, as readers' notes do."""
    return f"word {word + 1:,}"


def remarks(found: SurveyDigest, place: Place = word_place) -> list[Remark]:
    """Remarks on a survey, the most important first; an input that is as it should be has none but notes."""
    if not found.hits:
        text = "no words" if not found.words else f"none of the {found.words:,} words is a hit (HEAD 2)"
        return [Remark("bad", text), *_idle(found, place)]
    every = [
        *_boards(found, place),
        *_unknown(found),
        *_counter(found, place),
        *_repeats(found, place),
        *_order(found, place),
        *_fields(found),
        *_idle(found, place),
        *_channels(found, place),
        *_departures(found, place),
    ]
    rank = {"bad": 0, "odd": 1, "note": 2}
    return sorted(every, key=lambda one: rank[one.level])


def percent(share: float) -> str:
    """A share as a percentage, never rounded to 0 % or 100 %."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    value = 100 * share
    digits = 0 if 10 <= value <= 90 else 1 if 1 <= value <= 99 else 2
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return "under 0.01 %"
    return "over 99.99 %" if float(text) == 100 else f"{text} %"


def seconds(value: float) -> str:
    """A duration in a unit that fits."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("s", 1.0), ("ms", 1e-3)):
        if value >= 2 * size or (unit in ("s", "ms") and value >= size) or unit == "ms":
            return f"{value / size:,.3g} {unit}" if value / size < 1000 else f"{value / size:,.0f} {unit}"
    raise AssertionError


def spans(numbers: list[int]) -> str:
    """Whole numbers as ranges, such as "3, 7 to 9"."""
    out: list[list[int]] = []
    for number in sorted(numbers):
        if out and number == out[-1][-1] + 1:
            out[-1].append(number)
        else:
            out.append([number])
    return ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in out)


def _boards(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    for board in found.missing_boards:
        what = sorted({one.what.partition(" cell ")[0] for one in found.channels if one.board == board and one.what})
        of = f" ({', '.join(what)})" if what else ""
        yield Remark("bad", f"board {board} sends no hit; the detector file has it{of}")
    for one in found.boards:
        if not one.known:
            yield Remark("bad", f"board {one.board}: {one.hits:,} words, not in the detector file")
    begin, end = (
        f(getattr(one, name) for one in found.boards) for f, name in ((min, "first_word"), (max, "last_word"))
    )
    for one in found.boards:
        rate = one.hits / max(one.last_word - one.first_word + 1, 1)
        if one.hits >= FEW_HITS and rate * (end - one.last_word) > 200:
            yield Remark("bad", f"board {one.board} stops: its last hit is {place(one.last_word)} of {found.words:,}")
        if one.hits >= FEW_HITS and rate * (one.first_word - begin) > 200:
            yield Remark("bad", f"board {one.board} begins late: its first hit is {place(one.first_word)}")


def _unknown(found: SurveyDigest) -> Iterator[Remark]:
    known_boards = {one.board for one in found.boards if one.known}
    unknown = [one for one in found.unknown() if one.board in known_boards]
    silent = [one for one in found.silent() if not one.dead]
    for board in found.boards:
        mine = [one for one in unknown if one.board == board.board]
        if len(mine) > LISTED:
            n = sum(one.hits for one in mine)
            share = f"{n:,} words ({percent(n / board.hits)})"
            channels = spans([one.channel for one in mine])
            yield Remark(
                "bad" if n > found.hits / 1000 else "odd",
                f"board {board.board}: {share} on {len(mine)} channels not in the detector file: {channels}",
            )
            continue
        for one in mine:
            level: Level = "bad" if one.hits > found.hits / 1000 else "odd"
            alone = [other for other in silent if other.board == one.board]
            hint = ""
            if len(alone) == 1 and len(mine) == 1:
                hint = f"; {alone[0].what} of this board (channel {alone[0].channel}) is silent: moved?"
            elif one.tdc_codes == 1 and one.hits >= FEW_HITS:
                hint = f"; all with TDC {one.only_tdc}, such as a trigger's"
            text = f"board {one.board} channel {one.channel}: {one.hits:,} words, not in the detector file"
            yield Remark(level, text + hint)


def _counter(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    wraps = [one for one in found.events if one.kind == "wrap"]
    if found.counter_bits and found.counter_bits < 32:
        period = (1 << found.counter_bits) * ORBIT_SECONDS
        often = counted(len(wraps), "time") if found.events_in_all <= EVENTS_KEPT else "more often than was followed"
        yield Remark(
            "bad",
            f"the orbit counter seems to have {found.counter_bits} bits, not 32: it starts again every "
            f"{seconds(period)}, {often} here, first at {place(wraps[0].word)}; longer gaps go unnoticed",
        )
    elif wraps:
        yield Remark("note", f"the 32-bit orbit counter wraps at {place(wraps[0].word)}")
    elif found.orbit_bits <= 16 and any(one.deepest_back >= 1 << max(found.orbit_bits - 1, 0) for one in found.boards):
        yield Remark("bad", f"orbits use {found.orbit_bits} bits only and step back by more than half of that range")
    kinds: tuple[tuple[str, Level], ...] = (
        ("reset", "bad"),
        ("board fall", "bad"),
        ("board gap", "odd"),
        ("gap", "note"),
    )
    for kind, level in kinds:
        events = [one for one in found.events if one.kind == kind]
        if found.sparse and "gap" in kind:
            continue
        for event in events[:LISTED]:
            yield Remark(level, _event(event, found, place))
        if len(events) > LISTED:
            yield Remark(level, f"{len(events) - LISTED:,} more such events ({kind})")
    if found.sparse:
        yield Remark("note", "pauses of over a second are the rule here, so rates are per second of all data time")
    for one in found.boards:
        if one.wild:
            first = f", first {place(one.first_wild_word)} with orbit {one.first_wild_orbit:,}"
            much = one.wild > one.hits / 100
            yield Remark(
                "bad" if much else "odd",
                f"board {one.board}: {one.wild:,} words with orbits far from those around them{first}",
            )
        if one.constant_orbit_bits:
            bits = spans(list(one.constant_orbit_bits))
            yield Remark("bad", f"board {one.board}: orbit bits {bits} never change")


def _event(event: EventDigest, found: SurveyDigest, place: Place) -> str:
    which = f"board {event.boards[0]}" if len(event.boards) == 1 else f"boards {', '.join(map(str, event.boards))}"
    step = f"from {event.before:,} to {event.after:,}"
    if event.kind == "gap":
        return f"no words for {seconds(event.seconds)} of data time, orbits {step}, at {place(event.word)}"
    if event.kind == "board gap":
        return f"{which} alone sends nothing for {seconds(event.seconds)}, orbits {step}, at {place(event.word)}"
    which = "the orbit counter" if event.kind == "reset" else f"the orbit counter of {which} alone"
    text = f"{which} falls {step} (by {seconds(event.seconds)}) at {place(event.word)}"
    if event.words_before * 20 < found.hits:
        return f"{text}, after {event.words_before:,} words: leftovers of an earlier run?"
    return f"{text}: another run begins there, or the same data again"


def _repeats(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    counts = found.repeats
    pieces = sorted(counts.first_pieces, key=lambda piece: -piece.hits)
    if counts.near > sum(one.hits for one in pieces):
        level: Level = "bad" if counts.near > found.hits / 1000 else "odd"
        beside = f", {counts.adjacent:,} of them right behind it" if counts.adjacent else ""
        share = percent(counts.near / found.hits)
        yield Remark(level, f"{counts.near:,} hits ({share}) repeat one shortly before, bit for bit{beside}")
    for one in pieces[:3]:
        what = f"repeat those {one.before:,} hits before" if one.before > 1 else "are all the same as the one before"
        yield Remark("bad", f"{one.hits:,} hits in a row from {place(one.first_word)} on {what}")
    if counts.pieces > 3:
        yield Remark("bad", f"{counts.pieces - 3:,} more pieces of {RUN_HITS} hits and more repeat earlier ones")
    far = counts.anywhere_share - counts.near / max(found.hits, 1)
    if counts.far_first_word >= 0 and far > 0.002:
        yield Remark(
            "bad",
            f"about {percent(counts.anywhere_share)} of the hits come again, {counts.far_distance_words:,} words "
            f"later, from about {place(counts.far_first_word)} on: the same data twice?",
        )


def _order(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    for one in found.boards:
        if one.lag.deepest_s >= DEEP_LAG_S:
            yield Remark(
                "bad" if one.lag.deepest_s > 5 else "odd",
                f"board {one.board} is up to {seconds(one.lag.deepest_s)} behind the others, at "
                f"{place(one.lag.deepest_word)}: its packets are long, or boards were written one after another",
            )
        if one.back_share > 0.2:
            share = percent(one.back_share)
            yield Remark("odd", f"board {one.board}: {share} of its words are earlier than the one before")


def _fields(found: SurveyDigest) -> Iterator[Remark]:
    for one in found.boards:
        yield from _board_fields(one, one.fields)


def _board_fields(one: BoardDigest, fields: BoardFields) -> Iterator[Remark]:
    board = f"board {one.board}"
    if fields.bx_outside:
        yield Remark(
            "bad",
            f"{board}: {fields.bx_outside:,} words ({percent(fields.bx_outside / one.hits)}) with BX {BX_PER_ORBIT} or "
            f"more, expected 0 to {BX_PER_ORBIT - 1}",
        )
    if fields.tdc_outside:
        zero = f", {fields.tdc_zero:,} of them 0" if fields.tdc_zero else ""
        yield Remark(
            "odd",
            f"{board}: {fields.tdc_outside:,} words ({percent(fields.tdc_outside / one.hits)}) with TDC outside 1 to "
            f"30{zero}",
        )
    for value in (0, 1):
        bits = [bit for bit, always in fields.bx_stuck if always == value]
        if bits:
            plural = len(bits) > 1
            yield Remark(
                "bad", f"{board}: BX bit{'s' * plural} {spans(bits)} {'are' if plural else 'is'} always {value}"
            )
    if fields.tdc_missing:
        yield Remark("bad", f"{board}: TDC {spans(list(fields.tdc_missing))} never comes")
    if fields.tdc_uneven:
        worst = ", ".join(f"{code} ({ratio:.2f})" for code, ratio in fields.tdc_uneven[:4])
        yield Remark("odd", f"{board}: TDC values are not even; relative to the mean: {worst}")
    if fields.bx_hottest and not fields.bx_stuck:
        bx, ratio = fields.bx_hottest
        yield Remark("odd", f"{board}: BX {bx} comes {ratio:,.1f} times as often as the mean")
    elif fields.bx_uneven and not fields.bx_stuck:
        bx, ratio = fields.bx_uneven[0]
        yield Remark("odd", f"{board}: hits are not even over the orbit: {ratio:.2f} times the mean from BX {bx} on")


def _idle(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    first, length, word = found.longest_equal
    if length >= 64:
        yield Remark("odd", f"{length:,} words from {place(first)} on are all {word}: idle words or padding?")
    if found.zeros:
        yield Remark("odd", f"{found.zeros:,} words are zero")
    if found.ones:
        yield Remark("odd", f"{found.ones:,} words have all bits set")
    for head in found.heads:
        if head.head in (Head.RESERVED_6, Head.RESERVED_7) and head.words > found.ones:
            yield Remark("odd", f"{head.words:,} words have HEAD {head.head}, expected 0 to {Head.LOCAL_X:d}")
    first_hit = min((one.first_word for one in found.boards), default=0)
    if first_hit >= 64:
        yield Remark("odd", f"{first_hit:,} words come before the first hit, which is {place(first_hit)}")
    ancillary = found.words - found.hits
    if found.hits and ancillary > found.words / 2:
        yield Remark("odd", f"{percent(ancillary / found.words)} of the words are not hits")


def _channels(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    boards = {one.board for one in found.boards}
    yield from _silent([one for one in found.silent() if not one.dead and one.board in boards], found)
    alive = [one for one in found.channels if one.dead and one.hits]
    if alive:
        names = ", ".join(f"{one.what} ({one.hits:,} hits)" for one in alive[:LISTED])
        yield Remark("note", f"dead by the detector file, but with hits: {names}")
    for verb, places in (("falls silent", "stopped"), ("is silent at first", "started")):
        odd = [one for one in found.channels if getattr(one, places) >= 0]
        for one in odd[:3]:
            name = one.what or "not in the detector file"
            where = "after" if places == "stopped" else "until"
            at = place(getattr(one, places))
            yield Remark("odd", f"board {one.board} channel {one.channel} ({name}) {verb}: no hit {where} {at}")
        if len(odd) > 3:
            yield Remark("odd", f"{len(odd) - 3} more channels of which each {verb}")
    yield from _hot(found)


def _silent(silent: list[ChannelDigest], found: SurveyDigest) -> Iterator[Remark]:
    chambers = {one.what.partition(" cell ")[0] for one in silent}
    for name in sorted(chambers):
        mine = [one for one in silent if one.what.partition(" cell ")[0] == name]
        every = [one for one in found.channels if one.what.partition(" cell ")[0] == name]
        of_board = [one for one in found.channels if one.board == mine[0].board]
        expected = sum(one.hits for one in of_board) / len(of_board)
        if " cell " not in mine[0].what:
            where = ", ".join(f"board {one.board} channel {one.channel}" for one in mine)
            yield Remark("note", f"no {name} word ({where})")
        elif len(mine) == len(every):
            yield Remark("bad", f"{name} is silent: no hit in any of its {len(every)} cells")
        elif expected >= 10:
            cells = spans([int(one.what.rpartition(" ")[2]) for one in mine])
            yield Remark("odd", f"{name}: no hit in cell{'s' if len(mine) > 1 else ''} {cells}")


def _hot(found: SurveyDigest) -> Iterator[Remark]:
    cells = [one for one in found.channels if " cell " in one.what and one.hits]
    if not cells:
        return
    median = float(np.median([one.hits for one in cells]))
    hot = [one for one in cells if one.hits >= 100 and one.hits > HOT_FACTOR * max(median, 1)]
    for one in sorted(hot, key=lambda cell: -cell.hits)[:3]:
        yield Remark(
            "odd",
            f"{one.what} (board {one.board} channel {one.channel}) has {one.hits:,} hits, {one.hits / median:,.0f} "
            "times the median cell",
        )
    if len(hot) > 3:
        yield Remark("odd", f"{len(hot) - 3} more cells have over {HOT_FACTOR:.0f} times the median cell's hits")


def _departures(found: SurveyDigest, place: Place) -> Iterator[Remark]:
    # where one board's share falls, those of the others rise
    fallen = {
        (one.first_word, one.words)
        for one in found.departures
        if one.what.startswith("board ") and one.found < one.usual
    }
    shown = [
        one
        for one in sorted(found.departures, key=lambda one: -one.words)
        if not (one.what.startswith("board ") and one.found > one.usual and (one.first_word, one.words) in fallen)
        and not (one.what == "repeated words" and found.repeats.pieces)
        and not (one.what == "hits" and found.longest_equal[1] >= (found.words - found.hits) / 2)
    ]
    together: dict[tuple[int, int], list[str]] = {}
    for one in shown:
        together.setdefault((one.first_word, one.words), []).append(departure_text(one))
    for (first, words), texts in list(together.items())[:3]:
        yield Remark("odd", f"{words:,} words from {place(first)} on: {'; '.join(texts)}")
    if len(together) > 3:
        yield Remark("odd", f"{len(together) - 3} more stretches depart from the rest")


def departure_text(one: Departure) -> str:
    """What departs, and from which usual value."""
    if one.what == "rate":
        return f"{one.found:,.0f} hits/s, elsewhere {one.usual:,.0f}"
    return f"{percent(one.found)} {one.what}, elsewhere {percent(one.usual)}"
