"""The words of files, block by block, in constant memory."""

from __future__ import annotations

import os
from collections import deque
from typing import Self

from muonstream.detector.model import Detector
from muonstream.formats.block import FAULTS_KEPT, InputReport
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format
from muonstream.offline.counting import check_there
from muonstream.offline.names import FileNames, detector_of, format_named, names_of
from muonstream.run.inputs import InputTotals
from muonstream.sources.files import read_parts
from muonstream.words import Words


class WordReader:
    """The words of files, an iterator of arrays uint64[n], n at least 1; and what was read so far.

    An array must not be written to, and holds memory as long as it, or a view of it, is kept. A reader can be iterated
    once.
    """

    def __init__(self, files: list[str], format: Format | None, detector: Detector) -> None:
        check_there(files)
        self._blocks = read_parts(files, format, expected=Expected.of(detector.channel_map()))
        self._reports: dict[str, InputReport] = {}
        self.words = 0
        """Words that were given."""
        self.malformed = 0
        """Rows and pieces of bytes that could not be words."""
        self.notes: deque[str] = deque(maxlen=FAULTS_KEPT)
        """The newest lines about the files: lost step, padding, repeats, malformed rows."""

    @property
    def inputs(self) -> tuple[InputReport, ...]:
        """What became of each file's bytes, as far as it is read."""
        return tuple(self._reports.values())

    @property
    def account(self) -> InputTotals:
        """What became of all bytes so far; when the reader has ended, of every byte of the files."""
        return InputTotals.of(self.inputs)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Words:
        for block in self._blocks:
            self.malformed += block.malformed
            self.words += len(block.words)
            self.notes.extend((*block.notes, *block.faults))
            if block.report is not None:
                self._reports[block.report.name] = block.report
            if len(block.words):
                return block.words
        raise StopIteration


def read_words(
    files: FileNames,
    *,
    format: str | None = None,
    detector: Detector | str | os.PathLike[str] | None = None,
) -> WordReader:
    """The words of files, one array after another, in the order of the files.

    files: a name or several, the parts of one run in the order they were taken
    format: its name, where the content should not decide; detector: its channels help to recognise formats

    Memory does not grow with the files. Words that a file repeats of another are left out, as `analyse` does.

    Raises MuonstreamError for what cannot be read: here if a file is not there, later when its content is reached.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> reader = muonstream.read_words("cosmics.dat")
    >>> sum(len(words) for words in reader)
    50000
    >>> reader.words, reader.malformed, reader.account.line
    (50000, 0, '400,000 bytes of 1 input: 400,000 words')
    """
    named = format_named(format)
    return WordReader(names_of(files), None if named is None else Format(named), detector_of(detector))
