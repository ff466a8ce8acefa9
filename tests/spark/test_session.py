from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import muonstream
from muonstream.cli.app import app
from muonstream.commands.spark import sizes
from muonstream.spark import session as spark_session
from muonstream.spark.package import package_zip
from muonstream.spark.session import (
    CONNECTOR,
    JARS_VARIABLE,
    QUICK_COMPILER,
    SECRET,
    SECRET_VARIABLE,
    SparkError,
    SparkSettings,
    check_java,
    connector,
    first_line,
    made_conf,
    read_conf,
)

pyspark = pytest.importorskip("pyspark")
RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("1 2 ERROR Master: no room\n", "no room"),
        ("Unrecognized option\nError: Could not create the Java Virtual Machine.\nbye\n", "Could not create the Java"),
        ("first\nInvalid initial heap size\n", "Invalid initial heap size"),
        ("", "JAVA_GATEWAY_EXITED"),
    ],
)
def test_why_java_ended_is_taken_from_its_log(tmp_path: Path, said: str, found: str) -> None:
    log = tmp_path / "spark.log"
    log.write_text("before\n" + said)
    reason = spark_session._reason(RuntimeError("[JAVA_GATEWAY_EXITED] Java"), log, len("before\n"))
    assert reason.startswith("Spark does not start: ")
    assert found in reason
    assert reason.endswith(f"; see {log}")


def test_settings_are_read_and_others_refused() -> None:
    assert read_conf(["spark.a.b=1", "spark.c=x=y"]) == {"spark.a.b": "1", "spark.c": "x=y"}
    for wrong in ("spark.a", "a=1", "=1", "spark.a b=1"):
        with pytest.raises(SparkError, match="--spark-conf: found"):
            read_conf([wrong])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--engine", "spark", "--master", "local[x]"], "--master: found 'local[x]', expected local[N], "),
        (["--engine", "spark", "--trigger", "5 days"], "--trigger: found '5 days', expected 0s to 24h, "),
        (["--engine", "spark", "--trigger", "-1s"], "--trigger: found '-1s', expected 0s to 24h, "),
        (["--engine", "spark", "--spark-conf", "ui=1"], "--spark-conf: found 'ui=1', expected KEY=VALUE "),
        (["--master", "local[2]"], "--master: found --engine local, allowed with --engine spark only"),
        (["--trigger", "1s"], "--trigger: found --engine local, allowed with --engine spark only"),
        (["--checkpoint", "x"], "--checkpoint: found --engine local, allowed with --engine spark only"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: list[str], line: str) -> None:
    refused = RUNNER.invoke(app, ["run", "kafka://127.0.0.1:1/frames", "--no-page", *options])
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"muonstream: {line}")
    assert len(refused.stderr.splitlines()) == 1


def test_spark_needs_a_topic() -> None:
    refused = RUNNER.invoke(app, ["run", "sim:", "--engine", "spark"])
    assert refused.stderr == "muonstream: --engine spark: found sim:, expected a topic: kafka://host:port/topic\n"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_session, "PACKAGES", ("pyspark", "a-package-that-nobody-has"))
    refused = RUNNER.invoke(app, ["run", "kafka://127.0.0.1:1/frames", "--engine", "spark", "--no-page"])
    assert (refused.exit_code, refused.stderr) == (
        1,
        "muonstream: --engine spark needs the extra: pip install '.[spark]'\n",
    )


def fake_java(folder: Path, banner: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({banner!r})\n", "utf-8")
    java.chmod(0o755)
    return folder


@pytest.mark.skipif(os.name != "posix", reason="makes a script that is a program")
@pytest.mark.parametrize(
    ("banner", "found"),
    [('openjdk version "11.0.2"\n', "11"), ('java version "1.8.0_392"\n', "8"), ("no java here\n", "one without")],
)
def test_a_java_that_is_too_old_is_named(
    banner: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", banner)))
    with pytest.raises(SparkError, match=rf"^pyspark {pyspark.__version__} needs Java 17 or newer; found {found}"):
        check_java()


def test_no_java_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SparkError, match=r"found none \(JAVA_HOME is "):
        check_java()


def test_the_connector_is_taken_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JARS_VARIABLE, str(tmp_path))
    with pytest.raises(SparkError, match=f"found no {CONNECTOR}-{pyspark.__version__}.jar in "):
        connector({})
    right = tmp_path / f"{CONNECTOR}-{pyspark.__version__}.jar"
    right.touch()
    assert connector({"spark.jars": "mine.jar"}) == {"spark.jars": f"mine.jar,{right}"}
    (tmp_path / f"{CONNECTOR}-3.5.0.jar").touch()
    with pytest.raises(SparkError, match=f"found {CONNECTOR} 3.5.0, expected {pyspark.__version__}, which is pyspark"):
        connector({})


