from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, as_process, muonstream

from muonstream.commands.compiling import COMPILING
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.files import read_blocks
from muonstream.words import encode


def without_compiling(stderr: str) -> str:
    """What a command says, whether or not it was the first on this machine and had to compile."""
    return stderr.replace(f"{COMPILING}\n", "")


@contextmanager
def live(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves its page on a free port, and the page's address; its standard input stays open."""
    with subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as process:
        assert process.stderr is not None
        yield process, process.stderr.readline().split(" at ")[1].split()[0]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "sim.dat"
    simulate_words(60_000, seed=3, hot_cell=(2, 17), dead_cell=(3, 40)).astype("<u8").tofile(path)
    return path


def test_a_run_without_words_leaves_summaries_as_they_are(tmp_path: Path) -> None:
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text(was := '{\n "run": "",\n "source": "an earlier run"\n}\n', encoding="utf-8")
    for path in (new, old):
        done = muonstream("process", str(tmp_path / "none.dat"), "--summary", str(path))
        assert done.returncode == 1
    assert not new.exists()
    assert old.read_text("utf-8") == was


def test_files_written_side_by_side_give_what_one_file_gives(simulated: Path, tmp_path: Path) -> None:
    words = np.fromfile(simulated, "<u8")
    board = words >> np.uint64(58) & np.uint64(7)
    for i in (0, 1):
        words[board == i].tofile(tmp_path / f"{i}.dat")
    found = []
    for arguments in ([str(simulated)], [str(tmp_path / "0.dat"), str(tmp_path / "1.dat"), "--together"]):
        out = tmp_path / "out.json"
        done = muonstream("process", *arguments, "--summary", str(out))
        assert done.returncode == 0, done.stderr
        made = json.loads(out.read_text())
        found.append({key: value for key, value in made.items() if key not in ("run", "source", "runs", "inputs")})
    assert found[0] == found[1]
    assert found[0]["words"] == len(words)


def test_process_writes_a_summary_that_is_the_same_whole_split_and_piped(simulated: Path, tmp_path: Path) -> None:
    data = simulated.read_bytes()
    (tmp_path / "a.dat").write_bytes(data[: 8 * 20_001])
    (tmp_path / "b.dat").write_bytes(data[8 * 20_001 :])
    summaries = []
    for i, files in enumerate(([str(simulated)], [str(tmp_path / "a.dat"), str(tmp_path / "b.dat")], ["-"])):
        out = tmp_path / f"{i}.json"
        command = ["process", *files, "--summary", str(out)]
        done = as_process(*command, stdin=data) if files == ["-"] else muonstream(*command)
        assert done.returncode == 0, done.stderr
        found = json.loads(out.read_text())
        for name in ("run", "source", "runs", "inputs"):
            found.pop(name, None)
        summaries.append(found)
    assert summaries[0] == summaries[1] == summaries[2]
    assert summaries[0]["words"] == 60_000
    assert summaries[0]["account"]["balanced"]


def test_inspect_names_the_hot_and_the_dead_cell(simulated: Path) -> None:
    done = muonstream("inspect", str(simulated))
    assert done.returncode == 0
    hottest = done.stdout.split("Hottest cells")[1].splitlines()[2].split()
    assert hottest[1:4] == ["Chamber", "2", "17"]
    assert "without any hit: Chamber 3 cell 40" in done.stdout


def test_inspect_tells_dead_cells_that_are_known_from_others_and_no_silent_ones_as_hottest(tmp_path: Path) -> None:
    path = tmp_path / "few.dat"
    encode(fpga=0, channel=3, orbit=np.arange(9) * 70, bx=7, tdc=3).astype("<u8").tofile(path)
    done = muonstream("inspect", "-d", "run591", str(path))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("Hottest cells")[1].split("without")[0].splitlines()) == 3
    silent = [line for line in done.stdout.splitlines() if line.startswith("without any hit")]
    assert silent[0].startswith("without any hit: Chamber 1 cell 0, Chamber 1 cell 1,")
    known = "Chamber 1 cell 11, Chamber 1 cell 13, Chamber 1 cell 51, Chamber 1 cell 54"
    assert silent[1] == f"without any hit, as the detector file says: {known}"


def test_simulate_text_and_binary_are_the_same_words(tmp_path: Path) -> None:
    for name, options in (("a.dat", []), ("a.csv", ["--text"])):
        assert muonstream("simulate", str(tmp_path / name), "--words", "3000", *options).returncode == 0
    binary, text = (list(read_blocks(str(tmp_path / name))) for name in ("a.dat", "a.csv"))
    assert [w for block in binary for w in block.words.tolist()] == [w for block in text for w in block.words.tolist()]


