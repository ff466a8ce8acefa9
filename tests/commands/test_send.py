"""Words from program to program: what `run` counts of a ring or a connection is what `process` counts of the file."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, as_options, muonstream

from muonstream.simulation.telescope import simulate_words

WRITER = Path(__file__).parents[2] / "examples" / "ring_writer.c"
WORDS = 150_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "words.dat"
    simulate_words(WORDS, rate_hz=1e5).tofile(path)
    return path


def counts(path: Path) -> dict[str, Any]:
    summary = json.loads(path.read_text())
    return {key: summary[key] for key in ("account", "chambers", "scintillator", "active_cells") if key in summary}


def run_beside(source: str, summary: Path, *sender: str, stdin: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a source in one process, and a sender in another."""
    with (stdin or Path("/dev/null")).open("rb") as words:
        sending = subprocess.Popen(sender, stdin=words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with sending:
        done = subprocess.run(
            [*COMMAND, "run", source, "--no-page", *as_options(summary=summary)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        said, _ = sending.communicate(timeout=60)
    assert sending.returncode == 0, said
    return done


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("by", ["ring", "connection"])
def test_what_is_replayed_is_counted_as_process_counts_it(by: str, file: Path, tmp_path: Path) -> None:
    muonstream("process", str(file), *as_options(summary=tmp_path / "process.json"))
    to = f"shm:{tmp_path}/ring" if by == "ring" else f"tcp://127.0.0.1:{free_port()}"
    done = run_beside(to, tmp_path / "run.json", *COMMAND, "replay", str(file), "--to", to, "--fast")
    assert done.returncode == 0, done.stderr
    assert counts(tmp_path / "run.json") == counts(tmp_path / "process.json")
    assert counts(tmp_path / "run.json")["account"]["words"] == WORDS


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")
def test_the_example_in_c_writes_a_ring(file: Path, tmp_path: Path) -> None:
    program, name = tmp_path / "ring_writer", f"muonstream-test-{tmp_path.parent.name}-{tmp_path.name}"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, WRITER], check=True)
    muonstream("process", str(file), *as_options(summary=tmp_path / "process.json"))
    done = run_beside(f"shm:{name}", tmp_path / "run.json", str(program), name, stdin=file)
    # its writer waits for nothing, and may be gone before the reader comes: the ring has it all
    assert done.returncode == 0, done.stderr
    assert counts(tmp_path / "run.json") == counts(tmp_path / "process.json")
    assert not Path("/dev/shm", name).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "shm:x", "--pace", "2"), "--pace: found shm:x"),
        (("run", "tcp://127.0.0.1:1", "--follow"), "--follow: found tcp://127.0.0.1:1"),
        (("run", "shm:x", "--format", "json"), "--format: found json, expected words or dma"),
        (("run", "tcp://0.0.0.0:9900"), "a token is required"),
        (("run", "shm:"), "found no name"),
        (("process", "shm:x"), "found a ring of words; muonstream run reads it"),
        (("replay", "FILE", "--to", "shm:x", "--as", "json"), "--as: found json, expected frames for shm:x"),
        (("replay", "FILE", "--to", "shm:x", "--run-number", "3"), "--run-number: found shm:x"),
    ],
)
def test_options_that_do_not_fit_are_named(arguments: tuple[str, ...], said: str, file: Path) -> None:
    done = muonstream(*(str(file) if one == "FILE" else one for one in arguments))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
