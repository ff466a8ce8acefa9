"""What a survey found, as plain values: boards, channels, order, repeats, gaps and resets, rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.survey import clocks
from muonstream.survey.clocks import GAP_ORBITS, LONGEST_PACKET
from muonstream.survey.plausibility import BoardFields, board_fields
from muonstream.survey.repeats import RepeatCounts
from muonstream.survey.stretches import LIVE, TIME, Departure, departures
from muonstream.survey.survey import Survey
from muonstream.words import CHANNEL_MASK, FPGA_MASK, ORBIT_SECONDS, Head

RATE_BARS: Final = 120
PACKETS_SHOWN: Final = 6
FEW_FOR_SILENCE: Final = 30.0
"""Number of expected hits of a channel from which its silence is reported."""

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadDigest:
    """Words of one HEAD; equal: those equal to the one before of that HEAD; examples: (place, word) of the first."""

    head: int
    name: str
    words: int
    equal: int
    examples: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class LagDigest:
    """How far words are behind the board that leads, in orbits.

    median, p99: upper bounds (2**k - 1) of half and of 99 % of the words; deepest, deepest_s: the most, and in seconds
    deepest_word: its place
    """

    median: int
    p99: int
    deepest: int
    deepest_s: float
    deepest_word: int


@dataclass(frozen=True, slots=True)
class BoardDigest:
    """One board's words.

    known: whether the detector file has the board; hits: hit words; first_word, last_word: places in the input
    first_orbit, last_orbit: of its first word, and where its counter stands at the end
    orbit_bits: bits that its orbits use; constant_orbit_bits: lower ones that never change though they should
    time_s: orbits its counter passed, gaps included, in seconds; gaps, gap_s, longest_gap_s; falls; wild: words whose
    orbits no words beside them agree with, first_wild_word and first_wild_orbit: the first of them (-1: none)
    back_share, back_orbit_share: share of its words earlier than the one before (by full time, by orbit);
    deepest_back: in orbits; repeats and wild words left out
    lag: behind the leading board; packets: words in a row, (length, how often), the most frequent first
    fields: TDC and BX
    """

    board: int
    known: bool
    hits: int
    first_word: int
    last_word: int
    first_orbit: int
    last_orbit: int
    orbit_bits: int
    constant_orbit_bits: tuple[int, ...]
    time_s: float
    gaps: int
    gap_s: float
    longest_gap_s: float
    falls: int
    wild: int
    first_wild_word: int
    first_wild_orbit: int
    back_share: float
    back_orbit_share: float
    deepest_back: int
    lag: LagDigest
    packets: tuple[tuple[int, int], ...]
    packet_median: int
    fields: BoardFields


@dataclass(frozen=True, slots=True)
class ChannelDigest:
    """A channel with hits, or one that the detector file has.

    what: what the detector file calls it, "" if it does not name it; dead: known to be dead
    tdc_codes: different TDC_MEAS seen; in_company: share of its hits with three other channels' within 800 ns
    stopped, started: place of its last (first) hit when it is silent from there on (until then) though it should not
    """

    board: int
    channel: int
    what: str
    hits: int
    dead: bool
    tdc_codes: int
    only_tdc: int
    in_company: float
    stopped: int
    started: int


@dataclass(frozen=True, slots=True)
class EventDigest:
    """What happened to counters: kind "gap", "reset", "wrap", "board gap" (not all boards), "board fall".

    word: place of the first word behind it; boards; before, after: orbits of the first board;
    seconds: of a gap, its length; of a fall, by how much; words_before: usual words of these boards before it
    """

    kind: str
    word: int
    boards: tuple[int, ...]
    before: int
    after: int
    seconds: float
    words_before: int


@dataclass(frozen=True, slots=True)
class SurveyDigest:
    """Everything a survey found.

    time_s, live_s: data time with and without gaps; rate_hz: hit words a second, over live time, or over all time when
    pauses are the rule (sparse); rates_hz, rates_step_s: the same in equal pieces of that time; both without repeats
    counter_bits: the orbit counter's width if it shows, 0 otherwise; orbit_bits: bits that are used
    board_changes, back_changes: steps between boards, and those that go back in time; deepest_back_change: in orbits
    stretch_words: words in a stretch, of which departures are made; head_shares: (head, its share of the words in equal
    pieces of the input)
    longest_packet: hit words in a row of one board; longest_equal: (place, length, word) of one and the same word
    """

    words: int
    hits: int
    heads: tuple[HeadDigest, ...]
    zeros: int
    ones: int
    longest_equal: tuple[int, int, str]
    time_s: float
    live_s: float
    sparse: bool
    rate_hz: float
    rates_hz: tuple[float, ...]
    rates_step_s: float
    orbit_bits: int
    counter_bits: int
    boards: tuple[BoardDigest, ...]
    missing_boards: tuple[int, ...]
    channels: tuple[ChannelDigest, ...]
    board_changes: int
    back_changes: int
    deepest_back_change: int
    longest_packet: int
    repeats: RepeatCounts
    events: tuple[EventDigest, ...]
    events_in_all: int
    departures: tuple[Departure, ...]
    stretch_words: int
    head_shares: tuple[tuple[int, tuple[float, ...]], ...]

    def unknown(self) -> list[ChannelDigest]:
        """Channels with hits that the detector file does not name, the busiest first."""
        return sorted((one for one in self.channels if not one.what), key=lambda one: -one.hits)

    def silent(self) -> list[ChannelDigest]:
        """Channels that the detector file names, and that have no hit."""
        return [one for one in self.channels if one.what and not one.hits]


def channel_names(detector: Detector) -> dict[tuple[int, int], str]:
    """The detector file's name of each of its (board, channel)."""
    names = {
        (chamber.board, chamber.first_channel + cell): f"{chamber.name} cell {cell}"
        for chamber in detector.chambers
        for cell in range(chamber.cells)
    }
    for what, singles in (("scintillator", detector.scintillators), ("trigger", detector.triggers)):
        names |= {(one.board, one.channel): what for one in singles}
    return names


