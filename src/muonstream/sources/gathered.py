"""Blocks gathered into larger ones: decoding is fastest in pieces that stay in the cache, counting in large ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from muonstream.formats.block import FAULTS_KEPT, NO_BYTES, Block
from muonstream.words import Words


def gathered(blocks: Iterable[Block], most_words: int) -> Iterator[Block]:
    """The same words, notes and counts in order, in blocks of up to so many words, unless one has more.

    Neighbours in memory become one view; other words are copied. An error comes behind the words before it.
    """
    held: list[Block] = []
    n = 0
    try:
        for block in blocks:
            if held and (n + len(block.words) > most_words or not _go_together(held[-1], block)):
                yield _joined(held)
                held, n = [], 0
            held.append(block)
            n += len(block.words)
    except Exception:
        if held:
            yield _joined(held)
        raise
    if held:
        yield _joined(held)


def _go_together(one: Block, other: Block) -> bool:
    """Whether two blocks that follow one another may become one."""
    if one.idle or other.idle or other.begins or one.source != other.source:
        return False
    return one.report is None or other.report is None or one.report.name == other.report.name


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    reports = [block.report for block in blocks if block.report is not None]
    return Block(
        words=_one_view([block.words for block in blocks if len(block.words)]),
        malformed=sum(block.malformed for block in blocks),
        faults=[fault for block in blocks for fault in block.faults][:FAULTS_KEPT],
        notes=[note for block in blocks for note in block.notes],
        bytes=sum((block.bytes for block in blocks), NO_BYTES),
        repeated=sum(block.repeated for block in blocks),
        steps_lost=sum(block.steps_lost for block in blocks),
        begins=blocks[0].begins,
        source=blocks[0].source,
        report=reports[-1] if reports else None,
    )


def _one_view(parts: list[Words]) -> Words:
    """Words one after another, without a copy where they lie so in memory."""
    if len(parts) < 2:
        return parts[0] if parts else np.empty(0, np.uint64)
    roots = [getattr(part.base, "obj", None) for part in parts]  # what a memory view is a view of
    root = roots[0]
    at = [part.ctypes.data for part in parts]
    neighbours = all(a + part.nbytes == b for a, b, part in zip(at, at[1:], parts, strict=False))
    if not isinstance(root, np.ndarray) or any(other is not root for other in roots) or not neighbours:
        return np.concatenate(parts)
    return np.frombuffer(root.data, parts[0].dtype, sum(map(len, parts)), at[0] - root.ctypes.data)
