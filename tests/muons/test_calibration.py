from __future__ import annotations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.calibration import Calibration, CalibrationError, calibrate, core_of
from muonstream.muons.reconstruction import Reconstruction
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation

TELESCOPE = Detector.default()


def changed(detector: Detector, **values: list[float]) -> Detector:
    """The detector with other values, one a chamber."""
    chambers = tuple(
        chamber.model_copy(update={name: value[c] for name, value in values.items()})
        for c, chamber in enumerate(detector.chambers)
    )
    return detector.model_copy(update={"chambers": chambers})


TRUE = changed(
    TELESCOPE,
    x_mm=[0.0, 0.0, -2.3, 4.1],
    tilt_deg=[0.0, 0.0, 0.3, -0.4],
    drift_velocity_um_per_ns=[55.0, 54.0, 56.0, 53.0],
    time_offset_ns=[85.0, 100.0, 92.0, 95.0],
)
WITHOUT = TRUE.model_copy(update={"scintillators": ()})


def frames_of(detector: Detector, **options: float) -> Frames:
    config = SimulationConfig(seed=3, rate_hz=5000, muon_rate_hz=250, **options)  # type: ignore[arg-type]
    words = np.concatenate(list(Simulation(config, detector).blocks()))
    builder = FrameBuilder(detector.boards)
    return Frames.join([builder.push(words), builder.finish()])


def converged(frames: Frames, detector: Detector) -> Calibration:
    for _ in range(8):
        catalogue = Catalogue(detector, muons=True)
        made = calibrate(catalogue, Reconstruction(catalogue)(frames).total)
        if made.moved(detector) < 1:
            return made
        detector = made.detector
    raise AssertionError("no end to it")


FRAMES = frames_of(WITHOUT, duration_s=100)


def test_a_calibration_finds_what_was_simulated() -> None:
    made = converged(frames_of(TRUE, duration_s=100), TELESCOPE)
    for row, true in zip(made.chambers, TRUE.chambers, strict=True):
        velocity, error = row.velocity_um_per_ns
        assert velocity == pytest.approx(true.drift_velocity_um_per_ns, rel=0.003)
        assert 0 < error < 0.05
        assert row.t_max_ns[0] == pytest.approx(21000 / velocity)
        assert row.offset_is_absolute
        assert row.offset_ns is not None
        assert row.offset_ns[0] == pytest.approx(true.time_offset_ns, abs=0.5)
        if row.number < 3:
            assert (row.x_mm, row.tilt_deg) == (None, None)
            continue
        assert row.x_mm is not None
        assert row.tilt_deg is not None
        assert row.x_mm[0] == pytest.approx(true.x_mm, abs=4 * row.x_mm[1])
        assert row.x_mm[1] < 0.2
        assert row.tilt_deg[0] == pytest.approx(true.tilt_deg, abs=4 * row.tilt_deg[1])


def test_without_a_scintillator_offsets_are_relative_and_that_is_said() -> None:
    start = changed(WITHOUT, time_offset_ns=[85.0, 93.0, 93.0, 93.0])
    made = converged(FRAMES, start)
    assert made.chambers[0].offset_ns is None
    assert not any(row.offset_is_absolute for row in made.chambers)
    for row, true in zip(made.chambers[1:], TRUE.chambers[1:], strict=True):
        assert row.offset_ns is not None
        assert row.offset_ns[0] == pytest.approx(true.time_offset_ns, abs=0.5)
    assert any("time offset of chamber 1, for lack of scintillator times" in remark for remark in made.remarks)


def test_heights_are_found_where_the_file_has_estimates() -> None:
    start = changed(WITHOUT, z_mm=[219.8, 977.3, 1050.0, 1819.8])
    start = start.model_copy(update={"estimated": ("chambers[2].z_mm", "chambers[2].x_mm")})
    made = converged(FRAMES, start)
    assert made.detector.chambers[2].z_mm == pytest.approx(1035.6, abs=3)
    assert made.detector.chambers[3].z_mm == 1819.8
    assert made.detector.estimated == ("chambers[2].z_mm",)


def test_too_little_data_is_refused_with_reasons() -> None:
    catalogue = Catalogue(TELESCOPE, muons=True)
    with pytest.raises(CalibrationError) as refused:
        calibrate(catalogue, catalogue.zeros())
    assert str(refused.value).splitlines() == [
        f"chamber {n}: found 0 segments with hits in all layers, expected at least 500" for n in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize("step", [0.01, 0.2, 0.7])
def test_the_core_of_a_normal_distribution_on_a_flat_ground(step: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.37, 1.0, 40_000), rng.uniform(-20, 20, 2000)])
    edges = np.arange(-20, 20 + step, step)
    counts, _ = np.histogram(values, edges)
    core = core_of((edges[1:] + edges[:-1]) / 2, counts)
    assert core is not None
    assert core.mean == pytest.approx(0.37, abs=5 * core.error)
    assert core.error == pytest.approx(1 / np.sqrt(40_000), rel=0.4)
    assert core.sigma == pytest.approx(1.0, rel=0.08)


def test_nothing_has_no_core() -> None:
    assert core_of(np.arange(5.0), np.array([0, 3, 3, 0, 0])) is None