def digest(survey: Survey, detector: Detector) -> SurveyDigest:
    """The findings of a survey so far, by the names of a detector."""
    state = survey.clocks
    time_s, live_s = (float(state.scalars[k]) * ORBIT_SECONDS for k in (clocks.TIME_SUM, clocks.LIVE_SUM))
    hits = int(survey.heads[Head.HIT])
    gaps = int(state.boards[:, clocks.GAPS].sum())
    sparse = gaps * 20 > hits
    repeats = survey.repeats.counts()
    spent = time_s if sparse else live_s
    seen = [board for board in range(FPGA_MASK + 1) if survey.bx[board].any()]
    boards = tuple(_board(survey, detector, board) for board in seen)
    rates, step_s = survey.stretches.rates_hz(RATE_BARS, TIME if sparse else LIVE)
    place, length, word = survey.longest_equal()
    bits = max((one.orbit_bits for one in boards), default=0)
    events = _events(survey, boards)
    counter_bits = _counter_bits(events, bits)
    if counter_bits:
        events = tuple(_as_wrap(one, counter_bits) for one in events)
    return SurveyDigest(
        words=survey.words,
        hits=hits,
        heads=tuple(_head(survey, head) for head in range(8) if survey.heads[head]),
        zeros=survey.zeros,
        ones=survey.ones,
        longest_equal=(place, length, f"0x{word:016x}"),
        time_s=time_s,
        live_s=live_s,
        sparse=sparse,
        rate_hz=(hits - repeats.near) / spent if spent > 0 else 0.0,
        rates_hz=tuple(rates),
        rates_step_s=step_s,
        orbit_bits=bits,
        counter_bits=counter_bits,
        boards=boards,
        missing_boards=tuple(board for board in detector.boards if board not in seen),
        channels=_channels(survey, detector),
        board_changes=int(state.scalars[clocks.CHANGES]),
        back_changes=int(state.scalars[clocks.CHANGES_BACK]),
        deepest_back_change=int(state.scalars[clocks.CHANGES_DEEPEST]),
        longest_packet=state.longest_packet(),
        repeats=repeats,
        events=events,
        events_in_all=int(state.scalars[clocks.EVENTS]),
        departures=tuple(departures(survey.stretches)),
        stretch_words=survey.stretches.length,
        head_shares=survey.stretches.head_shares(RATE_BARS),
    )


