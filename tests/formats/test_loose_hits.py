from __future__ import annotations

import itertools
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.loose_hits import FIELDS, hits_json
from muonstream.words import decode


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_every_word_is_an_object_with_its_six_fields(values: list[int]) -> None:
    words = np.array(values, np.uint64)
    text, offsets = hits_json(words)
    assert offsets[0] == 0
    assert offsets[-1] == len(text)
    fields = decode(words)
    expected = [
        dict(zip((name for name, _, _ in FIELDS), map(int, row), strict=True))
        for row in zip(fields.head, fields.fpga, fields.channel, fields.orbit, fields.bx, fields.tdc, strict=True)
    ]
    assert [json.loads(text[a:b]) for a, b in itertools.pairwise(offsets)] == expected
    # as the standard library writes it
    assert [text[a:b].decode() for a, b in itertools.pairwise(offsets)] == [json.dumps(hit) for hit in expected]
