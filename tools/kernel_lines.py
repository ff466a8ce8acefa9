"""How many lines of kernels run for each word of a stream: `NUMBA_DISABLE_JIT=1 python -m tools.kernel_lines`.

Kernels run as plain Python, which counts their lines: so that their work is in proportion to words can be shown without
a clock. Prints JSON: by stream, for each number of words, the lines a word.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from muonstream.counting import passages, tally
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.words import Words
from tools.adversarial import STREAMS

KERNELS: Final = ("/framing/", "/counting/", "/muons/search.py", "/muons/grouping.py", "/muons/tracks.py")


class Lines:
    """Counts the lines that run in files of kernels while it is entered."""

    def __init__(self) -> None:
        self.n = 0

    def __enter__(self) -> Lines:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            return self._trace if any(part in frame.f_code.co_filename for part in KERNELS) else None
        self.n += event == "line"
        return self._trace


def as_plain_python() -> None:
    """Put plain functions in the place of those that are instructions of the processor."""
    vars(tally).update(
        popcount=lambda bits: int(bits).bit_count(),
        trailing_zeros=lambda bits: (int(bits) & -int(bits)).bit_length() - 1,
        leading_zeros=lambda bits: 64 - int(bits).bit_length(),
    )
    # asked of eight words at once; true says that each is to be looked at
    vars(passages).update(any_of_eight=lambda *_: True)


def lines_a_word(words: Words, detector: Detector, analyse: Reconstruction) -> float:
    """Lines of kernels that run for each word: frames, counts, pairs, segments and tracks."""
    builder = FrameBuilder(detector.boards)
    with Lines() as lines:
        for frames in (builder.push(words), builder.finish()):
            analyse(frames)
    return lines.n / len(words)


def measured(names: Sequence[str], sizes: Sequence[int]) -> dict[str, dict[int, float]]:
    """Lines a word, by stream and number of words."""
    detector = Detector.default()
    analyse = Reconstruction(Catalogue(detector, muons=True))
    return {name: {n: lines_a_word(STREAMS[name](n), detector, analyse) for n in sizes} for name in names}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,2000", help="numbers of words, separated by commas")
    parser.add_argument("streams", nargs="*", help="streams of tools.adversarial (default: all)")
    args = parser.parse_args()
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        parser.error("found compiled kernels, expected NUMBA_DISABLE_JIT=1")
    # Python's unsigned numbers warn where they wrap, which the processor's do not
    warnings.simplefilter("ignore")
    as_plain_python()
    sizes = [int(size) for size in args.sizes.split(",")]
    print(json.dumps(measured(args.streams or list(STREAMS), sizes)))


if __name__ == "__main__":
    main()
