from __future__ import annotations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.geometry import half_width_mm
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.acceptance import aperture_m2_sr, apertures_by_zenith, expected_azimuth, expected_zenith
from muonstream.muons.reconstruction import Reconstruction
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation, simulate_words

EDGES = np.arange(0.0, 91.0, 2.0)


def test_a_simulated_telescope_sees_the_expected_angles() -> None:
    detector = Detector.default()
    catalogue = Catalogue(detector, muons=True)
    words = simulate_words(500_000, detector, rate_hz=9000, muon_rate_hz=300, seed=2)
    builder = FrameBuilder(detector.boards)
    made = Reconstruction(catalogue)(Frames.join([builder.push(words), builder.finish()]))
    found = catalogue.view(made.total, "zenith")[1:-1]
    expected = expected_zenith(detector, EDGES)
    assert expected.sum() == pytest.approx(1)
    # five bins together; what is found wrongly or not at all is a few percent, most of it where muons are inclined
    for first in range(0, 20, 5):
        seen, wanted = found[first : first + 5].sum(), expected[first : first + 5].sum() * found.sum()
        assert seen == pytest.approx(wanted, abs=4 * np.sqrt(wanted) + 0.05 * found.sum())
    assert (found * EDGES[:-1]).sum() / found.sum() == pytest.approx((expected * EDGES[:-1]).sum(), abs=1.5)


def test_the_intensity_that_is_put_in_comes_back_at_each_angle() -> None:
    detector, edges = Detector.default(), np.arange(0.0, 41.0, 10.0)
    catalogue, duration_s = Catalogue(detector, muons=True), 60.0
    simulation = Simulation(
        SimulationConfig(
            seed=3,
            rate_hz=3000,
            muon_rate_hz=1e5,
            ancillary_hz=0,
            duration_s=duration_s,
            hit_efficiency=1.0,
            deltas=0.0,
            afterpulses=0.0,
        ),
        detector,
    )
    builder = FrameBuilder(detector.boards)
    parts = [builder.push(words) for words in simulation.blocks()]
    made = Reconstruction(catalogue)(Frames.join([*parts, builder.finish()]))
    found = catalogue.view(made.total, "zenith")[1:21].reshape(-1, 5).sum(axis=1)
    aperture, error = apertures_by_zenith(detector, edges)
    assert np.all(error < 0.02 * aperture)
    middle = np.radians(edges[:-1] + 5)
    share = found / (aperture * duration_s) / (simulation.vertical_intensity * np.cos(middle) ** 2)
    # a few percent of the muons are not found
    assert share == pytest.approx(np.full(4, 0.965), abs=0.03 + 3 / np.sqrt(found.min()))


def test_chambers_close_together_see_inclined_muons() -> None:
    detector = Detector.default()
    chambers = tuple(chamber.model_copy(update={"z_mm": 100.0 * i}) for i, chamber in enumerate(detector.chambers))
    near = expected_zenith(detector.model_copy(update={"chambers": chambers}), EDGES)
    far = expected_zenith(detector, EDGES)
    assert (near * EDGES[:-1]).sum() > (far * EDGES[:-1]).sum() + 5


def test_a_telescope_of_one_view_expects_no_muons_in_both() -> None:
    detector = Detector.default()
    chambers = tuple(chamber for chamber in detector.chambers if chamber.view == "x")
    assert expected_zenith(detector.model_copy(update={"chambers": chambers}), EDGES).sum() == 0


def test_azimuths_are_as_a_square_telescope_sees_them() -> None:
    edges = np.arange(0.0, 361.0, 45.0)
    expected = expected_azimuth(Detector.default(), edges)
    assert expected.sum() == pytest.approx(1)
    assert expected == pytest.approx(np.full(8, 1 / 8), abs=0.01)
    # chambers of view x stand the farther along x the lower they are: most muons go that way, which is 0 degrees
    detector = Detector.default()
    moved = tuple(
        one.model_copy(update={"x_mm": 0.3 * (1000 - one.z_mm) if one.view == "x" else one.x_mm})
        for one in detector.chambers
    )
    there = expected_azimuth(detector.model_copy(update={"chambers": moved}), edges)
    assert there[[0, 7]].sum() > there[[3, 4]].sum() + 0.2


def test_the_aperture_of_chambers_on_top_of_each_other_is_their_area() -> None:
    lower, upper = two = [
        chamber.model_copy(update={"z_mm": z_mm, "view": view, "x_mm": 0.0})
        for chamber, z_mm, view in zip(Detector.default().chambers[:2], (0.0, 60.0), ("x", "y"), strict=True)
    ]
    near = Detector.default().model_copy(update={"chambers": tuple(two)})
    area_m2 = (2 * half_width_mm(lower) / 1000) ** 2
    assert 0.8 < aperture_m2_sr(near) / (np.pi / 2 * area_m2) < 1
    far = near.model_copy(update={"chambers": (lower, upper.model_copy(update={"z_mm": 6000.0}))})
    # small and far apart: the product of the areas by the distance squared
    assert aperture_m2_sr(far) == pytest.approx(area_m2**2 / 36, rel=0.1)
