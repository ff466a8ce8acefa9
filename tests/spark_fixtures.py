"""Spark itself for the tests: one session for all that can share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka_fixtures import lacking

from tools.maven import MavenError
from tools.spark_jars import fetch


@pytest.fixture(scope="session")
def spark_available(kafka_available: None) -> Iterator[Path]:
    """pyspark and the connector's jars are there, and the environment names them; without them the test is skipped."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        lacking("needs pyspark: pip install '.[spark]'")
    try:
        jars = fetch()
    except MavenError as error:
        lacking(str(error))
        raise
    from muonstream.spark.session import JARS_VARIABLE

    before = os.environ.get(JARS_VARIABLE)
    os.environ[JARS_VARIABLE] = str(jars)
    yield jars
    if before is None:
        del os.environ[JARS_VARIABLE]
    else:
        os.environ[JARS_VARIABLE] = before


@pytest.fixture(scope="session")
def spark(spark_available: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session of Spark, local[2], for all tests."""
    from muonstream.spark.session import SparkSettings, spark_session

    log = tmp_path_factory.mktemp("spark") / "spark.log"
    with spark_session(SparkSettings("local[2]", log=log)) as session:
        yield session
