"""Whether some content is the rest of a stream that was cut: in the middle of a word, a transfer or a row."""

from __future__ import annotations

from typing import Final

import numpy as np

from muonstream.formats.binary import BinaryDecoder
from muonstream.formats.plausible import STEP_GOOD, STEP_WORDS, find_step
from muonstream.formats.recognise import Decoder, Form, decoder
from muonstream.formats.step import DMA_WORDS
from muonstream.formats.text import TextForm

SAMPLE_BYTES: Final = 8 * (DMA_WORDS + 1) + 8
"""With so many bytes of the content it can be told."""


def continues(before: Decoder, form: Form, sample: bytes) -> bool:
    """Whether content that begins with `sample` is the rest of what a decoder of this form has taken so far."""
    rest: bytes = getattr(before, "rest", b"")
    if isinstance(form, TextForm):
        return bool(rest) and _row_continues(form, rest, sample)
    if not isinstance(before, BinaryDecoder):
        return False
    transfers = before.transfers
    if transfers is None:
        return len(rest) % 8 != 0 and _in_step(rest + sample) and not _in_step(sample)
    if transfers.before in (-1, DMA_WORDS - 1) and not rest:
        return False
    # the next run word's place counts from the values that are decoded; some may wait in `rest`
    at = 8 * (DMA_WORDS - 1 - transfers.before)
    due = (rest + sample)[at : at + 8]
    value = int.from_bytes(due, "little")
    return len(due) == 8 and value in (transfers.run_word, transfers.run_word + transfers.run_step)


def _in_step(data: bytes) -> bool:
    """Whether words of the boards begin at the first byte."""
    return find_step(np.frombuffer(data, np.uint8), 0, min(len(data), 8 * STEP_WORDS), STEP_GOOD) == 0


def _row_continues(form: TextForm, rest: bytes, sample: bytes) -> bool:
    """Whether a row that was cut and the first line of the sample are one good row, and the line alone is not."""
    line = sample[: sample.find(b"\n") + 1]
    return bool(line) and _is_row(form, rest + line) and not _is_row(form, line)


def _is_row(form: TextForm, line: bytes) -> bool:
    trial = decoder(form, "")
    blocks = [trial.feed(line), trial.feed(b"", last=True)]
    return sum(len(block.words) for block in blocks) == 1 and not any(block.malformed for block in blocks)
