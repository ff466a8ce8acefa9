"""A detector file that is edited keeps what its author wrote."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from muonstream.detector.edit import EditError, edited_toml
from muonstream.detector.file import detector_toml, source_text
from muonstream.detector.model import Detector, parse
from muonstream.detector.relation import DriftRelation

OLD = """# our telescope, built by Anna
name = "telescope"   # as on its label
boards = [0, 1]
scintillators = [{ board = 1, channel = 128, name = "scintillator" }]

[[chambers]]  # the lowest
number = 1
name = "Chamber 1"
board = 0
first_channel = 0
layers = 4
cells_per_layer = 16
layer_of_channel = [0, 2, 1, 3]
layer_shift_mm = [0, 21, 0, 21]
cell_width_mm = 42
cell_height_mm = 13
time_offset_ns = 93.9   # cables of 2024
drift_velocity_um_per_ns = 53.8
t_max_ns = 390
z_mm = 219.8

# moved in May
[[chambers]]
number = 2
name = "Chamber 2"
board = 0
first_channel = 64
layers = 4
cells_per_layer = 16
layer_of_channel = [0, 2, 1, 3]
layer_shift_mm = [0, 21, 0, 21]
cell_width_mm = 42
cell_height_mm = 13
drift_velocity_um_per_ns = 53.8
z_mm = 500

[thresholds]
min_hits = 50 # patient
"""


def moved(detector: Detector, **changed: Any) -> Detector:
    first, *others = detector.chambers
    return detector.model_copy(update={"chambers": (first.model_copy(update=changed), *others)})


def test_only_the_new_numbers_change() -> None:
    pytest.importorskip("tomlkit", reason="needs the extra toml")
    new = moved(parse(OLD, "old"), time_offset_ns=94.1234567, tilt_deg=0.5)
    text = edited_toml(OLD, new, remarks=["Calibrated\ntoday."], chamber_remarks={2: ["as before"]})
    expected = OLD.replace("= 93.9   #", "= 94.123457   #").replace("z_mm = 219.8\n", "z_mm = 219.8\ntilt_deg = 0.5\n")
    expected = expected.replace("# moved in May\n", "# moved in May\n# as before\n")
    assert text == "# Calibrated\n# today.\n" + expected
    assert parse(text, "new").thresholds.min_hits == 50


def test_remarks_of_an_earlier_calibration_are_replaced() -> None:
    pytest.importorskip("tomlkit", reason="needs the extra toml")
    before, after = (
        [f"drift velocity {v} ± 0.1 um/ns, time offset held", f"place {v} mm, tilt held, from 7 pairs"] for v in (1, 2)
    )
    detector = parse(OLD, "old")
    once = edited_toml(OLD, detector, chamber_remarks={1: before, 2: before})
    assert edited_toml(once, detector, chamber_remarks={1: after, 2: after}) == edited_toml(
        OLD, detector, chamber_remarks={1: after, 2: after}
    )


@pytest.mark.parametrize("name", Detector.bundled())
def test_a_drift_relation_and_cell_offsets_are_written_where_there_were_none(name: str) -> None:
    before = Detector.load(name)
    first, *others = before.chambers
    relation = DriftRelation(
        time_ns=(0.0, 200.0, 390.0), add_mm=(0.0, 0.1, 0.0), add_tan_mm=(0.0, -0.05, 0.0), t0_tan_ns=2.5
    )
    offsets = tuple(0.25 * (cell % 3) for cell in range(first.cells))
    changed = first.model_copy(update={"drift": relation, "cell_time_offset_ns": offsets})
    detector = before.model_copy(update={"chambers": (changed, *others)})
    made = parse(edited_toml(source_text(name), detector), "new")
    assert made.chambers == detector.chambers
    # and changed again, where there is one
    other = changed.model_copy(update={"drift": replace(relation, t0_tan_ns=3.5)})
    again = edited_toml(detector_toml(detector), before.model_copy(update={"chambers": (other, *others)}))
    assert parse(again, "again").chambers[0].drift == other.drift


@pytest.mark.parametrize("name", Detector.bundled())
def test_bundled_files_can_be_edited(name: str) -> None:
    pytest.importorskip("tomlkit", reason="needs the extra toml")
    text = source_text(name)
    new = moved(Detector.load(name), x_mm=1.5, drift_velocity_um_per_ns=51.25)
    made = parse(edited_toml(text, new), "new")
    assert made.chambers == new.chambers
    assert edited_toml(text, Detector.load(name)) == text


def test_chambers_in_one_line_have_their_remarks_at_the_beginning() -> None:
    pytest.importorskip("tomlkit", reason="needs the extra toml")
    detector = parse(OLD, "old")
    keys = "number = 1, name = 'A', board = 0, first_channel = 0, layers = 4, cells_per_layer = 16, z_mm = 1"
    layers = "layer_of_channel = [0, 2, 1, 3], layer_shift_mm = [0, 21, 0, 21]"
    more = "cell_width_mm = 42, cell_height_mm = 13, drift_velocity_um_per_ns = 53.8"
    text = f"name = 'one'\nchambers = [{{ {keys}, {layers}, {more} }}]\n"
    new = moved(parse(text, "one"), z_mm=2.0)
    assert edited_toml(text, new, chamber_remarks={1: ["up"]}) == "# up\n" + text.replace("z_mm = 1,", "z_mm = 2,")
    with pytest.raises(EditError, match="the file has other chambers"):
        edited_toml(text, detector)


def test_a_file_that_is_written_in_an_odd_way_is_refused_in_one_line() -> None:
    pytest.importorskip("tomlkit", reason="needs the extra toml")
    odd = re.sub(r"(?m)^(\w+_(?:mm|ns)) =", r'"\1" =', OLD)
    with pytest.raises(EditError, match="found no line of a chamber such as 'z_mm = 0'"):
        edited_toml(odd, parse(odd, "odd"))


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(EditError, match=r"comments are kept by the extra toml: pip install 'muonstream\[toml\]'"):
        edited_toml(OLD, parse(OLD, "old"))
    assert detector_toml(parse(OLD, "old"))  # which needs nothing
