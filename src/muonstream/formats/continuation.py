"""Whether some content is the rest of a stream that was cut: in the middle of a word, a transfer or a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from muonstream.formats.binary import ALL_BOARDS, BinaryDecoder
from muonstream.formats.binary_form import BinaryForm
from muonstream.formats.block import Block, SourceError
from muonstream.formats.plausible import STEP_FEWEST, find_step, is_hit
from muonstream.formats.recognise import Decoder, Form, decoder
from muonstream.words import DMA_WORDS

if TYPE_CHECKING:
    from muonstream.formats.text import TextForm

SAMPLE_BYTES: Final = 8 * (DMA_WORDS + 1) + 8
"""With so many bytes of the content it can be told."""

_ROW_END: Final = re.compile(rb"[\r\n}]")


def is_cut(before: Decoder, form: Form) -> bool:
    """Whether what a decoder of this form has taken so far ends inside a word, a transfer or a row."""
    if getattr(before, "rest", b""):
        return True
    transfers = before.transfers if isinstance(before, BinaryDecoder) else None
    return transfers is not None and transfers.before not in (-1, DMA_WORDS - 1)


def continues(before: Decoder, form: Form, sample: bytes) -> bool:
    """Whether content that begins with `sample` is the rest of what a decoder of this form has taken so far."""
    rest: bytes = getattr(before, "rest", b"")
    if not isinstance(form, BinaryForm):
        return bool(rest) and _row_continues(form, rest, sample)
    if not isinstance(before, BinaryDecoder):
        return False
    transfers = before.transfers
    if transfers is None:
        return len(rest) % 8 != 0 and _word_continues(rest, sample)
    if transfers.before in (-1, DMA_WORDS - 1) and not rest:
        return False
    # the next run word's place counts from the values that are decoded; some may wait in `rest`
    at = 8 * (DMA_WORDS - 1 - transfers.before)
    due = (rest + sample)[at : at + 8]
    if len(due) < 8 and len(sample) < SAMPLE_BYTES:
        return len(rest) % 8 != 0 and _word_continues(rest, sample)  # the last part, shorter than a transfer
    value = int.from_bytes(due, "little")
    return len(due) == 8 and value in (transfers.run_word, transfers.run_word + transfers.run_step)


def _word_continues(rest: bytes, sample: bytes) -> bool:
    """Whether words go on through the rest, which is not whole words, into the sample."""
    if len(sample) < 8 * STEP_FEWEST:
        # a part of a few bytes shows nothing by itself; it is the rest of the word unless it is words of its own
        alone = np.frombuffer(sample, "<u8", len(sample) // 8)
        return len(sample) % 8 != 0 or not all(is_hit(word) for word in alone)
    data = np.frombuffer(rest + sample, np.uint8)
    found = find_step(data, 0, len(data), ALL_BOARDS, len(sample) < SAMPLE_BYTES)
    return found >= 0 and found % 8 == 0


def _row_continues(form: TextForm, rest: bytes, sample: bytes) -> bool:
    """Whether a row or an object that was cut and the sample go together better than the sample alone."""
    short = len(sample) < SAMPLE_BYTES
    together, alone = _trial(form, rest + sample, last=short), _trial(form, sample, last=short)
    if short and not len(alone.words) and not _ROW_END.search(sample):
        return True  # a part of a few bytes, inside one row
    return together.malformed < alone.malformed and len(together.words) >= max(1, len(alone.words))


def _trial(form: TextForm, data: bytes, *, last: bool) -> Block:
    """What the beginning of some content gives in a form; last: the data are all there is."""
    try:
        return decoder(form, "").feed(data, last=last)
    except SourceError:
        return Block()