def test_bad_input_is_one_clear_line(tmp_path: Path, simulated: Path) -> None:
    (tmp_path / "empty.dat").touch()
    (tmp_path / "binary.txt").write_bytes(simulated.read_bytes()[:800])
    (tmp_path / "noise.dat").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "prose.csv").write_text("dear shifter,\nall is well\n")
    (tmp_path / "bad.toml").write_text('name = "x"\nboards = [0]\nchambers = 3\n')
    for arguments, reason in (
        (["process", str(tmp_path / "none.dat")], "none.dat: no such file"),
        (["process", str(tmp_path)], "expected a file, found a folder; give its files ("),
        (["process", str(tmp_path / "empty.dat")], "empty.dat: is empty"),
        (["process", str(tmp_path / "binary.txt"), "--format", "course"], "but --format course was given"),
        (["process", str(tmp_path / "noise.dat")], "found 2,048 bytes that show no format; expected "),
        (["process", str(tmp_path / "prose.csv")], "found text such as 'dear shifter,'; expected words, a table"),
        (["process", "kafka://here/frames"], "expected a file, found a topic; muonstream run reads it"),
        (["process", "sim:"], "expected a file, found a simulation; muonstream run reads it"),
        (["process", str(simulated), "--format", "dma"], "without run words between them, but --format dma was given"),
        (["topics", "create", "kafka://here/frames"], "expected kafka://host:port[,host:port], without a topic"),
        (["topics", "list", "here:9092"], "found 'here:9092', expected kafka://host:port[,host:port]\n"),
        (["replay", str(simulated), "--to", "here:9092"], "--to: found 'here:9092', expected kafka://"),
        (["run", str(simulated), "--results", "here"], "--results: found 'here', expected kafka://"),
        (["run", str(simulated), "--snapshots", "here"], "--snapshots: found 'here', expected kafka://"),
        (["simulate", str(simulated), "--words", "1"], "already exists; expected a new file, or --force"),
        (["simulate", str(tmp_path / "s.dat"), "--truth", "/proc/t.parquet"], "/proc/t.parquet: cannot be written: "),
        (["calibrate", str(simulated), "--output", str(tmp_path / "no" / "o.toml")], "no is not a folder"),
        (["calibrate", str(simulated), "--output", str(tmp_path / "o"), "--pictures", "/proc/x"], "cannot be made"),
        (["process", str(simulated), "--summary", str(tmp_path / "no" / "out.json")], "out.json: cannot be written"),
        (["process", str(simulated), "--detector", "nowhere"], "no such file; expected a TOML file or a bundled"),
        (["detector", "check", str(tmp_path / "bad.toml")], "bad.toml: chambers: found 3"),
        (["run", str(simulated), "--pace", "fast"], "--pace: found 'fast', expected max or a number"),
        (["run", "sim:speed=3"], "found 'speed', expected"),
        (["simulate", str(tmp_path / "s.dat"), "--hot-cell", "9:1"], "hot_cell: found chamber 9 cell 1"),
    ):
        done = muonstream(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout == "", arguments
        assert reason in done.stderr, arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "s.dat").exists()
    assert not (tmp_path / "o").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full, which Linux has")
