"""Each fault does what it says, from its time on, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.simulation.drift import Origin
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import NS_PER_TDC, TDC_PER_ORBIT, Fields, Head, Words, decode
from tools.faults import FAULTS, Fault, by_time, simulated, with_fault
from tools.faults.__main__ import main
from tools.faults.changes import BLOCK_WORDS, BURST_HITS

SECONDS = 12.0
AT_S = 5.0
AFTER_S = SECONDS - AT_S
SECOND_TDC = 1.2e9
AT_TDC = round(AT_S * SECOND_TDC)
CONFIG = SimulationConfig(seed=3, duration_s=SECONDS, rate_hz=5000.0, ancillary_hz=40.0)
DETECTOR = Detector.default()
CHAMBER = DETECTOR.chambers[1]
BOARD, FIRST = CHAMBER.board, CHAMBER.first_channel
CELL = 17
LAYER = 2
IN_LAYER = [cell for cell in range(64) if CHAMBER.layer_of_cell()[cell] == LAYER]
SCINTILLATOR = (DETECTOR.scintillators[0].board, DETECTOR.scintillators[0].channel)
MADE_OF_WORDS = [fault for fault in FAULTS.values() if fault.make is not None]
SIMULATED = [fault for fault in FAULTS.values() if fault.make is None]
IN_THE_ACCOUNT = {f"{kind} words": kind for kind in ("late", "stray", "malformed", "unmapped")}


@cache
def healthy() -> Words:
    return np.concatenate(list(simulated(CONFIG, SECONDS, CONFIG.rate_hz, CONFIG.seed, chunk_s=SECONDS)))


def with_size(fault: Fault, size: float, seed: int = 1, words: Words | None = None) -> Words:
    if fault.make is None:
        return np.concatenate(list(with_fault(fault, size, AT_S, CONFIG)))
    words = healthy() if words is None else words
    return fault.apply(words, size, AT_S, np.random.default_rng(seed), DETECTOR)


def with_size_of(name: str, size: float) -> Words:
    return with_size(FAULTS[name], size)


def middle(fault: Fault) -> float:
    """A size that shows in some seconds."""
    return min(fault.sizes[-3], 20e3) if fault.unit != "s" else 3.0


def hit_times(f: Fields) -> NDArray[np.int64]:
    return (f.orbit * 3564 + f.bx) * 30 + f.tdc - 1


def times(words: Words) -> NDArray[np.int64]:
    """Of hits their own time, of other words the newest hit's before them."""
    f, newest, out = decode(words), -1, []
    for hit, time in zip((f.head == Head.HIT).tolist(), hit_times(f).tolist(), strict=True):
        newest = max(newest, time) if hit else newest
        out.append(time if hit else newest)
    return np.array(out)


@cache
def after(words: bytes) -> Words:
    all_words = np.frombuffer(words, np.uint64)
    return all_words[times(all_words) >= AT_TDC]


def rows(words: Words) -> list[tuple[int, int, int]]:
    """Board, channel and time of each hit since the fault began."""
    f = decode(after(words.tobytes()))
    hits = f.head == Head.HIT
    return list(zip(f.fpga[hits].tolist(), f.channel[hits].tolist(), hit_times(f)[hits].tolist(), strict=True))


def hits_of(words: Words, channels: set[tuple[int, int]]) -> list[int]:
    """Times of the hits on some (board, channel) since the fault began."""
    return [time for board, channel, time in rows(words) if (board, channel) in channels]


def elsewhere(words: Words, channels: set[tuple[int, int]]) -> Counter[int]:
    """All words that are not hits of some channels, and how often each is there."""
    f = decode(words)
    keys = zip(f.head.tolist(), f.fpga.tolist(), f.channel.tolist(), words.tolist(), strict=True)
    return Counter(w for head, board, channel, w in keys if head != Head.HIT or (board, channel) not in channels)


def cells(which: list[int] | range) -> set[tuple[int, int]]:
    return {(BOARD, FIRST + cell) for cell in which}


ALL_CELLS = cells(range(64))


