"""Options from a file and the environment: what holds, where it comes from, and what is wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer.main
from commands import run_command
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.cli.config import shown_value, unknown_variables
from muonstream.cli.help import HEADINGS

RUNNER = CliRunner()
ALL = ("demo", "run", "process", "export", "dashboard", "replay")


def show(*typed: str) -> dict[str, tuple[str, str]]:
    """What `config show` says of each option: value and where it comes from."""
    found = RUNNER.invoke(app, ["config", "show", *typed])
    assert found.exit_code == 0, found.output
    rows = [re.split("  +", line) for line in found.stdout.splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows}


def test_what_is_typed_goes_before_variables_then_the_file_then_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "run.toml"
    config.write_text('port = 1\nhost = "h"\npace = 3\nstay = false\n')
    monkeypatch.setenv("MUONSTREAM_PORT", "2")
    monkeypatch.setenv("MUONSTREAM_HOST", "i")
    found = show("run", "sim:", "--config", str(config), "--port", "3", "--no-page")
    assert found["port"] == ("3", "--port")
    assert found["host"] == ("i", "MUONSTREAM_HOST")
    assert found["pace"] == ("3", f"{config}: pace")
    assert found["stay"] == ("false", f"{config}: stay")
    assert found["page"] == ("false", "--no-page")
    assert found["interval"] == ("0.5", "default")
    assert found["source"] == ("sim:", "typed")


def test_the_file_may_be_named_by_a_variable_and_hold_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "run.toml"
    config.write_text('source = "sim:"\nallow_host = ["a", "b"]\nallow-frame = "https://c"\n')
    monkeypatch.setenv("MUONSTREAM_CONFIG", str(config))
    found = show()
    assert found["source"][0] == "sim:"
    assert found["allow-host"] == ("a, b", f"{config}: allow-host")
    assert found["allow-frame"][0] == "https://c"


def test_options_of_a_file_do_what_typed_ones_do(tmp_path: Path) -> None:
    words, config = tmp_path / "w.dat", tmp_path / "p.toml"
    assert run_command("simulate", words, "--words", 5000) == 0
    config.write_text(f'files = ["{words}"]\nsummary = "{tmp_path / "a.json"}"\nrun = "name"\nworkers = 0\n')
    assert run_command("process", "--config", config) == 0
    assert run_command("process", words, "--summary", tmp_path / "b.json", "--run", "name") == 0
    one, other = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert one == other


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", ": prot: found no option of this name, expected an option of run, such as port"),
        ("zzz = 1", ": zzz: found no option of this name, expected an option of run"),
        ("config = 'x'", ": config: found no option of this name, expected an option of run"),
        ("port = 2.5", ": port: found '2.5', expected a valid integer"),
        ("port = true", ": port: found True, expected a number or text"),
        ("port = [1]", ": port: found [1], expected a number or text"),
        ("port = 1979-05-27", ": port: found datetime.date(1979, 5, 27), expected a number or text"),
        ("port = 70000", ": port: found '70000', expected less than or equal to 65535"),
        ("stay = 'no'", ": stay: found 'no', expected true or false"),
        ("stay = 0", ": stay: found 0, expected true or false"),
        ("engine = 'flink'", ": engine: found 'flink', expected local, spark"),
        ("[page]\nport = 1", ": page: found {'port': 1}, expected true or false"),
        ("[server]\nport = 1", ": server: found no option of this name, expected an option of run"),
        ("store-every = 1\nstore_every = 2", ": store_every: found twice, in two spellings, expected it once"),
        ("port = ", ": not TOML: "),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_file_and_key_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    found = RUNNER.invoke(app, ["run", "sim:", "--config", str(config)])
    assert found.exit_code == 2
    assert found.stderr.startswith(f"muonstream: {config}{says}")
    assert found.stderr.count("\n") == 1


def test_an_option_that_would_do_nothing_is_refused_in_a_file_and_not_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('store = "x.db"')
    found = RUNNER.invoke(app, ["run", "sim:", "--config", str(config)])
    assert found.stderr == f"muonstream: {config}: store: found sim:, expected a topic: kafka://host:port/topic\n"
    monkeypatch.setenv("MUONSTREAM_STORE", "x.db")
    found = RUNNER.invoke(app, ["run", "none.dat"])
    assert found.stderr == "muonstream: none.dat: no such file or folder\n"


def test_a_missing_file_and_a_wrong_variable_are_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    found = RUNNER.invoke(app, ["run", "sim:", "--config", "none.toml"])
    assert (found.exit_code, found.stderr) == (2, "muonstream: none.toml: cannot be read: No such file or directory\n")
    monkeypatch.setenv("MUONSTREAM_PORT", "abc")
    found = RUNNER.invoke(app, ["run", "sim:"])
    assert (found.exit_code, found.stderr) == (
        2,
        "muonstream: MUONSTREAM_PORT: found 'abc', expected a valid integer\n",
    )


def test_a_variable_with_a_slip_of_the_pen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUONSTREAM_PROT", "1")
    found = RUNNER.invoke(app, ["run", "none.dat"])
    assert found.stderr.splitlines()[0] == (
        "muonstream: MUONSTREAM_PROT: found no option of this name, so this environment variable sets nothing"
    )


def test_variables_of_options_of_any_command_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUONSTREAM_RETENTION_HOURS", "5")
    monkeypatch.setenv("MUONSTREAM_TOKEN", "x")
    assert unknown_variables(typer.main.get_command(app)) == []


def test_no_variable_that_the_program_or_the_image_uses_is_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    files = [
        *(root / "src" / "muonstream").rglob("*.py"),
        *(root / "deploy").rglob("*.*"),
        root / "deploy" / "Dockerfile",
    ]
    named = {name for file in files for name in re.findall(r"MUONSTREAM_[A-Z][A-Z_]*[A-Z]", file.read_text("utf-8"))}
    assert {"MUONSTREAM_SPARK_SECRET", "MUONSTREAM_TOKEN_FILE", "MUONSTREAM_HOST"} <= named
    for name in named:
        monkeypatch.setenv(name, "1")
    assert unknown_variables(typer.main.get_command(app)) == []


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("notify", ["mailto://me:pw@h"], "mailto://(not shown)"),
        ("webhook", "https://hooks/SECRET", "https://(not shown)"),
        ("webhook", "SECRET", "(not shown)"),
        (
            "spark_conf",
            ["spark.x=1", "spark.authenticate.secret=S"],
            "spark.x=1, spark.authenticate.secret=(not shown)",
        ),
        ("port", 5, "5"),
        ("store", None, "-"),
    ],
)
def test_passwords_are_not_shown(name: str, value: Any, shown: str) -> None:
    assert shown_value(name, value) == shown


def test_tokens_are_told_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUONSTREAM_TOKEN", "very-secret-token")
    assert show("run", "sim:")["MUONSTREAM_TOKEN"] == ("(not shown)", "MUONSTREAM_TOKEN")
    assert "very-secret-token" not in RUNNER.invoke(app, ["config", "show"]).output


def test_another_command_than_there_is_is_refused() -> None:
    found = RUNNER.invoke(app, ["config", "show", "rnu"])
    assert found.exit_code == 1
    assert found.stderr.startswith("muonstream: config show: found 'rnu', expected one of bench, calibrate, ")


@given(
    st.dictionaries(
        st.sampled_from(["port", "pace", "stay", "host", "nope", "allow-host"]),
        st.booleans() | st.integers(-5, 99999) | st.floats(allow_nan=False) | st.text("ab\x01é", max_size=5),
    )
)
def test_any_file_is_taken_or_refused_in_one_line(content: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "given.toml"
        path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in content.items()))
        found = RUNNER.invoke(app, ["config", "show", "run", "sim:", "--config", str(path)])
    assert found.exit_code in (0, 2)
    assert found.exception is None or isinstance(found.exception, SystemExit)
    if found.exit_code:
        assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ALL)
def test_help_has_headings_in_one_order_and_no_option_without_one(command: str) -> None:
    found = RUNNER.invoke(app, [command, "--help"]).stdout.splitlines()
    headings = [line.removesuffix(":") for line in found if line.endswith(":") and not line.startswith(" ")]
    assert headings == [one for one in ("Arguments", *HEADINGS) if one in headings]
    rest = found[found.index("Options:") + 1 :]
    options = {line.split()[0] for line in rest if line.startswith("  -")}
    assert options == {"--config", "--log-level", "--log-format", "--help"}


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in RUNNER.invoke(app, ["--help"]).stdout


def test_the_documented_file_is_right(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text("utf-8")
    config = tmp_path / "run.toml"
    config.write_text(text.partition("```toml\n")[2].partition("```")[0])
    found = show("--config", str(config))
    assert found["notify"] == ("mailto://(not shown)", f"{config}: notify")
    assert found["source"][0] == "/data/cosmics"
