"""A file that grows while it is read is decided and counted as one that is complete, however it grows."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake_corpus import Kind, corpus

from muonstream.detector.model import Detector
from muonstream.formats.block import Block, InputReport, SourceError
from muonstream.formats.evidence import Expected
from muonstream.sources.files import read_parts
from muonstream.sources.follow import follow

EXPECTED = Expected.of(Detector.default().channel_map())
KINDS = {kind.name: kind for kind in corpus(3)}
ALONE = sorted(name for name, kind in KINDS.items() if len(kind.parts) == 1)

Result = tuple[list[int], dict[str, InputReport], list[str]] | str


def result_of(blocks: list[Block]) -> Result:
    """The words, each input's last report, and what was said of odd content, sorted."""
    words = np.concatenate([np.empty(0, np.uint64), *(block.words for block in blocks)])
    reports = {block.report.name: block.report for block in blocks if block.report is not None}
    said = sorted(line for block in blocks for line in (*block.notes, *block.faults) if "byte" in line)
    return words.tolist(), reports, said


def complete(kind: Kind, folder: Path) -> Result:
    """What `process` makes of the files."""
    names = [str(folder / f"data_{i}.dat") for i in range(len(kind.parts))]
    for name, part in zip(names, kind.parts, strict=True):
        Path(name).write_bytes(part)
    try:
        return result_of(list(read_parts(names, expected=EXPECTED)))
    except SourceError as error:
        return str(error)


def grown(kind: Kind, path: Path, data: st.DataObject) -> Result:
    """What a live run makes of the first part, written in pieces with the reader run between some of them."""
    part = kind.parts[0]
    cuts = data.draw(st.lists(st.integers(0, len(part)), max_size=5), label="cuts")
    edges = [0, *sorted(cuts), len(part)]
    stop = Event()
    blocks: list[Block] = []
    path.write_bytes(b"")
    followed = follow(str(path), None, stop, expected=EXPECTED)
    try:
        for begin, end in pairwise(edges):
            with path.open("ab") as handle:
                handle.write(part[begin:end])
            if data.draw(st.booleans(), label="read"):
                for block in followed:
                    blocks.append(block)
                    if block.idle:
                        break
        stop.set()
        blocks += followed
    except SourceError as error:
        return str(error)
    return result_of(blocks)


@pytest.mark.parametrize("name", ALONE)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_growing_file_is_read_as_a_complete_one(name: str, data: st.DataObject) -> None:
    """The same words, account and evidence, or the same refusal."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.sources.follow.POLL_S", 0.0)
        whole = complete(kind, Path(folder))
        assert grown(kind, Path(folder) / "data_0.dat", data) == whole
