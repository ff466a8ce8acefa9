"""The frame builder's state machine, word by word, compiled.

A word is looked at in full only when something changes; the others pass one comparison: `want[head, board]` holds the
window bits that continue the present run, so a run of words of one window costs about a nanosecond a word.

Keys are ``epoch << 22 | window``, so that a counter reset is but a step to larger keys. An input is one board of one
source; `newest` is the highest key that two of its words have reached, so that one wild word never moves time.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.words import FPGA_SHIFT, WINDOW_SHIFT

PENDING_WORDS: Final = 256
"""Words set aside an input at most; the oldest goes when one more comes."""
TABLE: Final = 1 << 16
OPEN_WINDOWS: Final = TABLE // 2
NO_KEY: Final = 1 << 60
"""Words without a time, before the source's first window: the key is NO_KEY + source until one opens."""
IN_CHUNK: Final = 1 << 40
"""Run offsets from here on point into the chunk being pushed, below into the log of held words."""
DROPPED: Final = -2

# columns of `inputs`
NEWEST, TOP, EPOCH, MARK_SOURCE, MARK_ALL, OWN, AT_FALL, SAVED, SOURCE, BOARD, ENDED, BOUNDARY, PENDING, WATCH = range(14)
LATE, CONTRADICTED, INPUT_COLUMNS = 14, 15, 16
# columns of `sources`
S_TOP, S_PROGRESS, S_CAUGHT_UP, S_ENDED, S_CURRENT, SOURCE_COLUMNS = range(6)
# fields of `whole`
CLOSED, G_TOP, G_PROGRESS, HELD, RUNS, LOG, OPEN, CLOSING, STRAY, FORCED, RESETS, LATENESS, IDLE, JUMP = range(14)
AGREE, LINK, MAX_HELD, WHOLE_FIELDS = 14, 15, 16, 17


