from __future__ import annotations

from pathlib import Path

import pytest

from tools.machine import (
    CHROMIUM_VARIABLE,
    HEADLESS,
    find_apache,
    find_caddy,
    find_chromium,
    find_java,
    find_maven,
    find_nginx,
    in_ci,
    java_version,
)


def executable(path: Path, script: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_java_version_is_read_from_its_banner(banner: str, version: int | None) -> None:
    assert java_version(banner) == version


@pytest.mark.parametrize(("version", "suits"), [("11.0.2", False), ("17.0.1", True), ("21", True)])
def test_java_must_be_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, suits: bool) -> None:
    java = executable(tmp_path / "bin" / "java", f"echo 'openjdk version \"{version}\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == (java if suits else None)


def test_the_browser_that_the_environment_names_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = executable(tmp_path / "chromium")
    named = executable(tmp_path / "named" / "my-browser")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(CHROMIUM_VARIABLE, raising=False)
    assert find_chromium() == found
    headless = executable(tmp_path / HEADLESS)
    assert find_chromium() == headless
    monkeypatch.setenv(CHROMIUM_VARIABLE, str(named))
    assert find_chromium() == named


def test_a_named_browser_that_is_not_there_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "chromium")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(CHROMIUM_VARIABLE, str(tmp_path / "none"))
    assert find_chromium() is None


@pytest.mark.parametrize(("value", "is_ci"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_ci_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, value: str, is_ci: bool) -> None:
    monkeypatch.setenv("CI", value)
    assert in_ci() is is_ci


def test_maven_is_the_one_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_maven() is None
    maven = executable(tmp_path / "mvn")
    assert find_maven() == maven


def test_servers_are_found_where_debian_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tools.machine.SERVER_FOLDERS", (str(tmp_path / "sbin"),))
    assert (find_nginx(), find_apache()) == (None, None)
    elsewhere = executable(tmp_path / "sbin" / "nginx")
    assert find_nginx() == elsewhere
    assert (find_apache(), find_caddy()) == (None, None)
    on_path = executable(tmp_path / "nginx")
    assert find_nginx() == on_path
