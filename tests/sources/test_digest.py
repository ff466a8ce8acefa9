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
from muonstream.sources.digest import DigestComparison, HitDigest
from muonstream.sources.follow import follow
from muonstream.sources.reader import hits_of
from muonstream.words import Words

HITS = hits_of(WORDS)
MANY = np.concatenate([HITS + np.uint64(i << 17) for i in range(4)])[:5000]


def digest_of(hits: Words, cut: int) -> HitDigest:
    digest = HitDigest()
    for at in range(0, len(hits), cut):
        digest.add(hits[at : at + cut])
    return digest


@given(
    n=st.integers(0, len(MANY)),
    other=st.integers(0, len(MANY)),
    wrong=st.none() | st.integers(0, len(MANY) - 1),
    cut=st.sampled_from([1, 7, 1023, len(MANY)]),
    most=st.sampled_from([4, 256, 1 << 20]),
)
@settings(max_examples=60, deadline=None)
def test_digests_agree_as_far_as_the_hits_do(n: int, other: int, wrong: int | None, cut: int, most: int) -> None:
    changed = MANY[:other].copy()
    if wrong is not None and wrong < other:
        changed[wrong] ^= np.uint64(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.sources.digest.MOST_MARKS", most)
        digest = digest_of(MANY[:n], cut)
    assert n // digest.every <= most
    so_far, read, agreed, different = HitDigest().digest, 0, 0, False
    while read < min(n, other) and not different:
        some = changed[read : min(read + cut, n)]
        so_far, agreed, different = digest.agreeing(some, so_far, read)
        read += len(some)
    true = min(n, other) if wrong is None or wrong >= min(n, other) else wrong
    # what lies between the last mark and the end of both can be compared, too
    exact = n == true or digest.every == 1
    assert agreed == (true if exact else true // digest.every * digest.every)
    # a hit that differs shows at the next mark
    next_mark = (true // digest.every + 1) * digest.every
    assert different == (true < min(n, other) and (next_mark <= min(n, other) or other >= n))


def test_a_thinned_digest_goes_on() -> None:
    digest = digest_of(MANY[:3000], 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.sources.digest.KEPT_MARKS", 100)
        digest.thin()
    digest.add(MANY[3000:])
    assert digest.every == 32
    whole = digest.agreeing(MANY, HitDigest().digest, 0)
    assert whole[1:] == (len(MANY), False)


@pytest.mark.parametrize("every", [1, 64])
@pytest.mark.parametrize(
    ("n", "other", "wrong", "expected"),
    [
        (1000, 1000, None, (1000, False, False, 0)),
        (1000, 1500, None, (1000, False, True, 0)),
        (1000, 700, None, (700, False, False, 0)),
        (1000, 1000, 999, (999, True, False, 0)),
        (1000, 1500, 1200, (1000, False, True, 0)),
        (1000, 640, None, (640, False, False, 0)),
        (1000, 900, 650, (650, True, False, 0)),
    ],
)
def test_a_file_is_compared_with_one_that_is_gone(
    every: int, n: int, other: int, wrong: int | None, expected: tuple[int, bool, bool, int], tmp_path: Path
) -> None:
    changed = MANY[:other].copy()
    if wrong is not None:
        changed[wrong] ^= np.uint64(1)
    path = tmp_path / "copy.dat"
    path.write_bytes(changed.astype("<u8").tobytes())
    digest = digest_of(MANY[:n], 99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.sources.digest.KEPT_MARKS", n // every)
        digest.thin()
    comparison = DigestComparison(digest, str(path), Wanted(Expected.any()))
    comparison.finish()
    same, different, longer, _ = expected
    assert (comparison.different, comparison.longer) == (different, longer)
    if every == 1 or (other >= n and not different):
        assert (comparison.same, comparison.unsure) == (same, 0)
    else:
        # known to the last mark; the hits behind it are named
        assert comparison.same == same // every * every
        assert same - comparison.same <= comparison.unsure < every


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
