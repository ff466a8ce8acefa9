from __future__ import annotations

from muonstream.detector.model import Detector
from muonstream.formats.evidence import Expected


def test_expected_channels_are_those_of_the_detector_file() -> None:
    known = Expected.of(Detector.default().channel_map()).known
    assert known.shape == (8, 512)
    assert known[0, :128].all()
    assert known[1, :129].all()
    assert not known[0, 128]  # the scintillator is on board 1
    assert known[:2, 138].all()
    assert not known[0, 139:].any()


def test_without_a_detector_every_channel_is_expected() -> None:
    assert Expected.any().known.all()
