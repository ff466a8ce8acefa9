"""Reading ahead: the next block is read and decoded while this one is counted."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

from muonstream.formats.block import Block


def ahead(blocks: Iterator[Block]) -> Generator[Block]:
    """Read blocks one ahead in a thread; an error is raised where its block would have come."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:
        under_way = pool.submit(next, blocks, None)
        while (block := under_way.result()) is not None:
            under_way = pool.submit(next, blocks, None)
            yield block
