"""Spark's connector to Kafka, of pyspark's version: fetched by Maven, for machines and tests that are offline later.

python -m tools.spark_jars      fetch it and print its folder, for MUONSTREAM_SPARK_JARS
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tools.maven import MavenError, fetched

ROOT: Final = Path(__file__).resolve().parents[1]
POM: Final = ROOT / "tools" / "spark" / "pom.xml"
HOME: Final = ROOT / ".spark"
"""Where it is kept; git ignores it."""


def fetch() -> Path:
    """The folder of the connector's jars. Raises MavenError."""
    return fetched(POM, HOME, "Spark's connector to Kafka")


if __name__ == "__main__":
    try:
        print(fetch())
    except MavenError as error:
        sys.exit(f"spark: {error}")