def account(words: Words) -> Account:
    with Pipeline(DETECTOR, workers=0, pairs=False) as pipeline:
        for chunk in by_time([words], 0.5):
            pipeline.push(chunk)
        pipeline.finish()
        return pipeline.snapshot("ended").account


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_nothing_changes_before_the_fault_nor_of_size_0(fault: Fault) -> None:
    np.testing.assert_array_equal(with_size(fault, 0.0), healthy())
    found, expected = with_size(fault, middle(fault)), healthy()
    np.testing.assert_array_equal(found[times(found) < AT_TDC], expected[times(expected) < AT_TDC])
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_the_seed_decides_and_the_chunks_do_not(fault: Fault) -> None:
    size = middle(fault)
    whole = np.concatenate(list(with_fault(fault, size, AT_S, CONFIG, chunk_s=SECONDS)))
    np.testing.assert_array_equal(whole, np.concatenate(list(with_fault(fault, size, AT_S, CONFIG, chunk_s=0.3))))
    if fault.make is not None:
        injection = fault.begin(size, AT_S, CONFIG.seed, DETECTOR)
        pieces = [*injection.over(np.array_split(healthy(), 37))]
        np.testing.assert_array_equal(whole, np.concatenate(pieces))


@pytest.mark.parametrize("fault", MADE_OF_WORDS, ids=lambda fault: fault.name)
def test_every_word_is_accounted_for(fault: Fault) -> None:
    words = with_size(fault, middle(fault))
    found = account(words)
    assert (found.words, found.residual) == (len(words), 0)
    raised = {kind for kind in ("late", "stray", "malformed", "unmapped") if getattr(found, kind)}
    assert raised == {kind for name, kind in IN_THE_ACCOUNT.items() if name == fault.name}


@pytest.mark.parametrize("fault", SIMULATED, ids=lambda fault: fault.name)
def test_every_word_of_an_altered_simulation_is_accounted_for(fault: Fault) -> None:
    found = account(with_size(fault, middle(fault)))
    assert (found.residual, found.late, found.stray, found.malformed, found.unmapped) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        ("dead cell", cells([CELL]), 1.0),
        ("dead cell", cells([CELL]), 0.4),
        ("dead row", cells(IN_LAYER[4:12]), 8),
        ("dead row", cells(IN_LAYER[7:8]), 1),
        ("weak layer", cells(IN_LAYER), 0.3),
        ("weak half chamber", cells(range(32)), 1.0),
        ("weak chamber", ALL_CELLS, 0.2),
        ("silent scintillator", {SCINTILLATOR}, 0.5),
    ],
)
def test_a_share_of_these_hits_is_lost_and_no_others(name: str, channels: set[tuple[int, int]], size: float) -> None:
    lost, words = 1.0 if name == "dead row" else size, with_size_of(name, size)
    before, found = hits_of(healthy(), channels), hits_of(words, channels)
    assert not Counter(found) - Counter(before)
    assert abs(len(before) - len(found) - lost * len(before)) <= 5 * (lost * (1 - lost) * len(before)) ** 0.5
    assert elsewhere(words, channels) == elsewhere(healthy(), channels)


def test_a_dying_cell_fades() -> None:
    words = with_size_of("dying cell", 60 / AFTER_S)  # nothing is left at the end
    before, found = (np.array(hits_of(w, cells([CELL]))) for w in (healthy(), words))
    thirds = [np.histogram(part, 3, (AT_TDC, SECONDS * SECOND_TDC))[0] for part in (before, found)]
    for kept, share, n in zip(thirds[1], (5 / 6, 1 / 2, 1 / 6), thirds[0], strict=True):
        assert abs(kept - share * n) <= 4 * (n / 4) ** 0.5
    assert elsewhere(words, cells([CELL])) == elsewhere(healthy(), cells([CELL]))


@pytest.mark.parametrize(
    ("name", "channels", "hz"),
    [("noisy cell", cells([CELL]), 100.0), ("noisy cell", cells([CELL]), 20e3), ("noise up", ALL_CELLS, 3000.0)],
)
def test_hits_are_added_at_random(name: str, channels: set[tuple[int, int]], hz: float) -> None:
    words = with_size_of(name, hz)
    more = Counter(hits_of(words, channels)) - Counter(hits_of(healthy(), channels))
    added = np.array(sorted(more.elements()))
    assert abs(len(added) - hz * AFTER_S) < 5 * (hz * AFTER_S) ** 0.5
    steps = np.diff(added) / SECOND_TDC * hz
    assert np.mean(steps) == pytest.approx(1, rel=0.1)
    assert np.std(steps) == pytest.approx(1, rel=0.1)
    if name == "noise up":
        kinds, usual = (Counter(c for board, c, _ in rows(w) if board == BOARD) for w in (words, healthy()))
        gains = [kinds[channel] - usual[channel] for channel in range(FIRST, FIRST + 64)]
        assert np.std(gains) < 1.5 * np.mean(gains) ** 0.5
    assert elsewhere(words, channels) == elsewhere(healthy(), channels)