class State(NamedTuple):
    """All that the builder remembers, as arrays (a tuple of them is what numba takes)."""

    inputs: NDArray[np.int64]
    input_of: NDArray[np.int64]
    """[source, board] -> input or -1"""
    sources: NDArray[np.int64]
    whole: NDArray[np.int64]
    pending: NDArray[np.uint64]
    runs: NDArray[np.int64]
    """[run, (offset, length, key)]"""
    log: NDArray[np.uint64]
    table_key: NDArray[np.int64]
    table_count: NDArray[np.int64]
    open_keys: NDArray[np.int64]
    closing_keys: NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slot(st: Any, key: int) -> int:
    """Where the key is in the table of open windows, or where it would be."""
    slot = key & (TABLE - 1)
    while st.table_key[slot] != -1 and st.table_key[slot] != key:
        slot = (slot + 1) & (TABLE - 1)
    return slot


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _set_closed(st: Any, closed: int) -> None:
    """Close all windows up to a key: they take no more words."""
    g = st.whole
    if closed <= g[CLOSED]:
        return
    g[CLOSED] = closed
    kept = 0
    for i in range(g[OPEN]):
        key = st.open_keys[i]
        if key <= closed:
            st.closing_keys[g[CLOSING]] = key
            g[CLOSING] += 1
            g[HELD] -= st.table_count[_slot(st, key)]
        else:
            st.open_keys[kept] = key
            kept += 1
    g[OPEN] = kept


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(st: Any, key: int, n: int) -> None:
    """Count n more words in an open window, opening it if need be."""
    g = st.whole
    slot = _slot(st, key)
    if st.table_key[slot] == -1:
        st.table_key[slot] = key
        st.table_count[slot] = 0
        st.open_keys[g[OPEN]] = key
        g[OPEN] += 1
    st.table_count[slot] += n
    g[HELD] += n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _make_room(st: Any) -> None:
    """Bound what is held: past the limit the oldest windows close, and who held them back comes late."""
    g = st.whole
    if g[HELD] > g[MAX_HELD] and g[OPEN] == 0:
        # nothing but words without a time: they must not pile up for ever
        for r in range(g[RUNS]):
            if st.runs[r, 2] >= NO_KEY:
                st.runs[r, 2] = g[CLOSED] + 1
                g[HELD] -= st.runs[r, 1]
                _count(st, g[CLOSED] + 1, st.runs[r, 1])
        _set_closed(st, g[CLOSED] + 1)
    while (g[HELD] > g[MAX_HELD] and g[OPEN] > 1) or g[OPEN] >= OPEN_WINDOWS:
        oldest = st.open_keys[0]
        for i in range(1, g[OPEN]):
            oldest = min(oldest, st.open_keys[i])
        _set_closed(st, oldest)
        g[FORCED] += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_run(st: Any, offset: int, length: int, key: int) -> None:
    g = st.whole
    if length <= 0:
        return
    run = st.runs[g[RUNS]]
    run[0], run[1], run[2] = offset, length, key
    g[RUNS] += 1
    if key < NO_KEY:
        _count(st, key, length)
    else:
        g[HELD] += length


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _idle(st: Any, i: int) -> bool:
    """Whether an input no longer holds the others back: they are past it by the idle time, and it has nothing to read."""
    one = st.inputs[i]
    source = st.sources[one[SOURCE]]
    if source[S_PROGRESS] - one[MARK_SOURCE] > st.whole[IDLE]:
        return True
    return source[S_CAUGHT_UP] == 1 and st.whole[G_PROGRESS] - one[MARK_ALL] > st.whole[IDLE]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def update_closed(st: Any) -> None:
    """Close what every holding input is confirmed past by the lateness."""
    hold = NO_KEY
    for i in range(len(st.inputs)):
        if st.inputs[i, ENDED] == 0 and not _idle(st, i):
            hold = min(hold, st.inputs[i, NEWEST])
    if hold < NO_KEY:
        _set_closed(st, hold - st.whole[LATENESS] - 1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _moved(st: Any, i: int, newest: int, jumped: bool) -> None:
    """An input's confirmed time has risen."""
    one, g = st.inputs[i], st.whole
    source = st.sources[one[SOURCE]]
    limit = 1 if jumped else g[JUMP]
    one[OWN] += min(newest - one[NEWEST], limit)
    one[NEWEST] = newest
    if newest > source[S_TOP]:
        source[S_PROGRESS] += min(newest - source[S_TOP], limit)
        source[S_TOP] = newest
    if newest > g[G_TOP]:
        if newest >> KEY_WINDOW_BITS > g[G_TOP] >> KEY_WINDOW_BITS:
            st.inputs[:, AT_FALL] = st.inputs[:, OWN]
        g[G_PROGRESS] += min(newest - g[G_TOP], limit)
        g[G_TOP] = newest
    one[MARK_SOURCE] = source[S_PROGRESS]
    one[MARK_ALL] = g[G_PROGRESS]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_late(st: Any, words: Any, source: int) -> None:
    for word in words:
        i = st.input_of[source, np.int64(word >> np.uint64(FPGA_SHIFT)) & 7]
        st.inputs[max(i, 0), LATE] += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _take_back(st: Any, chunk: Any) -> None:
    """Undo a fall-back that not all inputs shared: what followed it is late, no new epoch."""
    g = st.whole
    epoch = g[G_TOP] >> KEY_WINDOW_BITS
    if epoch == 0 or g[CLOSED] >> KEY_WINDOW_BITS >= epoch:
        return
    unmoved = False
    for i in range(len(st.inputs)):
        one = st.inputs[i]
        if one[NEWEST] >= 0 and one[EPOCH] < epoch and one[OWN] - one[AT_FALL] > g[IDLE]:
            unmoved = True
    if not unmoved:
        return
    g[G_TOP] = 0
    st.sources[:, S_TOP] = -1
    for i in range(len(st.inputs)):
        one = st.inputs[i]
        if one[EPOCH] == epoch:
            one[EPOCH] = epoch - 1
            one[NEWEST] = one[TOP] = one[SAVED]
        source = st.sources[one[SOURCE]]
        source[S_TOP] = max(source[S_TOP], one[NEWEST])
        g[G_TOP] = max(g[G_TOP], one[NEWEST])
    g[RESETS] -= 1
    for r in range(g[RUNS]):
        offset, length, key = st.runs[r]
        if 0 <= key < NO_KEY and key >> KEY_WINDOW_BITS == epoch:
            held = chunk[offset - IN_CHUNK : offset - IN_CHUNK + length] if offset >= IN_CHUNK else st.log[offset : offset + length]
            for word in held:
                board = np.int64(word >> np.uint64(FPGA_SHIFT)) & 7
                for i in range(len(st.inputs)):
                    if st.inputs[i, BOARD] == board and st.inputs[i, SAVED] >= 0:
                        st.inputs[i, LATE] += 1
                        break
                else:
                    g[STRAY] += 1
            st.table_count[_slot(st, key)] -= length
            g[HELD] -= length
            st.runs[r, 2] = DROPPED


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _release(st: Any, i: int, limit: int, drop_late: bool) -> None:
    """Put words that were set aside into their open windows, up to the key `limit`."""
    one, g = st.inputs[i], st.whole
    kept = 0
    for p in range(one[PENDING]):
        word = st.pending[i, p]
        key = one[EPOCH] << KEY_WINDOW_BITS | (np.int64(word >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK)
        if g[CLOSED] < key <= limit:
            st.log[g[LOG]] = word
            g[HELD] -= 1
            _add_run(st, g[LOG], 1, key)
            g[LOG] += 1
        elif drop_late and key <= g[CLOSED]:
            one[LATE] += 1
            g[HELD] -= 1
        else:
            st.pending[i, kept] = word
            kept += 1
    one[PENDING] = kept


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _accept_pending(st: Any, i: int, centre: int) -> None:
    """Words set aside agree about the window `centre`: the input's time goes there, and what fits is released."""
    one, g = st.inputs[i], st.whole
    top, second = -1, -1
    for p in range(one[PENDING]):
        window = np.int64(st.pending[i, p] >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
        if abs(window - centre) <= g[LINK]:
            if window > top:
                top, second = window, top
            elif window > second:
                second = window
    second = max(second, 0) if second >= 0 else top
    if one[NEWEST] < 0:
        one[EPOCH] = max(g[G_TOP], 0) >> KEY_WINDOW_BITS
        if g[G_TOP] >= 0 and one[EPOCH] > 0 and second > (g[G_TOP] & KEY_WINDOW_MASK) + g[LINK]:
            # others have been reset already, this input's first words are from before it
            one[EPOCH] -= 1
    else:
        behind = (one[EPOCH] << KEY_WINDOW_BITS | second) < one[NEWEST]
        if behind:
            one[SAVED] = one[NEWEST]
            if g[G_TOP] >> KEY_WINDOW_BITS == one[EPOCH]:
                g[RESETS] += 1
            one[EPOCH] += 1
    one[BOUNDARY] = 0
    one[TOP] = one[EPOCH] << KEY_WINDOW_BITS | top
    _moved(st, i, max(one[EPOCH] << KEY_WINDOW_BITS | second, one[NEWEST]), True)
    _release(st, i, one[TOP] + g[JUMP], True)
    one[CONTRADICTED] = 0
    update_closed(st)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _forget(st: Any, i: int, p: int) -> None:
    """A word set aside that nothing confirmed: behind closed windows it is late, ahead it is stray."""
    one, g = st.inputs[i], st.whole
    key = one[EPOCH] << KEY_WINDOW_BITS | (np.int64(st.pending[i, p] >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK)
    if key <= one[NEWEST]:
        one[LATE] += 1
    else:
        g[STRAY] += 1
    g[HELD] -= 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _set_aside(st: Any, i: int, word: Any) -> None:
    one, g = st.inputs[i], st.whole
    if one[PENDING] == PENDING_WORDS:
        _forget(st, i, 0)
        st.pending[i, :-1] = st.pending[i, 1:].copy()
        one[PENDING] -= 1
    st.pending[i, one[PENDING]] = word
    one[PENDING] += 1
    one[WATCH] = 1
    g[HELD] += 1
    window = np.int64(word >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
    agree = 0
    for p in range(one[PENDING]):
        other = np.int64(st.pending[i, p] >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
        agree += abs(other - window) <= g[LINK]
    if agree >= g[AGREE]:
        _accept_pending(st, i, window)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _reach(st: Any, i: int) -> int:
    """The furthest key that is believed of an input at once: a jump past its own time or that of all."""
    one, g = st.inputs[i], st.whole
    reach = one[NEWEST]
    if g[G_TOP] >> KEY_WINDOW_BITS == one[EPOCH]:
        reach = max(reach, g[G_TOP])
    return reach + g[JUMP]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _place(st: Any, i: int, word: Any, chunk: Any) -> int:
    """Where a hit word goes: the key of its window, or -1 when it is late or set aside."""
    one, g = st.inputs[i], st.whole
    window = np.int64(word >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
    key = one[EPOCH] << KEY_WINDOW_BITS | window
    newest = one[NEWEST]
    if newest < 0 or (one[BOUNDARY] == 1 and key < newest - g[LATENESS]):
        _set_aside(st, i, word)
        return -1
    one[BOUNDARY] = 0
    reach = _reach(st, i)
    if key > reach or key < g[CLOSED] - g[JUMP]:
        _set_aside(st, i, word)
        return -1
    if one[WATCH]:
        one[WATCH] = 0
        _release(st, i, reach, False)
        one[CONTRADICTED] = one[PENDING]
    if key <= g[CLOSED]:
        one[LATE] += 1
        return -1
    if key > newest:
        if key <= one[TOP]:
            _moved(st, i, key, False)
        else:
            if one[TOP] > newest:
                _moved(st, i, one[TOP], False)
            one[TOP] = key
        _take_back(st, chunk)
        update_closed(st)
        if key <= g[CLOSED]:
            one[LATE] += 1
            return -1
    return key


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _refresh(st: Any, source: int, current: int, want: Any, mask: Any) -> int:
    """Say which words continue the run of the key `current`, which is moved on if it has been closed."""
    if current < NO_KEY:
        current = max(current, st.whole[CLOSED] + 1)
    bits = np.uint64(current & KEY_WINDOW_MASK) << np.uint64(WINDOW_SHIFT)
    for board in range(8):
        i = st.input_of[source, board]
        if i < 0:
            continue
        one = st.inputs[i]
        code = 2 << 3 | board
        mask[code] = 0
        want[code] = 1
        same_epoch = one[EPOCH] == current >> KEY_WINDOW_BITS
        if same_epoch and one[NEWEST] >= current and one[BOUNDARY] == 0 and one[WATCH] == 0:
            mask[code] = np.uint64(KEY_WINDOW_MASK) << np.uint64(WINDOW_SHIFT)
            want[code] = bits
    return current


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scan(st: Any, source: int, chunk: Any) -> None:
    """Take a chunk of one source's words: runs of them, by window, are added to the state's."""
    g = st.whole
    mask = np.zeros(64, np.uint64)
    want = np.zeros(64, np.uint64)
    current = _refresh(st, source, st.sources[source, S_CURRENT], want, mask)
    begin = 0
    for n in range(len(chunk)):
        word = chunk[n]
        code = np.int64(word >> np.uint64(FPGA_SHIFT))
        if word & mask[code] == want[code]:
            continue
        _add_run(st, IN_CHUNK + begin, n - begin, current)
        begin = n
        key = _place(st, st.input_of[source, code & 7], word, chunk)
        if key < 0:
            begin = n + 1
        else:
            if current >= NO_KEY:
                for r in range(g[RUNS]):
                    if st.runs[r, 2] == current:
                        st.runs[r, 2] = key
                        g[HELD] -= st.runs[r, 1]
                        _count(st, key, st.runs[r, 1])
            current = key
            _make_room(st)
        current = _refresh(st, source, current, want, mask)
    _add_run(st, IN_CHUNK + begin, len(chunk) - begin, current)
    if current >= NO_KEY:
        _make_room(st)
    st.sources[source, S_CURRENT] = current


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def resolve_pending(st: Any, i: int) -> None:
    """At the end of an input: what is set aside and not contradicted is believed, the rest is late or stray."""
    one, g = st.inputs[i], st.whole
    if one[NEWEST] >= 0 and one[BOUNDARY] == 0:
        _release(st, i, _reach(st, i), False)
    while one[PENDING]:
        best, centre = 0, -1
        unsettled = one[NEWEST] < 0 or one[BOUNDARY] == 1
        first = 0 if unsettled else one[CONTRADICTED]
        for p in range(first, one[PENDING]):
            window = np.int64(st.pending[i, p] >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
            agree = 0
            for q in range(first, one[PENDING]):
                other = np.int64(st.pending[i, q] >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK
                agree += abs(other - window) <= g[LINK]
            if agree > best:
                best, centre = agree, window
        if best < (1 if unsettled else 2):
            break
        before = one[PENDING]
        _accept_pending(st, i, centre)
        if one[PENDING] == before:
            break
    for p in range(one[PENDING]):
        _forget(st, i, p)
    one[PENDING] = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def close_all(st: Any) -> None:
    """Close every open window; words that never had a time go to the first of them."""
    g = st.whole
    for r in range(g[RUNS]):
        if st.runs[r, 2] >= NO_KEY:
            key = g[CLOSED] + 1
            st.runs[r, 2] = key
            g[HELD] -= st.runs[r, 1]
            _count(st, key, st.runs[r, 1])
    last = g[CLOSED]
    for i in range(g[OPEN]):
        last = max(last, st.open_keys[i])
    _set_closed(st, last)
    # whatever comes after the end of all is another epoch's concern
    st.sources[:, S_CURRENT] = NO_KEY + np.arange(len(st.sources))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def gather(st: Any, chunk: Any, out: Any, filled: int, starts: Any, keys: Any) -> tuple[int, int]:
    """Move closed windows' words to out[filled:], the others' out of the chunk into the log.

    Gives how many windows were added (keys[:n], ends of them in starts[1:n + 1]) and the new `filled`.
    """
    g = st.whole
    closing = np.sort(st.closing_keys[: g[CLOSING]])
    n = 0
    for key in closing:
        slot = _slot(st, key)
        count = st.table_count[slot]
        st.table_count[slot] = filled
        filled += count
        if count:
            keys[n] = key
            starts[n + 1] = filled
            n += 1
    kept = 0
    for r in range(g[RUNS]):
        offset, length, key = st.runs[r]
        if key == DROPPED:
            continue
        if key <= g[CLOSED]:
            slot = _slot(st, key)
            to = st.table_count[slot]
            if offset >= IN_CHUNK:
                offset -= IN_CHUNK
                for j in range(length):
                    out[to + j] = chunk[offset + j]
            else:
                for j in range(length):
                    out[to + j] = st.log[offset + j]
            st.table_count[slot] = to + length
            continue
        if offset >= IN_CHUNK:
            offset -= IN_CHUNK
            to = g[LOG]
            for j in range(length):
                st.log[to + j] = chunk[offset + j]
            g[LOG] += length
            offset = to
        run = st.runs[kept]
        run[0], run[1], run[2] = offset, length, key
        kept += 1
    g[RUNS] = kept
    if g[CLOSING]:
        _rebuild_table(st, closing)
    return n, filled


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rebuild_table(st: Any, closing: Any) -> None:
    """Take closed windows out of the table (with linear probing, the others must be put in anew)."""
    g = st.whole
    counts = np.empty(g[OPEN], np.int64)
    for i in range(g[OPEN]):
        counts[i] = st.table_count[_slot(st, st.open_keys[i])]
    # find all slots before any is emptied: probing stops at an empty one
    slots = np.empty(g[OPEN] + len(closing), np.int64)
    for i in range(g[OPEN]):
        slots[i] = _slot(st, st.open_keys[i])
    for i in range(len(closing)):
        slots[g[OPEN] + i] = _slot(st, closing[i])
    for slot in slots:
        st.table_key[slot] = -1
    for i in range(g[OPEN]):
        slot = _slot(st, st.open_keys[i])
        st.table_key[slot] = st.open_keys[i]
        st.table_count[slot] = counts[i]
    g[CLOSING] = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def compact(st: Any) -> None:
    """Move the held words to the front of the log."""
    g = st.whole
    order = np.argsort(st.runs[: g[RUNS], 0])
    to = 0
    for r in order:
        offset, length, _ = st.runs[r]
        for j in range(length):
            st.log[to + j] = st.log[offset + j]
        st.runs[r, 0] = to
        to += length
    g[LOG] = to
