from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake_corpus import Kind, corpus

from muonstream.detector.model import Detector
from muonstream.formats.block import Block, SourceError
from muonstream.formats.evidence import Expected
from muonstream.sources.files import read_parts
from muonstream.words import BX_PER_ORBIT, decode
from tools.intake_fuzz import MUTATIONS, NAMES, judge, make_case
from tools.streams import WRITERS, hits_of

EXPECTED = Expected.of(Detector.default().channel_map())
KINDS = {f"{kind.name} ({seed})": kind for seed in (1, 2) for kind in corpus(seed)}


def read(kind: Kind, folder: Path) -> tuple[list[Block], list[str]]:
    names = []
    for i, part in enumerate(kind.parts):
        path = folder / f"data_{i}.dat"
        path.write_bytes(part)
        names.append(str(path))
    blocks = list(read_parts(names, expected=EXPECTED))
    return blocks, [line for block in blocks for line in (*block.notes, *block.faults)]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_input_is_read_right_or_refused(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    if kind.refused:
        with pytest.raises(SourceError, match=kind.refused) as caught:
            read(kind, tmp_path)
        assert "\n" not in str(caught.value)
        return
    blocks, lines = read(kind, tmp_path)
    words = np.concatenate([block.words for block in blocks])
    hits = hits_of(words)
    if "bytes" in kind.name:  # one word may be made of the ends of two, or lost with them
        extra = set(hits.tolist()) ^ set(kind.hits.tolist())
        assert len(extra) <= 40
        assert len(hits) <= len(kind.hits) + 1
    elif "alone" in kind.name:
        assert hits.tolist() == kind.hits[len(kind.hits) - len(hits) :].tolist()
        assert len(hits) > 128
    else:
        assert hits.tolist() == kind.hits.tolist()
    if kind.n is not None:
        assert len(words) == kind.n
    if kind.malformed is not None:
        assert sum(block.malformed for block in blocks) == kind.malformed
    assert not kind.says or any(re.search(kind.says, line) for line in lines), lines[:9]
    reports = {block.report.name: block.report for block in blocks if block.report is not None}
    assert all(report.balanced and not report.waiting for report in reports.values())
    assert sum(report.size for report in reports.values()) >= sum(report.words for report in reports.values())
    valid = decode(hits).bx < BX_PER_ORBIT
    assert valid.all() or "bunch" in kind.name or "bytes" in kind.name


@settings(max_examples=150)
@given(st.integers(0, 1 << 40), st.sampled_from(NAMES), st.sampled_from(list(WRITERS)))
def test_mutated_files_are_not_misread_without_a_word(seed: int, mutation: str, form: str) -> None:
    random = np.random.default_rng(seed)
    case = make_case(form, mutation, random)
    outcome = judge(case, random)
    # a few words out of step among ancillary words cannot be told from these: see `make fuzz`
    assert outcome.verdict != "wrong" or (mutation in MUTATIONS and form in ("words", "dma", "dma counting")), outcome


@pytest.mark.parametrize("seed", [101_351])
def test_a_step_that_seems_lost_where_it_is_found_again_does_not_hold_up_reading(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert judge(make_case("dma counting", "insert zeros", random), random).verdict == "named"
