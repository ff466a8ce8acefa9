"""No password, token or Kafka property is in what is kept, printed or logged, wherever it was given."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import muonstream

from muonstream.archive.archive import Archive
from muonstream.simulation.telescope import simulate_words

fsspec = pytest.importorskip("fsspec")
SECRET = "S3cr3t-of-the-lab"
ADDRESSES = {
    "a login": f"memory://me:{SECRET}@bucket/cosmics.dat",
    "a key of S3, with slashes": f"memory://AKIA7:ab/{SECRET}/cd@bucket/cosmics.dat",
    "a login, and a name that only counts": f"memory://me:{SECRET}@data_000.dat",
    "a signed address": f"memory://bucket/cosmics.dat?X-Amz-Expires=60&X-Amz-Signature={SECRET}",
    "a token": f"memory://bucket/cosmics.dat?token={SECRET}",
    "one address in another": f"simplecache::memory://me:{SECRET}@bucket/cosmics.dat",
}
COMMANDS: dict[str, list[str]] = {
    "process": ["--reconstruct", "--verdicts", "--archive", "archive", "--report", "reports", "--summary", "made.json"],
    "run": ["--no-page", "--archive", "archive", "--report", "reports", "--summary", "made.json"],
    "inspect": ["--json"],
    "export": ["--output", "hits.csv"],
}


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system in memory that takes any name, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    memory = fsspec.filesystem("memory")
    yield lambda address, data: memory.pipe(address.rpartition("memory://")[2], data)
    memory.store.clear()


def data(n: int = 20_000) -> bytes:
    return np.asarray(simulate_words(n), dtype="<u8").tobytes()


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The content of all files, those of zips too."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield str(path), path.name.encode() + content
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(io.BytesIO(content)) as opened:
                    for name in opened.namelist():
                        yield f"{path}: {name}", opened.read(name)


def check_nothing_of_it_is_left(folder: Path, *printed: str) -> None:
    for text in printed:
        assert SECRET not in text
    for name, content in everything(folder):
        assert SECRET.encode() not in content, name


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=list(ADDRESSES))
def test_an_address_of_words_is_kept_without_its_secret(
    words: Any, tmp_path: Path, address: str, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    words(address, data() + b"odd")
    done = muonstream(command, address, *COMMANDS[command])
    assert done.returncode == 0, done.stderr
    if "--archive" in COMMANDS[command]:
        (row,) = Archive(tmp_path / "archive").rows()
        assert row.source.startswith(("memory://", "simplecache::memory://"))
        assert len(list((tmp_path / "reports").glob("*.html"))) == 1
    else:
        assert "memory://" in done.stdout or any(b"memory://" in content for _, content in everything(tmp_path))
    check_nothing_of_it_is_left(tmp_path, done.stdout, done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["plain", "stamped", "json"])
def test_a_failure_does_not_show_it_either(words: Any, tmp_path: Path, command: str, form: str) -> None:
    more = [] if command == "inspect" else ["--log-format", form, "--log-level", "debug"]
    done = muonstream(command, f"memory://me:{SECRET}@bucket/none.dat?token={SECRET}", *COMMANDS[command], *more)
    assert done.returncode == 1
    assert "none.dat" in done.stderr
    check_nothing_of_it_is_left(tmp_path, done.stdout, done.stderr)


def test_where_people_are_told_and_how_kafka_is_reached_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens at port 1: each attempt fails, and what is said of it names no secret."""
    pytest.importorskip("apprise")
    monkeypatch.chdir(tmp_path)
    config, properties = tmp_path / "run.toml", tmp_path.parent / f"{tmp_path.name}.properties"
    properties.write_text(f"sasl.username=me\nsasl.password={SECRET}\n", "utf-8")
    monkeypatch.setenv("MUONSTREAM_TOKEN", SECRET)
    monkeypatch.setenv("MUONSTREAM_OPERATOR_TOKEN", f"{SECRET}-2")
    config.write_text('archive = "archive"\nreport = "reports"\nport = 0\nstay = false\nfollow = false\n', "utf-8")
    source = str(tmp_path / "noisy.dat")
    np.asarray(simulate_words(60_000, hot_cell=(2, 17)), dtype="<u8").tofile(source)
    options = [
        *("--webhook", f"http://me:{SECRET}@127.0.0.1:1/{SECRET}"),
        *("--notify", f"json://me:{SECRET}@127.0.0.1:1/{SECRET}"),
        *("--notify-link", f"https://wall/?token={SECRET}"),
        *("--config", str(config)),
    ]
    done = muonstream("run", source, *options)
    assert done.returncode == 0, done.stderr
    assert "webhook" in done.stderr.lower()
    shown = muonstream("config", "show", "run", source, *options, "--kafka-properties", str(properties))
    assert shown.returncode == 0, shown.stderr
    assert "not shown" in shown.stdout
    topic = ["kafka://127.0.0.1:1/frames", "--archive", "archive", "--kafka-timeout", "0.1", "--no-page"]
    failed = muonstream("run", *topic, "--kafka-properties", str(properties))
    assert failed.returncode == 1
    check_nothing_of_it_is_left(tmp_path, done.stdout, done.stderr, shown.stdout, failed.stdout, failed.stderr)


@pytest.mark.parametrize(
    "line",
    [f"notify = {{url = 'mailto://me:{SECRET}@h'}}", f"notify = [['slack://{SECRET}']]", f"notifyy = '{SECRET}'"],
)
def test_a_wrong_line_of_a_configuration_does_not_show_it(tmp_path: Path, line: str) -> None:
    config = tmp_path / "run.toml"
    config.write_text(line, "utf-8")
    done = muonstream("run", "sim:", "--config", str(config))
    assert done.returncode == 2
    assert f"{config}: not" in done.stderr
    assert SECRET not in done.stderr
