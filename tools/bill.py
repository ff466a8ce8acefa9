"""The bill of materials (CycloneDX): muonstream's wheel and what it needs at run time, with versions and licences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any, Final

from packaging.requirements import Requirement

EXTRAS: Final = ("hist", "kafka", "notify", "parquet", "remote", "spark", "toml", "zstd")
"""What a wheel can be installed with."""


def canonical(name: str) -> str:
    """A project's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(dist: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in dist.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def closure(name: str, extras: Iterable[str] = ()) -> tuple[dict[str, Distribution], dict[str, set[str]], set[str]]:
    """What a project needs, itself among it, as installed here; who needs what; and what is not installed."""
    found: dict[str, Distribution] = {}
    edges: dict[str, set[str]] = {}
    missing: set[str] = set()
    waiting = [(canonical(name), frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            dist = found.setdefault(one[0], distribution(one[0]))
        except PackageNotFoundError:
            missing.add(one[0])
            continue
        for requirement in _needed(dist, one[1]):
            needed = canonical(requirement.name)
            edges.setdefault(one[0], set()).add(needed)
            waiting.append((needed, frozenset(requirement.extras)))
    return found, edges, missing


def _field(dist: Distribution, name: str) -> str:
    """A field of the metadata, "" where it is not given."""
    return str(dist.metadata[name]) if name in dist.metadata else ""


def licence(dist: Distribution) -> str:
    """The licence that a distribution names: an expression, else a short text, else its classifiers; "" for none."""
    if expression := _field(dist, "License-Expression"):
        return expression
    classes = [
        text.rpartition(" :: ")[2]
        for text in dist.metadata.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    short = _field(dist, "License").strip()
    if short and "\n" not in short and len(short) < 60:
        return short
    return " AND ".join(classes)


def bill(name: str = "muonstream", extras: Iterable[str] = EXTRAS) -> dict[str, Any]:
    """The CycloneDX 1.6 document, plain types; it has no time and no serial number, so equal packages give equal bytes.

    Raises ValueError when something of it is not installed here.
    """
    found, edges, missing = closure(name, extras)
    if missing:
        raise ValueError(f"the bill of {name} needs all that it names installed here: {', '.join(sorted(missing))}")

    def reference(key: str) -> str:
        return f"pkg:pypi/{key}@{found[key].version}"

    def component(key: str, kind: str) -> dict[str, Any]:
        text = licence(found[key])
        licences = [{"license": {"name": text}}] if text else []
        ref = reference(key)
        made = {"type": kind, "bom-ref": ref, "name": key, "version": found[key].version, "purl": ref}
        return {**made, "licenses": licences} if licences else made

    own = canonical(name)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(own, "application")},
        "components": [component(key, "library") for key in sorted(found) if key != own],
        "dependencies": [
            {"ref": reference(key), "dependsOn": sorted(reference(needed) for needed in edges.get(key, ()))}
            for key in sorted(found)
        ],
    }


def licences(document: dict[str, Any]) -> list[str]:
    """A line for each component of a bill: name, version, licence."""
    lines = []
    for one in document["components"]:
        said = [entry["license"]["name"] for entry in one.get("licenses", ())]
        lines.append(f"{one['name']} {one['version']}: {said[0] if said else 'says none'}")
    return lines
