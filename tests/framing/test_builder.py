from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.frames import KEY_WINDOW_BITS, Frames
from muonstream.framing.builder import BuilderCounts, FrameBuilder
from muonstream.simulation.telescope import simulate_words
from muonstream.words import WINDOW_ORBITS, Words, encode

WINDOWS_A_SECOND = 11


def hits(orbits: Any, board: int = 0, channel: int = 5) -> Words:
    orbit = np.asarray(orbits, dtype=np.int64)
    return encode(fpga=board, channel=channel, orbit=orbit, bx=orbit % 3564, tdc=1 + orbit % 30)


def stream(n: int, *, start: int = 0, step: int = 100, board: int = 0) -> Words:
    """n hit words, `step` orbits apart."""
    return hits(start + step * np.arange(n), board)


def interleaved(a: Words, b: Words, block: int = 4) -> Words:
    """Blocks of the one and the other in turn, as boards' packets come."""
    pairs = [np.concatenate([a[i : i + block], b[i : i + block]]) for i in range(0, max(len(a), len(b)), block)]
    return np.concatenate(pairs)


def build(words: Words, cuts: list[int] | None = None, **options: Any) -> tuple[Frames, BuilderCounts]:
    builder = FrameBuilder((0, 1), **options)
    parts = [builder.push(part) for part in np.split(words, sorted(cuts or []))]
    parts.append(builder.finish())
    return Frames.join(parts), builder.counts


def by_key(frames: Frames) -> dict[int, Counter[int]]:
    return {int(key): Counter(frames.window(i).tolist()) for i, key in enumerate(frames.keys)}


def grouped(words: Words, epoch: int = 0) -> dict[int, Counter[int]]:
    """The oracle: words by window."""
    out: dict[int, Counter[int]] = {}
    for word in words.tolist():
        out.setdefault(epoch << KEY_WINDOW_BITS | (word >> 27) & 0x3FFFFF, Counter())[word] += 1
    return out


def balanced(frames: Frames, counts: BuilderCounts) -> bool:
    return counts.words == len(frames.words) + counts.late + counts.stray + counts.held


def test_two_boards_in_blocks_of_4_and_of_128() -> None:
    a, b = stream(5000, step=37), stream(5000, start=48, step=37, board=1)
    for block in (4, 128):
        # a block of 128 words spans 4.6 windows here, far more than the lateness: each board has its own time
        words = interleaved(a, b, block)
        frames, counts = build(words)
        assert by_key(frames) == grouped(words)
        assert (counts.late, counts.stray, counts.held) == (0, 0, 0)


def test_windows_close_as_soon_as_every_board_is_past_them() -> None:
    builder = FrameBuilder((0, 1))
    words = interleaved(stream(4000), stream(4000, board=1))
    frames = builder.push(words)
    newest = int(words[-1] >> np.uint64(27)) & 0x3FFFFF
    assert frames.keys[-1] == newest - 2  # past by the lateness of 1
    assert set(by_key(builder.held())) == {newest - 1, newest}


def test_disorder_inside_the_lateness_is_never_late() -> None:
    rng = np.random.default_rng(1)
    orbits = np.sort(rng.integers(0, 60 * WINDOW_ORBITS, 20_000)) + rng.integers(-500, 500, 20_000)
    words = hits(np.clip(orbits, 0, None))
    frames, counts = build(interleaved(words, words | np.uint64(1 << 58)))
    assert counts.late == 0
    assert by_key(frames) == grouped(np.concatenate([words, words | np.uint64(1 << 58)]))


def test_late_words_are_counted_by_input() -> None:
    # both boards are far past window 0 when board 1 sends one more word of it
    words = interleaved(stream(500), stream(500, board=1))
    frames, counts = build(np.concatenate([words, hits([42_000], board=1), words[-8:]]))
    assert counts.late == 1
    assert counts.late_by_input == {"0/1": 1}
    assert balanced(frames, counts)