@pytest.mark.parametrize("hz", [7.0, 1234.5, 200e3])
def test_an_oscillating_cell_is_periodic(hz: float) -> None:
    words = healthy()[times(healthy()) < AT_TDC + SECOND_TDC] if hz > 1e5 else healthy()
    found = with_size(FAULTS["oscillating cell"], hz, words=words)
    more = Counter(hits_of(found, cells([CELL]))) - Counter(hits_of(words, cells([CELL])))
    added = np.array(sorted(more.elements()))
    seconds = (times(words).max() - AT_TDC) / SECOND_TDC
    assert abs(len(added) - hz * seconds) <= 3
    np.testing.assert_allclose(np.diff(added), SECOND_TDC / hz, rtol=0, atol=1)


@pytest.mark.parametrize("hz", [0.5, 10.0])
def test_a_bursting_cell_has_its_bursts_within_an_orbit_each(hz: float) -> None:
    found = with_size_of("bursting cell", hz)
    more = Counter(hits_of(found, cells([CELL]))) - Counter(hits_of(healthy(), cells([CELL])))
    added = np.array(sorted(more.elements()))
    bursts = Counter((added // TDC_PER_ORBIT).tolist())
    assert set(bursts.values()) == {BURST_HITS}
    assert abs(len(bursts) - hz * AFTER_S) <= 1
    assert elsewhere(found, cells([CELL])) == elsewhere(healthy(), cells([CELL]))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("dead chamber", lambda head, board, channel: head == Head.HIT and (board, channel) in ALL_CELLS),
        ("dead board", lambda head, board, channel: board == BOARD),
        ("stalled read-out", lambda head, board, channel: True),
    ],
)
@pytest.mark.parametrize("size", [2.5, 3600.0])
def test_an_outage_lasts_as_long_as_it_says(name: str, ours: Callable[[int, int, int], bool], size: float) -> None:
    f = decode(healthy())
    time = times(healthy())
    out = [
        ours(head, board, channel) and AT_TDC <= t < AT_TDC + size * SECOND_TDC
        for head, board, channel, t in zip(
            f.head.tolist(), f.fpga.tolist(), f.channel.tolist(), time.tolist(), strict=True
        )
    ]
    np.testing.assert_array_equal(with_size_of(name, size), healthy()[~np.array(out)])


@pytest.mark.parametrize(
    ("name", "channels", "ns"),
    [
        ("t0", ALL_CELLS, 0.5),
        ("t0", ALL_CELLS, 10.0),
        ("late scintillator", {SCINTILLATOR}, 2.0),
        ("board step", {(BOARD, channel) for channel in range(512)}, 25.0),
        ("board step", {(BOARD, channel) for channel in range(512)}, 4.0),
    ],
)
def test_hits_are_late_by_what_it_says(name: str, channels: set[tuple[int, int]], ns: float) -> None:
    words = with_size_of(name, ns)
    # words stay where they were in the stream, so that they can be compared one by one
    before, found = decode(healthy()), decode(words)
    shift = (hit_times(found) - hit_times(before)) * NS_PER_TDC
    moves = np.array(
        [
            head == Head.HIT and (board, channel) in channels and t >= AT_TDC
            for head, board, channel, t in zip(
                before.head.tolist(), before.fpga.tolist(), before.channel.tolist(), times(healthy()), strict=True
            )
        ]
    )
    trigger = before.channel == DETECTOR.triggers[0].channel
    exact = moves & ~trigger
    assert np.mean(shift[exact]) == pytest.approx(ns, abs=0.1)
    assert np.all(np.abs(shift[exact] - ns) < NS_PER_TDC)
    assert not shift[~moves].any()
    # a trigger knows its crossing only
    assert set(found.tdc[moves & trigger].tolist()) <= {1}
    if (moves & trigger).any():
        assert np.mean(shift[moves & trigger]) == pytest.approx(ns, abs=2.0)
    np.testing.assert_array_equal(found.channel, before.channel)


