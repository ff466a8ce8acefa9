"""The fine calibration: what was put into a simulation comes out, and where there is nothing, nothing is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.geometry import depths_mm
from muonstream.detector.model import Detector
from muonstream.detector.relation import DriftRelation
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.fine import core_of_misfit, fine
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.refinement import Look, Refined, calibrated, slope_of
from muonstream.muons.sample import Corrections, Samples, refit, sample_of, with_gauge
from muonstream.muons.segments import SegmentFinder
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation

PLAIN = Detector.default()
RELATION = DriftRelation(
    time_ns=(0.0, 24.0, 60.0, 110.0, 200.0, 300.0, 385.0),
    add_mm=(0.05, 0.1, 0.02, -0.03, 0.04, 0.15, -0.38),
    add_tan_mm=(0.0, -0.5, 0.55, 0.55, -0.15, -0.3, -0.2),
    t0_tan_ns=6.0,
)
SHIFTS = ((0.1, -0.12, 0.0, 0.1), (0.0, 0.1, -0.1, 0.1), (-0.1, 0.1, 0.1, -0.1), (0.05, -0.1, -0.1, 0.1))


def true_detector() -> Detector:
    rng = np.random.default_rng(5)
    chambers = tuple(
        chamber.model_copy(
            update={
                "drift": RELATION,
                "layer_shift_mm": tuple(np.add(chamber.layer_shift_mm, shift).tolist()),
                "cell_time_offset_ns": tuple(rng.normal(0, 3, chamber.cells).tolist()),
            }
        )
        for chamber, shift in zip(PLAIN.chambers, SHIFTS, strict=True)
    )
    return PLAIN.model_copy(update={"chambers": chambers})


def simulated(detector: Detector, seed: int) -> Frames:
    config = SimulationConfig(seed=seed, rate_hz=3000, muon_rate_hz=200, duration_s=25, drift_smearing_ns=4.4)
    builder = FrameBuilder(detector.boards)
    words = np.concatenate(list(Simulation(config, detector).blocks()))
    return Frames.join([builder.push(words), builder.finish()])


def calibration_of(frames: Frames) -> Refined:
    def look(detector: Detector) -> Look:
        samples, catalogue = Samples(detector), Catalogue(detector, muons=True)
        reconstruct = Reconstruction(catalogue)
        reconstruct.keep = samples.keep
        return Look(catalogue, reconstruct(frames).total, samples.joined())

    return calibrated(look, PLAIN)


def test_what_was_put_in_comes_out() -> None:
    true = true_detector()
    made = calibration_of(simulated(true, 1))
    assert made.before is not None
    assert made.after is not None
    # 4.4 ns and a TDC count are 237 um
    assert made.before.sigma > 0.32
    assert made.after.sigma < 0.27
    cells = []
    for found, chamber in zip(made.calibration.detector.chambers, true.chambers, strict=True):
        off = np.subtract(found.layer_shift_mm, chamber.layer_shift_mm)
        design = np.stack([np.ones(4), depths_mm(chamber)], axis=1)
        off -= design @ np.linalg.lstsq(design, off, rcond=None)[0]
        assert np.sqrt((off**2).mean()) < 0.03
        # what is not observable stays as it was
        moved = np.subtract(found.layer_shift_mm, PLAIN.chambers[0].layer_shift_mm)
        assert design.T @ moved == pytest.approx([0.0, 0.0], abs=0.01)
        assert found.drift is not None
        assert found.drift.t0_tan_ns != 0
        cells.append(np.subtract(found.cell_time_offset_ns, chamber.cell_time_offset_ns))
        assert found.drift_velocity_um_per_ns == pytest.approx(53.8, rel=0.01)
    assert np.std(cells) < 1.5
    assert any("held: mean and tilt of the layers" in remark for remark in made.calibration.remarks)

    # with that, a muon's t0 does not depend on its slope
    again = SegmentFinder(made.calibration.detector)(simulated(true, 2))
    s = again.segments
    passed = np.flatnonzero((s.hits == 4) & np.isfinite(again.passage_ns))
    slope, error = slope_of(np.abs(s.tan[passed]), s.t0_ns[passed] - again.passage_ns[passed], s.chamber[passed])
    # 6 ns without
    assert abs(slope) < 2.0 + 3 * error


def test_where_there_is_nothing_little_is_found_and_no_time_of_a_cell() -> None:
    sample = sample_of(PLAIN, SegmentFinder(PLAIN)(simulated(PLAIN, 3)))
    found = fine(sample, PLAIN, 390.0)
    assert not found.has("cells")
    assert not found.has("layers")
    before, after = core_of_misfit(found.before_mm), core_of_misfit(found.after_mm)
    assert before is not None
    assert after is not None
    assert after.sigma < before.sigma + 0.005


def test_a_sample_fits_its_segments_as_the_reconstruction_does() -> None:
    true = true_detector()
    config = SimulationConfig(seed=9, rate_hz=3000, muon_rate_hz=200, duration_s=3)
    builder = FrameBuilder(true.boards)
    frames = Frames.join([builder.push(np.concatenate(list(Simulation(config, true).blocks()))), builder.finish()])
    found = SegmentFinder(true)(frames)
    sample = sample_of(true, found)
    full = found.segments.chosen(found.segments.hits == 4)
    corrections = made_of(true)
    # wires are by the file already
    fitted = refit(sample, corrections)
    misfit = (sample.normal * full.residual_mm[:, :4]).sum(axis=1)
    flat = np.abs(full.tan) < 1
    assert fitted.misfit_mm[flat] == pytest.approx(misfit[flat], abs=0.08)
    assert np.median(np.abs(fitted.misfit_mm - misfit)) < 0.002
    assert np.median(np.abs(fitted.tan - full.tan)) < 1e-4
    # a constant and a slope of what is added move t0 and the velocity alone
    knots = corrections.knots_ns
    changed = replace(corrections, add_mm=corrections.add_mm + 0.1 + 0.001 * knots)
    again, slope = with_gauge(changed, fitted.drift_ns)
    before, slope_before = with_gauge(corrections, fitted.drift_ns)
    assert slope - slope_before == pytest.approx(0.001, abs=1e-9)
    assert again.add_mm == pytest.approx(before.add_mm, abs=1e-9)


def made_of(detector: Detector) -> Corrections:
    return Corrections(
        np.asarray(RELATION.time_ns),
        np.asarray(RELATION.add_mm),
        np.asarray(RELATION.add_tan_mm),
        np.zeros((4, 4)),
        np.asarray([chamber.cell_time_offset_ns for chamber in detector.chambers]),
    )


def test_samples_are_bounded_and_what_is_left_out_is_counted() -> None:
    frames = simulated(PLAIN, 4)
    samples = Samples(PLAIN, most=100)
    for part in frames.split(20_000):
        samples.keep(SegmentFinder(PLAIN)(part))
    everything = sample_of(PLAIN, SegmentFinder(PLAIN)(frames))
    assert len(samples.joined()) + samples.left_out == len(everything)
    assert samples.left_out > 0


def test_no_segments_make_an_empty_sample() -> None:
    assert len(Samples(PLAIN).joined()) == 0