def test_a_wild_orbit_is_stray_and_moves_nothing() -> None:
    words = interleaved(stream(2000), stream(2000, board=1))
    wild = hits([4_000_000_000])
    frames, counts = build(np.concatenate([words[:1500], wild, words[1500:]]))
    assert (counts.stray, counts.late) == (1, 0)
    assert by_key(frames) == grouped(words)


def test_a_gap_is_believed_when_enough_words_agree() -> None:
    before = interleaved(stream(500), stream(500, board=1))
    after = interleaved(stream(500, start=3_000_000), stream(500, start=3_000_000, board=1))
    words = np.concatenate([before, after])
    builder = FrameBuilder((0, 1))
    closed = builder.push(words)
    assert closed.keys[-1] > 3_000_000 >> 10
    frames = Frames.join([closed, builder.finish()])
    assert by_key(frames) == grouped(words)
    assert (builder.counts.late, builder.counts.stray) == (0, 0)


def test_a_gap_with_few_words_behind_it_is_believed_at_the_end() -> None:
    words = np.concatenate([stream(500), stream(5, start=3_000_000)])
    frames, counts = build(words)
    assert by_key(frames) == grouped(words)
    assert counts.stray == 0


def test_a_board_lags_behind_a_gap_by_a_block_of_128() -> None:
    a = np.concatenate([stream(256), stream(256, start=3_000_000)])
    b = np.concatenate([stream(320, board=1), stream(192, start=3_000_000, board=1)])
    words = interleaved(a, b, 128)
    frames, counts = build(words)
    assert (counts.late, counts.stray) == (0, 0)
    assert by_key(frames) == grouped(words)


def test_a_counter_reset_of_all_boards_begins_an_epoch() -> None:
    first = interleaved(stream(900), stream(900, board=1))
    frames, counts = build(np.concatenate([first, first]))
    assert counts.resets == 1
    assert (counts.late, counts.stray) == (0, 0)
    assert by_key(frames) == grouped(first) | grouped(first, epoch=1)


def test_a_counter_wrap_is_a_reset() -> None:
    top = (1 << 32) - 100_000
    a, b = stream(1000, start=top), stream(1000, start=0)
    words = np.concatenate([interleaved(a, a | np.uint64(1 << 58)), interleaved(b, b | np.uint64(1 << 58))])
    frames, counts = build(words[: len(words)])
    assert counts.resets == 1
    assert balanced(frames, counts)
    assert counts.late == counts.stray == 0


def test_one_board_falling_back_alone_is_no_reset() -> None:
    a, b = stream(4000), stream(1000, board=1)
    back = stream(3000, board=1)
    words = interleaved(a, np.concatenate([b, back]))
    frames, counts = build(words, idle_seconds=1)
    assert counts.resets == 0
    assert counts.late + counts.stray == 3000
    assert counts.late > 2900
    assert balanced(frames, counts)
    assert frames.keys.max() < 1 << KEY_WINDOW_BITS


def test_what_a_reset_taken_back_drops_is_held_no_more() -> None:
    a, b = stream(4000), stream(1000, board=1)
    words = interleaved(a, np.concatenate([b, stream(3000, board=1)]))
    builder = FrameBuilder((0, 1), idle_seconds=1)
    given_words = 0
    for part in np.split(words, range(50, len(words), 50)):
        given_words += len(builder.push(part).words)
        held, counts = builder.held(), builder.counts
        # no word stands in a window that is late or stray already
        assert np.all(held.keys >= 0)
        assert given_words + len(held.words) <= counts.words - counts.late - counts.stray
        assert len(builder.state()["log"]) <= counts.held
    assert builder.counts.late > 2900


@pytest.mark.parametrize("step", [3_000, 20_000])
def test_dropped_words_leave_room_for_others(step: int) -> None:
    # many words held behind a reset that is taken back, then many more before any window closes
    a, b = stream(200_000, step=1), stream(60_000, step=1, board=1)
    words = interleaved(a, np.concatenate([b, stream(140_000, step=1, board=1)]), 128)
    frames, counts = build(words, list(range(step, len(words), step)), idle_seconds=1)
    assert balanced(frames, counts)
    assert np.all(np.diff(frames.keys) > 0)


