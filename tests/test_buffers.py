"""Memory is used again when nobody has a view of it, and never before."""

from __future__ import annotations

import numpy as np

from muonstream.buffers import Buffers


def test_room_that_somebody_has_is_not_given_again() -> None:
    buffers = Buffers(3)
    views = [buffers.room(10)[:2] for _ in range(3)]
    assert len({view.__array_interface__["data"][0] for view in views}) == 3


def test_room_is_given_again_when_its_last_view_has_gone() -> None:
    buffers = Buffers(3)
    first = buffers.room(10)
    first[0] = 7
    view = first.view(np.uint8).data[:8]
    words = np.frombuffer(view, "<u8")
    del first, view
    assert not np.shares_memory(buffers.room(10), words)
    del words
    assert buffers.room(10)[0] == 7


def test_room_is_as_large_as_was_asked() -> None:
    buffers = Buffers(2)
    for n in (0, 1, 1 << 17, (1 << 17) + 1, 5 << 17):
        assert len(buffers.room(n)) >= n


def test_more_than_are_kept_are_all_different() -> None:
    buffers = Buffers(2)
    rooms = [buffers.room(1) for _ in range(5)]
    assert len({room.__array_interface__["data"][0] for room in rooms}) == 5
