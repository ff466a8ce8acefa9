"""The compose file and Kubernetes' manifests, by the schemas that their makers publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import schemas

pytestmark = pytest.mark.skipif(
    not schemas.fetched(), reason="the published schemas are not here: python -m tools.schemas fetches them"
)


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load(schemas.COMPOSE_FILE.read_text("utf-8"))


def test_the_schemas_have_nothing_against_our_files(compose: Any) -> None:
    assert schemas.compose_faults(compose) == []
    assert len(schemas.MANIFESTS) == 4
    assert schemas.kubernetes_faults(schemas.MANIFESTS) == []


def test_the_schema_of_compose_finds_faults(compose: Any) -> None:
    compose["services"]["muonstream"]["readonly"] = True
    [fault] = schemas.compose_faults(compose)
    assert "'readonly' was unexpected" in fault
    assert fault.startswith("services.muonstream: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [("replicas: 1", "replica: 1"), ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: yes please")],
)
def test_the_schemas_of_kubernetes_find_faults(tmp_path: Path, old: str, new: str) -> None:
    text = schemas.MANIFESTS[0].read_text("utf-8")
    assert old in text
    (tmp_path / "dashboard.yaml").write_text(text.replace(old, new), "utf-8")
    assert schemas.kubernetes_faults([tmp_path / "dashboard.yaml"])
