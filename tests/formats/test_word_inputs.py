from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import Block
from muonstream.formats.content import ContentCheck
from muonstream.formats.word_inputs import WordInputs
from muonstream.words import BX_SHIFT
from tools.streams import StreamConfig, make_words

WORDS = make_words(StreamConfig(words=3000, seed=5))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=20))
def test_each_word_is_of_the_input_that_gave_it(parts: list[tuple[str, int]]) -> None:
    inputs, counts = WordInputs(), dict.fromkeys("abc", 0)
    expected: list[tuple[str, int]] = []
    for name, n in parts:
        inputs.begin(len(expected), name)
        for _ in range(n):
            counts[name] += 1
            expected.append((name, counts[name]))
    assert [inputs.of(number) for number in range(len(expected))] == expected


def test_notes_name_the_input_that_has_the_word() -> None:
    words = WORDS.copy()
    words[1100] |= np.uint64(0xFFF << BX_SHIFT)
    check, lines = ContentCheck("a"), []
    for name, part in (("a", words[:1000]), ("b", words[1000:2000]), ("c", np.concatenate([words[400:900], words]))):
        check.name = name
        check.see(part)
        block = Block()
        check.into(block)
        lines += block.notes
    block = Block()
    check.into(block, last=True)
    lines += block.notes
    assert any(line.startswith("b: word 101: BX_COUNTER: found 4095") for line in lines)
    assert "c: words 1 to 500 are the same, bit for bit, as words 401 to 900 of a: 500 words twice" in lines
