from __future__ import annotations

from muonstream.formats.notes import NOTES_KEPT, Notes


def test_notes_are_taken_once_and_begin_with_the_name() -> None:
    notes = Notes("a.dat")
    notes.add("padding", "byte 8: 3 words of zeros")
    notes.name = "b.dat"
    notes.add("padding", "byte 0: 1 word of zeros")
    assert notes.take() == ["a.dat: byte 8: 3 words of zeros", "b.dat: byte 0: 1 word of zeros"]
    assert notes.take() == notes.finish() == []


def test_many_notes_of_a_kind_are_counted() -> None:
    notes = Notes("f")
    for i in range(NOTES_KEPT + 3):
        notes.add("repeats", f"word {i}")
    notes.add("padding", "byte 0")
    assert len(notes.take()) == NOTES_KEPT + 1
    assert notes.finish() == [f"f: {NOTES_KEPT + 3} notes about repeats in all, of which {NOTES_KEPT} are shown"]
    assert notes.finish() == []