def _head(survey: Survey, head: int) -> HeadDigest:
    n = min(int(survey.heads[head]), survey.examples.shape[1])
    examples = tuple(
        (int(place), f"0x{int(word):016x}")
        for place, word in zip(survey.example_places[head, :n], survey.examples[head, :n], strict=True)
    )
    return HeadDigest(head, Head(head).name.lower(), int(survey.heads[head]), int(survey.same[head]), examples)


def _board(survey: Survey, detector: Detector, board: int) -> BoardDigest:
    state = survey.clocks
    c = state.boards[board]
    words = max(int(c[clocks.WORDS]), 1)
    packets = state.packets()[board]
    often = sorted(((int(n), int(packets[n])) for n in np.flatnonzero(packets)), key=lambda one: (-one[1], one[0]))
    # the median over words, not over packets: an occasional single word says little
    weight = np.cumsum(packets * np.arange(LONGEST_PACKET + 1))
    addresses = slice(board * (CHANNEL_MASK + 1), (board + 1) * (CHANNEL_MASK + 1))
    seen = survey.seen[addresses]
    wild, wild_word, wild_orbit = state.wild(board)
    return BoardDigest(
        board=board,
        known=board in detector.boards,
        hits=int(survey.bx[board].sum()),
        first_word=int(seen[seen[:, 0] >= 0, 0].min()),
        last_word=int(seen[:, 1].max()),
        first_orbit=int(c[clocks.FIRST_ORBIT]),
        last_orbit=int(c[clocks.NOW]),
        orbit_bits=int(c[clocks.ONES]).bit_length(),
        constant_orbit_bits=_constant_bits(c),
        time_s=float(c[clocks.ELAPSED]) * ORBIT_SECONDS,
        gaps=int(c[clocks.GAPS]),
        gap_s=float(c[clocks.GAP_SUM]) * ORBIT_SECONDS,
        longest_gap_s=float(c[clocks.LONGEST_GAP]) * ORBIT_SECONDS,
        falls=int(c[clocks.FALLS]),
        wild=wild,
        first_wild_word=wild_word,
        first_wild_orbit=wild_orbit,
        back_share=float(c[clocks.BACK_STEPS]) / words,
        back_orbit_share=float(c[clocks.BACK_ORBIT]) / words,
        deepest_back=int(c[clocks.DEEPEST_BACK]),
        lag=_lag(state.lags[board], c),
        packets=tuple(often[:PACKETS_SHOWN]),
        packet_median=int(np.searchsorted(weight, weight[-1] / 2)) if weight[-1] else 0,
        fields=board_fields(survey.tdc[addresses], survey.bx[board]),
    )


def _lag(counts: Array, c: Array) -> LagDigest:
    sums = np.cumsum(counts)
    median, p99 = (int(np.searchsorted(sums, share * sums[-1])) if sums[-1] else 0 for share in (0.5, 0.99))
    deepest = int(c[clocks.DEEPEST_LAG])
    return LagDigest(
        min((1 << median) - 1, deepest),
        min((1 << p99) - 1, deepest),
        deepest,
        deepest * ORBIT_SECONDS,
        int(c[clocks.LAG_PLACE]) if deepest else -1,
    )


def _constant_bits(c: Array) -> tuple[int, ...]:
    """Orbit bits that never change though the counter passed them several times."""
    if c[clocks.WORDS] < 256:
        return ()
    changed = int(c[clocks.ONES]) & ~int(c[clocks.ZEROS])
    return tuple(bit for bit in range(32) if (8 << bit) <= int(c[clocks.ELAPSED]) and not changed >> bit & 1)