def test_the_connector_is_fetched_in_pysparks_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JARS_VARIABLE, raising=False)
    ours = f"org.apache.spark:{CONNECTOR}:{pyspark.__version__}"
    assert connector({})["spark.jars.packages"] == ours
    assert connector({"spark.jars.packages": "a:b:1"})["spark.jars.packages"] == f"a:b:1,{ours}"
    assert connector({"spark.jars.excludes": "a:b"})["spark.jars.excludes"].startswith("a:b,org.scala-lang:*,")
    assert connector({"spark.jars.packages": ours}) == {}
    with pytest.raises(SparkError, match=f"--spark-conf: found {CONNECTOR} 3.5.1"):
        connector({"spark.jars.packages": f"org.apache.spark:{CONNECTOR}:3.5.1"})


def test_our_package_travels_without_the_page(tmp_path: Path) -> None:
    with zipfile.ZipFile(package_zip(tmp_path)) as archive:
        names = set(archive.namelist())
    assert {
        "muonstream/__init__.py",
        "muonstream/spark/task.py",
        "muonstream/detector/telescope.toml",
    } <= names
    assert not [name for name in names if name.startswith("muonstream/dashboard") or "__pycache__" in name]
    assert Path(muonstream.__file__).parent.name == "muonstream"


def test_errors_of_spark_become_one_line() -> None:
    python = 'Job aborted.\nTraceback (most recent call last):\n  File "x"\nValueError: found 3\n\n\tat org.apache'
    assert first_line(python) == "ValueError: found 3"
    java = "An error occurred.\n: org.apache.spark.SparkException: All masters are unresponsive\n\tat x"
    assert first_line(java) == "SparkException: All masters are unresponsive"
    assert first_line("") == "no reason given"


def test_java_is_given_what_suits_the_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JARS_VARIABLE, "")
    driver, executor = "spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"
    loose = made_conf(SparkSettings("local[2]"), tmp_path)
    assert QUICK_COMPILER not in loose[driver]
    assert "-Xmn1300m" in loose[driver]
    assert "-Xmn650m" in loose[executor]
    own = {"spark.driver.memory": "8g", driver: "-Dmine=1"}
    framed = made_conf(SparkSettings("local[2]", own, large_messages=True), tmp_path)
    assert QUICK_COMPILER in framed[driver]
    assert QUICK_COMPILER in framed[executor]
    # whoever says how much memory there is decides how it is divided
    assert "-Xmn" not in framed[driver]
    assert "-Xmn650m" in framed[executor]
    assert framed[driver].endswith("-Dmine=1")


def test_others_on_the_machine_do_not_know_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JARS_VARIABLE, "")
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    first, second = (made_conf(SparkSettings("local[2]"), tmp_path) for _ in range(2))
    assert first["spark.authenticate"] == second["spark.authenticate"] == "true"
    assert len(first[SECRET]) == 64
    assert first["spark.ui.killEnabled"] == "false"
    assert first[SECRET] != second[SECRET]
    # a cluster has its own, or none
    assert not made_conf(SparkSettings("spark://here:7077"), tmp_path).keys() & {"spark.authenticate", SECRET}
    monkeypatch.setenv(SECRET_VARIABLE, "known to the cluster")
    of_cluster = made_conf(SparkSettings("spark://here:7077"), tmp_path)
    assert (of_cluster["spark.authenticate"], of_cluster[SECRET]) == ("true", "known to the cluster")


@pytest.mark.parametrize(
    ("size", "most", "found"),
    [
        (0.0, None, (2_000_000, 1000)),
        (1.0, None, (2_000_000, 50_000)),
        (1.0, 500, (500, 50_000)),
        (460.0, None, (217_391, 870)),
        (45_000.0, None, (2222, 9)),
        (45_000.0, 10, (1, 9)),
        (900_000.0, None, (111, 1)),
    ],
)
def test_batches_are_sized_by_what_messages_hold(size: float, most: int | None, found: tuple[int, int]) -> None:
    assert sizes(size, most) == found
