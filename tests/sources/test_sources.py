from __future__ import annotations

from decoding import FAULTY, WORDS, fed, json_of
from hypothesis import given
from hypothesis import strategies as st

from muonstream.commands.simulate import table_of
from muonstream.formats.binary import BinaryDecoder
from muonstream.formats.hits_json import JsonDecoder
from muonstream.formats.rows import COLUMNS
from muonstream.formats.table import TableDecoder


def test_tables_and_json_are_the_words_they_were_made_of() -> None:
    assert fed(TableDecoder("t"), table_of(WORDS)) == (WORDS.tolist(), 0, [])
    assert fed(TableDecoder("t"), (",".join(COLUMNS) + "\r\n").encode() + table_of(WORDS).replace(b"\n", b"\r\n")) == (
        WORDS.tolist(),
        0,
        [],
    )
    assert fed(JsonDecoder("j"), json_of(WORDS)) == (WORDS.tolist(), 0, [])


@given(st.lists(st.integers(0, 400), max_size=12), st.sampled_from(["course", "json", "words"]))
def test_any_cut_of_the_bytes_gives_the_same(cuts: list[int], kind: str) -> None:
    data = {
        "course": table_of(WORDS[:8]) + FAULTY + b"4,0,0,7,17444,-0.5\n2,1,6,7,8,9",
        "json": json_of(WORDS[:3]) + b'{"HEAD": 2}\n[]\nnone\n' + json_of(WORDS[3:5]).rstrip(),
        "words": WORDS[:30].astype("<u8").tobytes() + b"abc",
    }[kind]
    make = {"course": TableDecoder, "json": JsonDecoder, "words": BinaryDecoder}[kind]
    assert fed(make("f"), data, [cut for cut in cuts if cut < len(data)]) == fed(make("f"), data)