def test_a_new_file_that_starts_again_is_a_reset_however_short() -> None:
    words = interleaved(stream(10), stream(10, board=1))
    later = stream(4, start=200_000)
    builder = FrameBuilder((0, 1))
    parts = [builder.push(np.concatenate([words, later]))]
    parts += [builder.boundary(), builder.push(words), builder.finish()]
    frames = Frames.join(parts)
    assert builder.counts.late == builder.counts.stray == 0
    assert sum(by_key(frames).values(), Counter()) == Counter(np.concatenate([words, later, words]).tolist())


def test_a_run_split_over_two_files_is_one_run() -> None:
    words = interleaved(stream(3000), stream(3000, board=1))
    for cut in (1, 2, 777, 2999, 5990, 5999):
        builder = FrameBuilder((0, 1))
        parts = [builder.push(words[:cut])]
        parts.append(builder.boundary())
        parts += [builder.push(words[cut:]), builder.finish()]
        assert by_key(Frames.join(parts)) == grouped(words)
        assert builder.counts.resets == 0


def test_a_silent_board_stops_holding_after_the_idle_time() -> None:
    builder = FrameBuilder((0, 1), idle_seconds=2)
    words = stream(30_000, step=100)  # 267 s of board 0 alone
    assert len(builder.push(words[:10_000])) == 0  # few words are kept for a board whose first packet may still come
    frames = builder.push(words[10_000:])
    assert len(frames) > 2800
    back = interleaved(stream(500, start=3_000_000), stream(500, start=3_000_000, board=1))
    rest = Frames.join([builder.push(back), builder.finish()])
    assert builder.counts.late == 0
    assert sum(len(f.words) for f in (frames, rest)) == 31_000


def test_a_quiet_stream_loses_nothing() -> None:
    words = stream(40, step=20_000)  # a word each 1.8 s
    frames, counts = build(words)
    assert by_key(frames) == grouped(words)
    assert balanced(frames, counts)


def test_a_source_that_lags_is_waited_for_and_one_without_data_is_not() -> None:
    builder = FrameBuilder((0,))
    builder.add_source(1)
    ahead = stream(20_000)
    assert len(builder.push(ahead, source=0)) == 0
    builder.caught_up(1)
    more = builder.push(stream(10, start=2_000_000), source=0)
    assert more.keys[-1] >= (2_000_000 >> 10) - 3
    assert builder.counts.held < 50


def test_ancillary_words_tell_no_time_and_are_in_some_frame() -> None:
    words = interleaved(stream(2000), stream(2000, board=1))
    ancillary = encode(head=4, fpga=0, channel=0, orbit=4_200_000_000, bx=0, tdc=3)
    mixed = np.insert(words, [0, 0, 700, 3000], ancillary)
    frames, counts = build(mixed)
    assert len(frames.words) == len(mixed)
    assert (counts.late, counts.stray) == (0, 0)
    assert set(frames.keys.tolist()) == set(grouped(words))


def test_only_ancillary_words_are_kept_to_the_end_and_bounded() -> None:
    ancillary = np.repeat(encode(head=1, fpga=0, channel=0, orbit=7, bx=0, tdc=0), 5000)
    frames, _ = build(ancillary)
    assert len(frames.words) == 5000
    builder = FrameBuilder((0,), max_held_words=1000)
    for _ in range(10):
        builder.push(ancillary)
        assert builder.counts.held <= 6000


def test_held_memory_is_bounded_and_what_comes_late_is_counted() -> None:
    builder = FrameBuilder((0, 1), max_held_words=1000, idle_seconds=1e5)
    frames = []
    for part in np.split(stream(50_000), 50):  # board 1 never comes, and is waited for
        frames.append(builder.push(part))
        assert builder.counts.held <= 1000 + 100
    assert builder.counts.forced > 0
    late = builder.push(stream(100, board=1))
    frames += [late, builder.finish()]
    assert builder.counts.late >= 1
    assert balanced(Frames.join(frames), builder.counts)


