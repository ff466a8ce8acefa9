"""The tool that takes pictures of the page, as far as it can be tested without looking at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import screens


@pytest.mark.parametrize(
    ("option", "found"), [("states", "good,sleepy"), ("screens", "cinema"), ("views", "muon"), ("detectors", "eight")]
)
def test_what_there_is_no_picture_of_is_said_with_what_there_is(
    option: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        screens.main([str(tmp_path), f"--{option}", found])
    said = capsys.readouterr().err
    assert f"--{option}: found {found.rpartition(',')[2]}, expected some of " in said
    assert list(tmp_path.iterdir()) == []


def test_the_run_that_is_shown_has_an_alarm_and_each_level_can_be_made_of_it() -> None:
    run, found = screens.simulated(screens.seven(), large=True)
    assert found.alarms
    assert run[0].account.words == 0
    assert run[-1].account.balanced
    assert run[-1].account.words >= 100_000_000
    assert screens._good(found).alarms == []
    assert screens._bad(found).alarms[-1].acknowledged is not None