def _channels(survey: Survey, detector: Detector) -> tuple[ChannelDigest, ...]:
    names = channel_names(detector)
    dead = {
        (chamber.board, chamber.first_channel + cell) for chamber in detector.chambers for cell in chamber.dead_cells
    }
    hits = survey.hits()
    there = {(int(board), int(channel)) for board, channel in np.argwhere(hits > 0)}
    ends = [int(survey.seen[board * 512 : (board + 1) * 512, 1].max()) for board in range(FPGA_MASK + 1)]
    out = []
    for board, channel in sorted(there | set(names)):
        address = board * (CHANNEL_MASK + 1) + channel
        n = int(hits[board, channel])
        first, last = (int(place) for place in survey.seen[address])
        codes = np.flatnonzero(survey.tdc[address])
        out.append(
            ChannelDigest(
                board=board,
                channel=channel,
                what=names.get((board, channel), ""),
                hits=n,
                dead=(board, channel) in dead,
                tdc_codes=len(codes),
                only_tdc=int(codes[0]) if len(codes) == 1 else -1,
                in_company=float(survey.company.accompanied[address]) / n if n else 0.0,
                stopped=last if _silence(n, last - first, ends[board] - last) else -1,
                started=first if _silence(n, last - first, first - _begin(survey, board)) else -1,
            )
        )
    return tuple(out)


def _begin(survey: Survey, board: int) -> int:
    """The place of a board's first hit, -1 if it has none."""
    firsts = survey.seen[board * 512 : (board + 1) * 512, 0]
    return int(firsts[firsts >= 0].min()) if (firsts >= 0).any() else -1


def _silence(hits: int, during: int, silent: int) -> bool:
    """Whether a channel that had so many hits during some words should not be silent for others."""
    return hits >= FEW_FOR_SILENCE and during > 0 and hits / during * silent >= FEW_FOR_SILENCE


def _events(survey: Survey, boards: tuple[BoardDigest, ...]) -> tuple[EventDigest, ...]:
    """The boards' events, those of several boards as one."""
    groups: list[list[clocks.ClockEvent]] = []
    for event in survey.clocks.events():
        for group in reversed(groups[-8:]):
            same = group[0].kind == event.kind and all(one.board != event.board for one in group)
            near = abs(group[0].after - event.after) <= GAP_ORBITS
            if same and near and (event.kind == "fall" or abs(group[0].before - event.before) <= GAP_ORBITS):
                group.append(event)
                break
        else:
            groups.append([event])
    active = {one.board for one in boards if one.hits >= 2 * clocks.AGREEING}
    out = []
    for group in groups:
        lead = group[0]
        which = tuple(sorted(one.board for one in group))
        kind = {"gap": "gap", "fall": "reset"}[lead.kind]
        if not active <= set(which):
            kind = f"board {lead.kind}"
        out.append(
            EventDigest(
                kind=kind,
                word=min(one.word for one in group),
                boards=which,
                before=lead.before,
                after=lead.after,
                seconds=abs(lead.after - lead.before) * ORBIT_SECONDS,
                words_before=sum(one.words_before for one in group),
            )
        )
    return tuple(out)


def _counter_bits(events: tuple[EventDigest, ...], bits: int) -> int:
    """The counter's width, when it falls from just under a power of two to just above 0; 0 when that does not show."""
    falls = [one for one in events if one.kind in ("reset", "board fall")]
    if not falls or bits < 4:
        return 0
    top = 1 << bits
    tolerance = max(top // (10 if len(falls) > 2 else 50), 64 if bits < 20 else 0)
    wraps = sum(one.before >= top - tolerance and one.after <= tolerance for one in falls)
    return bits if wraps >= 0.8 * len(falls) else 0


def _as_wrap(event: EventDigest, bits: int) -> EventDigest:
    values: dict[str, Any] = {name: getattr(event, name) for name in EventDigest.__dataclass_fields__}
    if event.kind in ("reset", "board fall") and event.before >= (1 << bits) * 0.8:
        values |= {"kind": "wrap", "seconds": (event.after + (1 << bits) - event.before) * ORBIT_SECONDS}
    return EventDigest(**values)