def test_a_full_disk_is_one_clear_line_and_what_was_counted_is_shown(simulated: Path, tmp_path: Path) -> None:
    full = "cannot be written: No space left on device\n"
    for arguments in (
        ["simulate", "/dev/full", "--words", "100000"],
        ["simulate", str(tmp_path / "s.dat"), "--words", "100", "--truth", "/dev/full"],
        ["process", str(simulated), "--summary", "/dev/full"],
    ):
        done = muonstream(*arguments)
        assert (done.returncode, done.stderr) == (1, f"muonstream: /dev/full: {full}"), arguments
    assert "live " in done.stdout
    with Path("/dev/full").open("wb") as out:
        for arguments in (["process", str(simulated)], ["simulate", "-", "--words", "100000"], ["--help"]):
            done = subprocess.run([*COMMAND, *arguments], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
            said = without_compiling(done.stderr)
            assert (done.returncode, said) == (1, f"muonstream: standard output: {full}"), arguments


def test_a_summary_can_go_down_a_pipe_and_replaces_a_longer_one(simulated: Path, tmp_path: Path) -> None:
    done = as_process("process", str(simulated), "--summary", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    piped, _ = json.JSONDecoder().raw_decode(done.stdout)
    path = tmp_path / "out.json"
    path.write_text(done.stdout[: done.stdout.index("}") + 1] + "x" * 100_000)
    assert muonstream("process", str(simulated), "--summary", str(path)).returncode == 0
    assert json.loads(path.read_text()) == piped


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_names_that_no_file_can_have_are_one_line(simulated: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "loop":
        path.symlink_to(path)
    for arguments in (
        ["process", str(path)],
        ["run", str(path), "--no-page"],
        ["inspect", str(path)],
        ["process", str(simulated), "--summary", str(path)],
        ["simulate", str(path), "--words", "10"],
        ["simulate", str(path), "--words", "10", "--truth", str(tmp_path / "t.parquet"), "--force"],
        ["simulate", str(tmp_path / "s.dat"), "--words", "10", "--truth", str(path)],
    ):
        done = muonstream(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.startswith(f"muonstream: {path}: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_file_without_words_has_an_account_of_none(tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n")
    done = muonstream("process", str(tmp_path / "header.csv"), "--format", "course", "--summary", "-")
    assert (done.returncode, json.loads(done.stdout)["account"]["words"]) == (0, 0)
    assert "0  words" in done.stderr


def test_files_that_are_not_there_are_named_before_any_is_read(simulated: Path, tmp_path: Path) -> None:
    done = muonstream("process", str(simulated), str(tmp_path / "a"), str(tmp_path / "b"))
    named = "".join(f"muonstream: {tmp_path / name}: no such file\n" for name in "ab")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", named)


@pytest.mark.parametrize(("command", "source"), [("process", "run.dat"), ("process", "-"), ("run", "run.dat")])
def test_data_are_never_written_over_by_a_summary(simulated: Path, tmp_path: Path, command: str, source: str) -> None:
    data = tmp_path / "run.dat"
    data.write_bytes(before := simulated.read_bytes())
    source = source if source == "-" else str(data)
    asked = (command, "--summary", str(data), source)
    done = as_process(*asked, stdin=before) if source == "-" else muonstream(*asked)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"muonstream: --summary: found {data}, which ")
    assert data.read_bytes() == before


def test_a_summary_on_standard_output_is_alone_there(simulated: Path) -> None:
    done = as_process("process", str(simulated), "--summary", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["words"] == 60_000
    assert "60,000  words" in done.stderr
    assert not Path("-").exists()


def test_simulate_writes_over_nothing_unless_it_is_forced_to(tmp_path: Path) -> None:
    words, truth = tmp_path / "s.dat", tmp_path / "t.parquet"
    truth.write_text("precious")
    arguments = ["simulate", str(words), "--words", "100", "--truth"]
    done = muonstream(*arguments, str(truth))
    reason = f"muonstream: {truth}: already exists; expected a new file, or --force\n"
    assert (done.returncode, done.stderr, truth.read_text()) == (1, reason, "precious")
    assert not words.exists()
    assert muonstream(*arguments, str(words)).returncode == 1
    assert not words.exists()
    assert muonstream(*arguments, str(truth), "--force").returncode == 0
    assert truth.read_bytes()[:4] == b"PAR1"
    link = tmp_path / "link"
    os.link(words, link)
    assert muonstream(*arguments, str(link), "--force").returncode == 1
    table = muonstream("simulate", str(tmp_path / "t.csv"), "--words", "100")
    assert (table.returncode, (tmp_path / "t.csv").exists()) == (1, False)
    assert "or --text" in table.stderr


def test_good_words_before_a_fault_are_kept_and_strict_is_an_error(tmp_path: Path, simulated: Path) -> None:
    cut = tmp_path / "cut.dat"
    cut.write_bytes(simulated.read_bytes()[:8003])
    out = tmp_path / "out.json"
    other = tmp_path / "other.dat"
    other.write_bytes(bytes(range(256)) * 100)
    done = muonstream("process", str(cut), str(other), "--summary", str(out))
    assert done.returncode == 1
    assert "other.dat: found 25,600 bytes that show no format" in done.stderr
    account = json.loads(out.read_text())["account"]
    assert (account["words"], account["malformed"], account["balanced"]) == (1001, 1, True)
    assert "byte 8,000: found 3 bytes at the end" in done.stdout
    assert muonstream("process", str(cut)).returncode == 0
    strict = muonstream("process", str(cut), "--strict")
    assert strict.returncode == 3
    assert "--strict: of the words, 1 malformed" in strict.stderr


def test_a_busy_port_is_named(simulated: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = muonstream("run", str(simulated), "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is not available" in done.stderr


def test_the_demo_ends_with_its_account() -> None:
    done = as_process("demo", "--duration", "1", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert "The live page is at http://127.0.0.1:" in done.stderr
    assert "words" in done.stdout
    assert "live " in done.stdout


def test_ctrl_c_ends_a_followed_run_with_its_account(simulated: Path, tmp_path: Path) -> None:
    growing = tmp_path / "growing.dat"
    data = simulated.read_bytes()
    growing.write_bytes(data[:80_000])
    out = tmp_path / "out.json"
    with live("run", str(growing), "--summary", str(out)) as (process, url):
        with growing.open("ab") as handle:
            handle.write(data[80_000:])
        wait_for_words(url, 60_000)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "60,000  words" in stdout
    assert json.loads(out.read_text())["account"]["words"] == 60_000


def test_standard_input_is_shown_while_it_waits_and_ctrl_c_ends_it(simulated: Path) -> None:
    with live("run", "-") as (process, url):
        assert process.stdin is not None
        assert process.stdout is not None
        assert os.write(process.stdin.fileno(), simulated.read_bytes()[:80_000]) == 80_000
        # standard input stays open and nothing more comes
        wait_for_words(url, 10_000)
        process.send_signal(signal.SIGINT)
        stdout = process.stdout.read()
        assert process.wait(timeout=60) == 0
    assert "10,000  words" in stdout


def test_a_named_pipe_is_waited_for_and_read_to_its_end(simulated: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with live("run", str(pipe), "--no-stay") as (process, url):
        data = simulated.read_bytes()
        with pipe.open("wb", buffering=0) as handle:
            handle.write(data[:80_000])
            wait_for_words(url, 10_000)
            handle.write(data[80_000:])
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "60,000  words" in stdout


@pytest.mark.parametrize("kind", ["pipe", pytest.param("file", marks=pytest.mark.long), "folder"])
def test_ctrl_c_before_the_first_word_gives_an_account_of_none(tmp_path: Path, kind: str) -> None:
    source, out = tmp_path / "source", tmp_path / "out.json"
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "file":
        source.touch()
    else:
        source.mkdir()
    with live("run", str(source), "--summary", str(out)) as (process, url):
        wait_for_words(url, 0)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "0  words" in stdout
    assert json.loads(out.read_text())["account"]["words"] == 0


def wait_for_words(url: str, words: int) -> None:
    """Ask the page until it has seen so many words."""
    import time
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}api/snapshot") as answer:
                if json.load(answer)["words"] == words:
                    return
        except urllib.error.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{words} words never came")


def test_simulate_writes_the_truth_beside_the_words(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ("--words", "5000", "--seed", "9", "--muon-rate-hz", "200")
    data, other, truth = tmp_path / "a.dat", tmp_path / "b.dat", tmp_path / "truth.parquet"
    assert muonstream("simulate", str(data), *options, "--truth", str(truth)).returncode == 0
    assert muonstream("simulate", str(other), *options).returncode == 0
    assert data.read_bytes() == other.read_bytes()
    table = parquet.read_table(truth)
    assert np.array_equal(table["words"].to_numpy(), np.fromfile(data, "<u8"))
    rows = table.select(["origin", "muon", "chamber", "distance_mm"]).to_pylist()
    assert {row["origin"] for row in rows} >= {"noise", "muon", "delta", "afterpulse", "scintillator"}
    assert all((row["muon"] is None) == (row["origin"] == "noise") for row in rows)
    assert all(abs(row["distance_mm"]) <= 21 for row in rows if row["origin"] == "muon")
    done = muonstream("simulate", str(tmp_path / "c.dat"), *options, "--truth", str(tmp_path / "no" / "t.parquet"))
    assert done.returncode == 1
    assert "t.parquet: cannot be written" in done.stderr


def test_process_finds_muons_when_asked_to(tmp_path: Path, simulated: Path) -> None:
    for name, options in (("a.json", ["--reconstruct"]), ("b.json", ["--no-reconstruct"])):
        assert muonstream("process", str(simulated), "--summary", str(tmp_path / name), *options).returncode == 0
    with_muons, without = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert with_muons.pop("muons")["segments"] > 100
    assert with_muons["runs"][0].pop("muons")["segments"] > 100
    assert with_muons == without


def test_calibrate_writes_a_new_file_and_never_over_one(tmp_path: Path) -> None:
    data, new, pictures = tmp_path / "a.dat", tmp_path / "new.toml", tmp_path / "pictures"
    simulate_words(60_000, seed=3, muon_rate_hz=200).astype("<u8").tofile(data)
    done = muonstream("calibrate", str(data), "--output", str(new), "--pictures", str(pictures))
    assert done.returncode == 0, done.stderr
    assert muonstream("detector", "check", str(new)).returncode == 0
    assert (pictures / "miss_3.svg").read_text().startswith("<svg")
    text = new.read_text()
    if find_spec("tomlkit") is None:
        assert "its comments are not in the new file: comments are kept by the extra toml" in done.stderr
    else:
        assert "\n# each board's internal trigger\ntriggers = [" in text
    done = muonstream("calibrate", str(data), "--output", str(new))
    assert done.returncode == 1
    assert "new.toml: already exists" in done.stderr
    assert new.read_text() == text
    few = tmp_path / "few.dat"
    few.write_bytes(data.read_bytes()[:80_000])
    done = muonstream("calibrate", str(few), "--output", str(tmp_path / "none.toml"))
    assert done.returncode == 1
    assert "too little data, nothing was written" in done.stderr
    assert "chamber 1: found " in done.stderr
    assert not (tmp_path / "none.toml").exists()
