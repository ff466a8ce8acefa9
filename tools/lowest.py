"""The oldest versions that pyproject.toml allows, as pip's constraints: what `make test-lowest` installs.

python -m tools.lowest EXTRA... > constraints

Each dependency of the project and of the extras is pinned to its lower bound; what these need themselves is the newest
that suits them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
BOUND: Final = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,.-]+\])?\s*[>=]=\s*(?P<version>[\w.]+)[^;]*(?P<marker>;.*)?")


def pins(requirements: Iterable[str]) -> Iterator[str]:
    """Constraints to the lower bounds. Raises ValueError for a requirement without one."""
    for requirement in requirements:
        found = BOUND.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r}: found no lower bound, expected name>=version")
        yield f"{found['name']}=={found['version']}{found['marker'] or ''}"


def lowest(project: Mapping[str, Any], extras: Sequence[str]) -> list[str]:
    """The constraints of a project with these extras, in order, each once; of two lower bounds the first holds."""
    known = project.get("optional-dependencies", {})
    if wrong := [extra for extra in extras if extra not in known]:
        raise ValueError(f"{wrong[0]!r}: found no such extra, expected {', '.join(known)}")
    made: dict[str, str] = {}
    for requirements in (project["dependencies"], *(known[extra] for extra in extras)):
        for pin in pins(requirements):
            made.setdefault(re.split(r"==", pin)[0].lower(), pin)
    return sorted(made.values(), key=str.lower)


def main(extras: Sequence[str]) -> int:
    """Print the constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    try:
        print(*lowest(project, extras), sep="\n")
    except ValueError as error:
        print(f"tools.lowest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