def test_an_ended_source_takes_no_more() -> None:
    builder = FrameBuilder((0,))
    builder.push(stream(10))
    builder.end()
    with pytest.raises(ValueError, match="source 0 has ended"):
        builder.push(stream(10))


@pytest.mark.parametrize(
    ("option", "value"),
    [("lateness_windows", -1), ("agree_words", 1), ("idle_seconds", 0), ("max_held_words", 0), ("jump_seconds", -1)],
)
def test_a_bad_option_is_named(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{option}: found {value}, expected"):
        FrameBuilder((0,), **{option: value})


def test_bad_boards_are_named() -> None:
    with pytest.raises(ValueError, match="boards: found \\[9\\]"):
        FrameBuilder((9,))


# pieces of a stream: (board, what happens to the counter, words, orbits between words)
pieces = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.sampled_from(["on", "on", "on", "gap", "reset", "wild", "back"]),
        st.integers(1, 90),
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=25,
)


def composed(parts: list[tuple[int, str, int, int]]) -> Words:
    """A stream with gaps, resets, wild orbits and steps back, deterministic in its description."""
    now = 5000
    out = []
    for board, kind, n, step in parts:
        if kind == "gap":
            now += 2_000_000
        elif kind == "reset":
            now = 0
        elif kind == "back":
            now = max(0, now - 30_000)
        orbits = now + step * np.arange(n)
        if kind == "wild":
            orbits = orbits + (3_000_000_000 + 7_000_000 * np.arange(n)) % (1 << 32)
        out.append(hits(orbits & 0xFFFFFFFF, board))
        if kind != "wild":
            now = int(orbits[-1])
    return np.concatenate(out)


@given(pieces, st.data())
def test_any_chunking_gives_the_same_frames(parts: list[tuple[int, str, int, int]], data: st.DataObject) -> None:
    words = composed(parts)
    cuts = data.draw(st.lists(st.integers(0, len(words)), max_size=12))
    whole, counts = build(words, agree_words=8, idle_seconds=1, max_held_words=400)
    cut, cut_counts = build(words, cuts, agree_words=8, idle_seconds=1, max_held_words=400)
    assert np.array_equal(whole.words, cut.words)
    assert np.array_equal(whole.starts, cut.starts)
    assert np.array_equal(whole.keys, cut.keys)
    assert counts == cut_counts


@given(pieces)
def test_every_word_is_accounted_for(parts: list[tuple[int, str, int, int]]) -> None:
    words = composed(parts)
    frames, counts = build(words, agree_words=8, idle_seconds=1)
    assert balanced(frames, counts)
    assert counts.held == 0
    assert np.all(np.diff(frames.keys) > 0)
    in_windows = np.repeat(frames.keys & 0x3FFFFF, np.diff(frames.starts))
    assert np.array_equal(in_windows, (frames.words >> np.uint64(27)).astype(np.int64) & 0x3FFFFF)


@given(st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=1, max_size=60), st.integers(1, 80))
def test_any_interleaving_of_inputs_gives_the_same_sums(order: list[tuple[int, int]], step: int) -> None:
    inputs = {
        (source, board): np.split(stream(600, start=13 * board + 7 * source, step=step, board=board), 20)
        for source in (0, 1)
        for board in (0, 1)
    }
    everything = np.concatenate([part for parts in inputs.values() for part in parts])
    builder = FrameBuilder((0, 1))
    for source in (0, 1):
        builder.add_source(source)
    frames = []
    rest = [name for name in inputs for _ in range(20)]
    for source, board in [*order, *rest]:
        if inputs[source, board]:
            frames.append(builder.push(inputs[source, board].pop(0), source))
    frames.append(builder.finish())
    assert builder.counts.late == builder.counts.stray == 0
    assert by_key(Frames.join(frames)) == grouped(everything)


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 3999))
def test_one_word_with_any_bits_harms_nobody(bits: int, where: int) -> None:
    words = interleaved(stream(2000), stream(2000, board=1))
    frames, counts = build(np.insert(words, where, np.uint64(bits)))
    assert balanced(frames, counts)
    assert counts.late + counts.stray <= 1
    everywhere = Counter(frames.words.tolist())
    everywhere.subtract([bits])
    assert {word: n for word, n in everywhere.items() if n > 0} == Counter(words.tolist())


