"""What the documents promise is there: the files they link to, the commands they show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import muonstream

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = "".join(re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL))
COMMANDS = sorted(set(re.findall(r"^(?:.*\| )?muonstream ([a-z]+)", CODE, re.MULTILINE)))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_explain_themselves(command: str) -> None:
    done = muonstream(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_installed_command_knows_those_of_the_readme() -> None:
    installed = Path(sys.executable).parent / "muonstream"
    done = subprocess.run([installed, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [command for command in COMMANDS if f" {command} " not in done.stdout] == []