def test_a_whole_crossing_is_the_same_for_all_of_a_board() -> None:
    before, found = decode(healthy()), decode(with_size_of("board step", 25.0))
    shift = (hit_times(found) - hit_times(before))[(before.fpga == BOARD) & (before.head == Head.HIT)]
    assert set(shift.tolist()) == {0, 30}


def muon_hits(name: str, size: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Of the muons' own hits in the chamber since the fault: distance of the muon and as the drift time says it, layer.

    Both in mm, the first signed, the second not.
    """
    simulation = FAULTS[name].simulation(size, AT_S, CONFIG, DETECTOR)
    assert simulation is not None
    truth = Truth.joined(list(with_truth(simulation)))
    time = hit_times(decode(truth.words))
    ours = (truth.origin == Origin.MUON) & (truth.chamber == CHAMBER.number) & (time >= AT_TDC)
    late_ns = (time - truth.orbit * TDC_PER_ORBIT)[ours] * NS_PER_TDC - truth.passage_ns[ours]
    read_mm = (late_ns + CHAMBER.time_offset_ns) * CHAMBER.drift_velocity_um_per_ns / 1000
    return truth.distance_mm[ours].astype(np.float64), read_mm, CHAMBER.layer_of_cell()[truth.cell[ours]]


def test_drift_times_are_stretched_about_t0() -> None:
    distance, read, _ = muon_hits("drift velocity", 10.0)
    assert len(read) > 1000
    for low, high in ((2, 8), (8, 14), (14, 21)):
        ours = (np.abs(distance) >= low) & (np.abs(distance) < high)
        assert np.mean(read[ours] / np.abs(distance[ours])) == pytest.approx(1.1, abs=0.02)


def test_a_bend_is_greatest_in_the_middle_and_nothing_at_the_ends() -> None:
    distance, read, _ = muon_hits("rt bend", 1.0)
    bend = read - np.abs(distance)
    for low, high, expected in ((0.5, 1.5, 0.15), (5, 6, 0.73), (10, 11, 1.0), (15, 16, 0.73), (20, 21, 0.07)):
        ours = (np.abs(distance) >= low) & (np.abs(distance) < high)
        assert np.mean(bend[ours]) == pytest.approx(expected, abs=0.12)


def test_a_layer_is_displaced() -> None:
    distance, read, layer = muon_hits("layer shift", 1.5)
    inside = np.abs(distance) < 18  # no hit beyond is another cell's
    for side in (-1, 1):
        for number in range(4):
            ours = inside & (layer == number) & (distance * side > 3)
            shift = np.mean(read[ours] - np.abs(distance[ours]))
            assert shift == pytest.approx(-1.5 * side if number == LAYER else 0.0, abs=0.08)


@pytest.mark.parametrize("name", ["drift velocity", "rt bend"])
def test_an_altered_simulation_changes_nothing_else(name: str) -> None:
    words = with_size_of(name, 1.0)
    assert elsewhere(words, ALL_CELLS) == elsewhere(healthy(), ALL_CELLS)


def test_whole_orbits_are_lost() -> None:
    share = 0.3
    words = with_size_of("rate down", share)
    lost = Counter(rows(healthy())) - Counter(rows(words))
    orbits = {time // TDC_PER_ORBIT for _, _, time in rows(healthy())}
    empty = {time // TDC_PER_ORBIT for _, _, time in lost}
    assert abs(len(empty) - share * len(orbits)) < 5 * (share * (1 - share) * len(orbits)) ** 0.5
    assert not empty & {time // TDC_PER_ORBIT for _, _, time in rows(words)}
    assert not Counter(rows(words)) - Counter(rows(healthy()))


def test_blocks_of_words_are_lost() -> None:
    words = with_size_of("lost words", 0.2)
    kept = np.isin(healthy(), words)
    lost = np.flatnonzero(~kept & (times(healthy()) >= AT_TDC))
    assert len(lost) == len(healthy()) - len(words)
    blocks = Counter((lost // BLOCK_WORDS).tolist())
    assert set(sorted(blocks.values())[2:]) == {BLOCK_WORDS}  # but for the first and the last
    n = (len(healthy()) - np.argmax(times(healthy()) >= AT_TDC)) / BLOCK_WORDS
    assert abs(len(blocks) - 0.2 * n) < 5 * (0.16 * n) ** 0.5


def echoes(words: Words) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Words that the healthy stream has not, each with the one before it in the stream."""
    f, out = decode(words), []
    usual = Counter(healthy().tolist())
    listed = list(zip(f.fpga.tolist(), f.channel.tolist(), hit_times(f).tolist(), strict=True))
    for i, word in enumerate(words.tolist()):
        if usual[word]:
            usual[word] -= 1
        else:
            out.append((listed[i - 1], listed[i]))
    return out


@pytest.mark.parametrize(
    ("name", "channels", "share", "delay_ns"),
    [
        ("afterpulses", ALL_CELLS, 0.1, (80, 1000)),
        ("afterpulsing cell", cells([CELL]), 0.5, (80, 1000)),
        ("double scintillator", {SCINTILLATOR}, 1.0, (49, 51)),
        ("double scintillator", {SCINTILLATOR}, 0.3, (49, 51)),
    ],
)
def test_hits_are_followed_by_another(
    name: str, channels: set[tuple[int, int]], share: float, delay_ns: tuple[float, float]
) -> None:
    words = with_size_of(name, share)
    before, found = hits_of(healthy(), channels), echoes(words)
    assert len(words) == len(healthy()) + len(found)
    assert abs(len(found) - share * len(before)) <= 5 * (share * (1 - share) * len(before)) ** 0.5
    for first, second in found:
        assert first[:2] == second[:2]
        assert first[:2] in channels
        assert first[2] >= AT_TDC
        assert delay_ns[0] - 1 <= (second[2] - first[2]) * NS_PER_TDC <= delay_ns[1]
    assert elsewhere(words, channels) == elsewhere(healthy(), channels)


@pytest.mark.parametrize(
    ("name", "which", "step", "share"),
    [
        ("crosstalk", cells([CELL]), 1, 0.5),
        ("crosstalk in layer", cells([CELL]), 4, 1.0),
        ("crosstalk everywhere", ALL_CELLS, 1, 0.1),
    ],
)
def test_hits_are_in_the_neighbour_too(name: str, which: set[tuple[int, int]], step: int, share: float) -> None:
    before, found = hits_of(healthy(), which), echoes(with_size_of(name, share))
    assert abs(len(found) - share * len(before)) <= 5 * (share * (1 - share) * len(before)) ** 0.5
    for first, second in found:
        assert first[:2] in which
        beside = -step if first[1] + step >= FIRST + 64 else step  # the last cell has none after it
        assert second[:2] == (first[0], first[1] + beside)
        assert 0 <= (second[2] - first[2]) * NS_PER_TDC <= 5


@pytest.mark.parametrize("name", IN_THE_ACCOUNT)
def test_a_share_of_the_hits_comes_up_in_the_account(name: str) -> None:
    share = 0.02
    words = with_size_of(name, share)
    assert len(words) == len(healthy())
    hits = len(rows(healthy()))
    found = account(words)
    n = getattr(found, IN_THE_ACCOUNT[name])
    # what is late in the last second has no time to be so
    low, high = (0.7, 1.0) if name == "late words" else (1.0, 1.0)
    assert low * share * hits - 5 * (share * hits) ** 0.5 < n < high * share * hits + 5 * (share * hits) ** 0.5
    usual = account(healthy())
    kinds = ("hits", "scintillator", "trigger")
    assert n + sum(getattr(found, kind) for kind in kinds) == sum(getattr(usual, kind) for kind in kinds)
    if name == "late words":
        assert Counter(words.tolist()) == Counter(healthy().tolist())


@pytest.mark.parametrize("name", IN_THE_ACCOUNT)
def test_the_largest_share_is_still_what_it_says(name: str) -> None:
    fault = FAULTS[name]
    share = fault.sizes[-1]
    words = with_size(fault, share)
    found = account(words)
    n = len(rows(healthy()))
    assert getattr(found, IN_THE_ACCOUNT[name]) == pytest.approx(share * n, rel=0.3)
    others = {kind: getattr(found, kind) for kind in IN_THE_ACCOUNT.values() if kind != IN_THE_ACCOUNT[name]}
    assert not any(others.values())


def test_faults_follow_one_another() -> None:
    first = with_size_of("noisy cell", 1000.0)
    words = with_size(FAULTS["dead board"], 2.0, words=first)
    found = account(words)
    assert len(words) < len(first)
    assert (found.words, found.residual, found.late, found.stray) == (len(words), 0, 0, 0)


def test_a_stream_may_begin_anywhere() -> None:
    config = SimulationConfig(seed=3, duration_s=2.0, start_orbit=1_000_000)
    words = np.concatenate(list(Simulation(config, DETECTOR).blocks()))
    found = FAULTS["noise up"].apply(words, 1000.0, 0.0, np.random.default_rng(1), DETECTOR)
    assert len(found) - len(words) == pytest.approx(2000, abs=250)
    begin_s = 1_000_000 * 89.1e-6
    for name in ("noise up", "drift velocity"):
        chunks = list(with_fault(FAULTS[name], 5.0, begin_s + 1.0, config))
        changed = np.concatenate(chunks)
        at_tdc = round((begin_s + 1.0) * SECOND_TDC)
        np.testing.assert_array_equal(changed[times(changed) < at_tdc], words[times(words) < at_tdc])
        assert not np.array_equal(changed, words)


def test_the_stream_is_that_of_the_simulation_in_chunks_of_data_time() -> None:
    chunks = list(simulated(CONFIG, 3.0, 2000.0, 9, chunk_s=0.25))
    config = SimulationConfig(seed=9, duration_s=3.0, rate_hz=2000.0, ancillary_hz=CONFIG.ancillary_hz)
    np.testing.assert_array_equal(np.concatenate(chunks), np.concatenate(list(Simulation(config, DETECTOR).blocks())))
    assert len(chunks) in (12, 13)  # a muon may reach past the end
    for n, chunk in enumerate(chunks):
        newest = times(chunk).max() / SECOND_TDC
        assert 0.25 * n <= newest < 0.25 * (n + 1)


def test_a_day_is_not_held() -> None:
    chunks = simulated(CONFIG, 86400.0, 100.0, 1)
    assert 50 < len(next(chunks)) < 200


@pytest.mark.parametrize(
    ("name", "size", "line"),
    [
        ("dead cell", 1.5, "dead cell: size: found 1.5, expected 0 to 1 share"),
        ("t0", -1.0, "t0: size: found -1.0, expected 0 to 10000 ns"),
        ("late words", 0.5, "late words: size: found 0.5, expected 0 to 0.1 share"),
    ],
)
def test_a_size_that_cannot_be_is_named(name: str, size: float, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}$"):
        with_size(FAULTS[name], size)


def test_what_words_do_not_tell_is_left_to_the_simulation() -> None:
    with pytest.raises(ValueError, match="drift velocity: found words, expected a simulation"):
        FAULTS["drift velocity"].apply(healthy(), 1.0, AT_S, np.random.default_rng(1), DETECTOR)


def test_a_detector_without_the_place_is_named() -> None:
    small = DETECTOR.model_copy(update={"chambers": DETECTOR.chambers[:1]})
    with pytest.raises(ValueError, match="found 1 chambers, expected 2 or more"):
        FAULTS["dead cell"].apply(healthy(), 1.0, AT_S, np.random.default_rng(1), small)


def test_a_chunk_without_length_is_named() -> None:
    with pytest.raises(ValueError, match="chunk_s: found 0, expected more than 0"):
        next(by_time([healthy()], 0))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_the_table_is_in_order(fault: Fault) -> None:
    assert FAULTS[fault.name] is fault
    assert (fault.make is None) != (fault.truth is None)
    assert 6 <= len(fault.sizes) <= 10
    assert list(fault.sizes) == sorted(set(fault.sizes))
    assert 0 < fault.sizes[0] < fault.sizes[-1] <= fault.most
    source = "".join(
        path.read_text("utf-8")
        for wing in ("verdicts", "run", "detector")
        for path in (Path(__file__).parents[2] / "src/muonstream" / wing).glob("*.py")
    )
    for check, subject in fault.checks(DETECTOR):
        assert f'"{check}"' in source or check.removesuffix(" words") in ("late", "stray", "malformed"), check
        assert "{" not in subject
        assert fault.may_raise(check, subject.replace("*", "any"), DETECTOR)
    assert not fault.may_raise("another", "Stream", DETECTOR)


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(FAULTS)
    assert {line.count(" | ") for line in lines if not line.startswith("|---")} == {3}
