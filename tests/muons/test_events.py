from __future__ import annotations

import json

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.events import MOST_HITS, RING, MuonEvent, newest
from muonstream.muons.reconstruction import Reconstruction
from muonstream.simulation.telescope import simulate_words
from muonstream.words import encode

TELESCOPE = Detector.default()
WORDS = simulate_words(60_000, TELESCOPE, muon_rate_hz=200, seed=12)
BUILDER = FrameBuilder(TELESCOPE.boards)
FRAMES = Frames.join([BUILDER.push(WORDS), BUILDER.finish()])
MUON = [(16, 1112), (18, 1357), (17, 1110), (19, 1357)]
"""A vertical muon in a chamber, as cells and TDC counts."""
RECONSTRUCTION = Reconstruction(Catalogue(TELESCOPE, muons=True))
EVENTS = RECONSTRUCTION(FRAMES).events


def test_the_ring_has_the_newest_muons_however_the_data_come() -> None:
    assert len(EVENTS) == RING
    assert [event.order for event in EVENTS] == sorted(event.order for event in EVENTS)
    parts = [RECONSTRUCTION(part).events for part in FRAMES.split(5000)]
    ring: tuple[MuonEvent, ...] = ()
    for part in parts[::2] + parts[1::2][::-1]:
        ring = newest([*ring, *part])
    assert ring == EVENTS


def test_segments_and_tracks_go_through_the_images_they_took() -> None:
    view_of = {chamber.number: chamber.view for chamber in TELESCOPE.chambers}
    taken = 0
    for event in EVENTS:
        assert {line.chamber for line in event.tracks} == {0}
        assert len({line.view for line in event.tracks}) == len(event.tracks) in (1, 2)
        for segment in event.segments:
            assert segment.view == view_of[segment.chamber]
            hits = [hit for hit in event.hits if hit.chamber == segment.chamber and hit.side]
            assert len(hits) >= 3
            for hit in hits:
                image = hit.high_x_mm if hit.side > 0 else hit.low_x_mm
                at = segment.x_mm + segment.tan * (segment.z_mm - hit.z_mm)
                assert image == pytest.approx(at, abs=1.5)
                taken += 1
    assert taken > 150
    assert any(hit.side == 0 for event in EVENTS for hit in event.hits)


def test_events_are_plain_json() -> None:
    again = json.loads(json.dumps([event.as_dict() for event in EVENTS], allow_nan=False))
    assert again[0]["orbit"] == EVENTS[0].orbit
    assert len(again[0]["hits"]) == len(EVENTS[0].hits)


def test_snapshots_carry_the_ring_and_words_still_held_are_in_it() -> None:
    with Pipeline(TELESCOPE, workers=0, reconstruct=True) as pipeline:
        pipeline.push(WORDS)
        early = pipeline.snapshot().muons
        pipeline.finish()
        assert early == pipeline.snapshot("ended").muons == EVENTS
    with Pipeline(TELESCOPE, workers=0) as pipeline:
        pipeline.push(WORDS)
        assert pipeline.snapshot().muons == ()


def test_no_frames_have_no_muons() -> None:
    assert RECONSTRUCTION(Frames.empty()).events == ()
    assert np.array_equal(RECONSTRUCTION(Frames.empty()).total, RECONSTRUCTION.catalogue.zeros())


@pytest.mark.parametrize("crowd", [0, MOST_HITS, 5000])
def test_of_a_muon_in_a_crowd_its_own_hits_and_the_nearest_are_kept_and_the_others_counted(crowd: int) -> None:
    """A cell that has thousands of hits in a muon's orbit makes no message of thousands of hits."""
    muon = [(0, 64 * half + cell, 1000 + tdc) for half in (0, 1) for cell, tdc in MUON]
    # in a chamber of another board, so that it is in no segment
    others = [(1, 3, 2100 + i % 200) for i in range(crowd)]
    board, channel, tdc = np.array([*others, *muon]).T
    words = encode(fpga=board, channel=channel, orbit=7, bx=(tdc - 1) // 30, tdc=1 + (tdc - 1) % 30)
    (event,) = RECONSTRUCTION(Frames(words, np.array([0, len(words)]), np.array([0]))).events
    assert len(event.hits) + event.hits_left_out == crowd + len(muon)
    assert len(event.hits) <= MOST_HITS
    assert sum(hit.side != 0 for hit in event.hits) == 4 * len(event.segments) > 0
    assert MuonEvent.from_dict(event.as_dict()) == event
    old = event.as_dict()
    del old["hits_left_out"]
    assert MuonEvent.from_dict(old).hits_left_out == 0
