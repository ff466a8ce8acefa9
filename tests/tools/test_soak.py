from __future__ import annotations

from pathlib import Path

import pytest

from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import Broker
from tools.soak import engines, soak
from tools.spark_cluster import Cluster


@pytest.mark.long
def test_a_cluster_of_two_workers_counts_as_process_does(
    spark_available: Path,
    broker: Broker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "words.dat"
    simulate_words(300_000, rate_hz=20_000, seed=6).tofile(file)
    with Cluster(tmp_path / "cluster", workers=2, memory_mib=1024) as cluster:
        name = "Spark, 2 workers"
        for variable, value in cluster.environment.items():
            monkeypatch.setenv(variable, value)
        assert soak(broker.address, [file], tmp_path, {name: engines(cluster.address)[name]}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:5] for line in lines[1:]] == [
        [form, "Spark,", "2", "workers"] for form in ("frames", "json")
    ]
    assert all("300,000" in line for line in lines[1:])