def test_memory_is_used_again_only_when_nobody_has_its_frames_any_more() -> None:
    words = simulate_words(40_000, rate_hz=1e5, seed=4)
    builder = FrameBuilder([0, 1])
    kept = [builder.push(part) for part in np.array_split(words, 20)]
    copies = [frames.words.copy() for frames in kept]
    assert sum(map(len, copies)) > 0
    # what was given stays as it was, whatever is pushed after it
    assert all((frames.words == copy).all() for frames, copy in zip(kept, copies, strict=True))
    memory = {frames.words.base.ctypes.data for frames in kept if len(frames) and frames.words.base is not None}
    kept.clear()
    later = builder.push(simulate_words(4_000, rate_hz=1e5, seed=5, start_orbit=200_000))
    again = builder.finish()
    found = [frames.words.base for frames in (later, again) if len(frames)]
    assert any(base is not None and base.ctypes.data in memory for base in found)


@given(st.lists(st.integers(0, 12_000), max_size=12), st.integers(1, 4000))
def test_scattered_frames_are_the_same_frames(cuts: list[int], rate_hz: int) -> None:
    words = simulate_words(12_000, rate_hz=1e3 * rate_hz, seed=7)
    gathering, scattering = FrameBuilder((0, 1)), FrameBuilder((0, 1))
    for part in np.split(words, sorted(cuts)):
        whole, scattered = gathering.push(part), scattering.push_scattered(part.copy())
        assert whole.words.tolist() == scattered.gather().words.tolist()
        assert whole.keys.tolist() == scattered.keys.tolist()
    assert gathering.finish().words.tolist() == scattering.finish().words.tolist()


def test_frames_keep_what_they_had_while_more_is_pushed() -> None:
    words = simulate_words(400_000, rate_hz=1e6, seed=3)
    builder, kept = FrameBuilder((0, 1)), []
    for part in np.array_split(words, 8):
        frames = builder.push_scattered(part)
        kept.append((frames, frames.gather().words.copy()))
    for frames, then in kept:
        assert np.array_equal(frames.gather().words, then)


@pytest.mark.parametrize("step", [1, 3])
def test_a_slow_run_with_a_window_a_word_is_built_as_any(step: int) -> None:
    # more windows close than the table of open ones has room for, in a push as in a chunk of it
    words = hits(WINDOW_ORBITS * step * np.arange(200_000))
    frames, counts = build(words)
    assert counts.words == len(frames.words) == len(frames.keys) == 200_000
    assert np.array_equal(frames.words, words)
    assert np.array_equal(frames.keys, step * np.arange(200_000))


def test_windows_that_a_silent_board_holds_open_are_bounded_however_few_words_they_have() -> None:
    # the other board says nothing more and is waited for, for ever
    builder = FrameBuilder((0, 1), idle_seconds=1e5)
    builder.push(hits([0, 1], 1))
    frames = Frames.join([builder.push(hits(WINDOW_ORBITS * np.arange(100_000))), builder.finish()])
    assert builder.counts.forced > 0
    assert builder.counts.late == 0
    assert len(frames.words) == 100_002
    assert len(frames.keys) == 100_000


def test_a_counter_that_is_stuck_does_not_fill_the_memory() -> None:
    stuck = np.repeat(stream(1), 100_000)
    builder = FrameBuilder((0,), max_held_words=1000)
    given = [len(builder.push(part).words) for part in np.split(stuck, 7 * np.arange(1, 10_000))]
    assert given.index(1001) == 1001 // 7 - 1
    assert builder.held_words == 0
    assert builder.counts.late == len(stuck) - 1001
    whole, counts = build(stuck, max_held_words=1000)
    assert (len(whole.words), counts.late) == (1001, len(stuck) - 1001)
