from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tools.artefacts import SUMS, write
from tools.bill import bill, canonical, licences


def test_the_bill_has_what_the_wheel_needs_with_versions_and_licences() -> None:
    document = bill(extras=())
    names = {one["name"]: one for one in document["components"]}
    assert {"numpy", "numba", "llvmlite", "starlette", "bokeh"} <= names.keys()
    assert "pytest" not in names
    assert document["metadata"]["component"]["name"] == "muonstream"
    assert names["numba"]["purl"] == f"pkg:pypi/numba@{names['numba']['version']}"
    references = {one["bom-ref"] for one in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    assert {entry["ref"] for entry in document["dependencies"]} == references
    assert all(needed in references for entry in document["dependencies"] for needed in entry["dependsOn"])
    assert [line for line in licences(document) if line.endswith("says none")] == []
    assert bill(extras=()) == document


def test_a_bill_of_what_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="not-a-project"):
        bill("not-a-project")


def test_names_are_compared_as_registries_do() -> None:
    assert canonical("Typing_Extensions.x") == "typing-extensions-x"


def test_check_sums_are_of_all_files(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "b": b"2"})
    lines = (tmp_path / SUMS).read_text().splitlines()
    assert lines == [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in (("a", b"1"), ("b", b"2"))]
