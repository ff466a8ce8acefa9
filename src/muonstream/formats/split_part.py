"""Later parts of compressed data that were split, which show no format: by their names, and by how even bytes are."""

from __future__ import annotations

import posixpath
import re
from typing import Final

import numpy as np

SAMPLE_BYTES: Final = 1 << 16
FEWEST_BYTES: Final = 1 << 11
"""With fewer bytes it cannot be said how evenly they are spread."""
_MISSING_BITS: Final = 0.06
"""So much less than 8 bits of entropy a byte have compressed data; words of the boards have 5 to 6 bits."""
_PART: Final = re.compile(
    r"(?P<whole>.+\.(?:gz|tgz|bz2|xz|zst|zstd))[._-]?(?:part)?[._-]?(?:\d{1,5}|[a-z]{2,3})", re.IGNORECASE
)
"""Names as `split` gives them: run.gz.01, run.gz.aa, run.gzab, run.gz.part2."""


def is_even(sample: bytes | memoryview) -> bool:
    """Whether the values of bytes are spread as evenly as in compressed or encrypted data."""
    sample = sample[:SAMPLE_BYTES]
    n = len(sample)
    if n < FEWEST_BYTES:
        return False
    share = np.bincount(np.frombuffer(sample, np.uint8), minlength=256) / n
    entropy = -float((share[share > 0] * np.log2(share[share > 0])).sum())
    # a sample of n values out of 256 shows less than their entropy (G. Miller, 1955)
    return bool(entropy > 8 - 1.15 * 255 / (2 * n * np.log(2)) - _MISSING_BITS)


def split_advice(name: str, sample: bytes | memoryview) -> str:
    """What to do with content that shows no format and may be a later part of compressed data, a sentence; or ""."""
    part = _PART.fullmatch(posixpath.basename(name))
    if part is not None:
        whole = part["whole"]
        return (
            "It looks like a later part of a compressed file that was split: join all its parts in order first, as "
            f"cat {whole}* > joined.{whole.rpartition('.')[2]}"
        )
    if is_even(sample):
        return (
            "Its bytes are spread as evenly as those of compressed or encrypted data: if it is a later part of a "
            "compressed file that was split, join all parts in order first"
        )
    return ""
