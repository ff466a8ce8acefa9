from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from decoding import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.commands.simulate import table_of
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.digest import STRETCH_HITS, DigestComparison, HitDigest
from muonstream.sources.follow import follow
from muonstream.sources.reader import hits_of
from muonstream.words import Words

HITS = hits_of(WORDS)
MANY = np.concatenate([HITS + np.uint64(i << 17) for i in range(2 * STRETCH_HITS // len(HITS) + 2)])[
    : 2 * STRETCH_HITS + 500
]


def digest_of(hits: Words, cut: int) -> HitDigest:
    digest = HitDigest()
    for at in range(0, len(hits), cut):
        digest.add(hits[at : at + cut])
    return digest


@given(
    n=st.integers(0, len(MANY)),
    other=st.integers(0, len(MANY)),
    wrong=st.none() | st.integers(0, len(MANY) - 1),
    cut=st.sampled_from([7919, STRETCH_HITS, len(MANY)]),
)
@settings(max_examples=30, deadline=None)
def test_digests_agree_as_far_as_the_hits_do(n: int, other: int, wrong: int | None, cut: int) -> None:
    changed = MANY[:other].copy()
    if wrong is not None and wrong < other:
        changed[wrong] ^= np.uint64(1)
    same = digest_of(MANY[:n], cut).same(digest_of(changed, 1000))
    true = min(n, other) if wrong is None or wrong >= min(n, other) else wrong
    # only whole stretches can be compared, and the last one where both end at the same hit
    assert same == (n if n == other == true else true // STRETCH_HITS * STRETCH_HITS)


@pytest.mark.parametrize(
    ("n", "other", "wrong", "expected"),
    [
        (1000, 1000, None, (1000, False, False, False)),
        (1000, 1500, None, (1000, False, True, False)),
        (1000, 700, None, (700, False, False, True)),
        (1000, 1000, 999, (0, True, False, False)),
        (1000, 1500, 1200, (1000, False, True, False)),
        (STRETCH_HITS + 300, STRETCH_HITS, None, (STRETCH_HITS, False, False, False)),
        (STRETCH_HITS + 300, STRETCH_HITS + 300, STRETCH_HITS + 5, (STRETCH_HITS, True, False, False)),
    ],
)
def test_a_file_is_compared_with_one_that_is_gone(
    n: int, other: int, wrong: int | None, expected: tuple[int, bool, bool, bool], tmp_path: Path
) -> None:
    changed = MANY[:other].copy()
    if wrong is not None:
        changed[wrong] ^= np.uint64(1)
    path = tmp_path / "copy.dat"
    path.write_bytes(changed.astype("<u8").tobytes())
    comparison = DigestComparison(digest_of(MANY[:n], 999), str(path), Wanted(Expected.any()))
    comparison.finish()
    found = comparison.same, comparison.different, comparison.longer, comparison.unsure
    assert found == expected


def followed(blocks: list[Block]) -> tuple[list[int], list[str]]:
    return [word for block in blocks for word in block.words.tolist()], [n for block in blocks for n in block.notes]


DATA = WORDS.astype("<u8").tobytes()
COPIES: dict[str, Callable[[], bytes]] = {
    "data_0.dat.gz": lambda: gzip.compress(DATA),
    "data_0.csv": lambda: table_of(WORDS),
    "old_0.dat": lambda: DATA,
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("successor", [False, True])
def test_a_copy_of_a_file_that_is_gone_is_not_counted_again(name: str, successor: bool, tmp_path: Path) -> None:
    """As when a file is compressed, converted or moved elsewhere and back once it has been read."""
    (tmp_path / "data_0.dat").write_bytes(DATA)
    stop = Event()
    source = follow(str(tmp_path), None, stop)
    blocks = []
    for block in source:
        blocks.append(block)
        if block.idle:
            break
    (tmp_path / "data_0.dat").unlink()
    (tmp_path / name).write_bytes(COPIES[name]())
    if successor:  # another file takes its name
        (tmp_path / "data_0.dat").write_bytes((WORDS + np.uint64(1 << 40)).astype("<u8").tobytes())
    for block in source:
        blocks.append(block)
        if block.idle:
            break
    stop.set()
    blocks += source
    words, notes = followed(blocks)
    assert words == [*WORDS.tolist(), *((WORDS + np.uint64(1 << 40)).tolist() if successor else [])]
    assert any(f"{name}: the same" in note and "passed over" in note for note in notes)
