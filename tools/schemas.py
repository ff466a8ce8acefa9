"""Compose file and Kubernetes' manifests against the schemas that their makers publish: `python -m tools.schemas`.

The schemas are fetched once, into `.schemas`: that of the Compose Specification from its Go module, those of Kubernetes
with the package kubernetes-validate. Prints a line for each fault; the exit code is 1 if there is one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from tools.release import ROOT, ReleaseError, run

HOME: Final = ROOT / ".schemas"
COMPOSE_SCHEMA: Final = HOME / "compose-spec.json"
VALIDATE: Final = HOME / "venv" / "bin" / "kubernetes-validate"
COMPOSE_MODULE: Final = "github.com/compose-spec/compose-go/v2@v2.16.2"
KUBERNETES: Final = "1.37.0"
COMPOSE_FILE: Final = ROOT / "deploy" / "compose.yaml"
MANIFESTS: Final = tuple(sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml")))


def fetched() -> bool:
    """Whether both are there."""
    return COMPOSE_SCHEMA.is_file() and VALIDATE.is_file()


def fetch() -> None:
    """Fetch what is missing. Raises ReleaseError."""
    HOME.mkdir(exist_ok=True)
    if not VALIDATE.is_file():
        venv.create(HOME / "venv", with_pip=True)
        run(HOME / "venv" / "bin" / "pip", "install", "--quiet", f"kubernetes-validate=={KUBERNETES}")
    if not COMPOSE_SCHEMA.is_file():
        if shutil.which("go") is None:
            raise ReleaseError(f"found no program go, expected it to fetch {COMPOSE_MODULE}")
        module = json.loads(run("go", "mod", "download", "-json", COMPOSE_MODULE, cwd=HOME))
        shutil.copyfile(Path(module["Dir"]) / "schema" / COMPOSE_SCHEMA.name, COMPOSE_SCHEMA)


def compose_faults(document: Any) -> list[str]:
    """What the Compose Specification has against a document, a line each."""
    import jsonschema_rs

    validator = jsonschema_rs.validator_for(json.loads(COMPOSE_SCHEMA.read_text("utf-8")))
    found = validator.iter_errors(document)
    return [f"{'.'.join(map(str, one.instance_path)) or 'the file'}: {one.message}" for one in found]


def kubernetes_faults(paths: Iterable[Path]) -> list[str]:
    """What Kubernetes' schemas have against manifests, with no property but those that they know."""
    command = [str(VALIDATE), "--strict", "--quiet", "--kubernetes-version", KUBERNETES, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
    return lines if done.returncode else []


def main() -> int:
    """Fetch, and print all faults; 1 if there is one."""
    try:
        fetch()
    except ReleaseError as error:
        print(f"tools.schemas: {error}", file=sys.stderr)
        return 1
    document = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
    faults = [f"{COMPOSE_FILE.name}: {fault}" for fault in compose_faults(document)] + kubernetes_faults(MANIFESTS)
    print(*(faults or [f"{COMPOSE_FILE.name} and {len(MANIFESTS)} manifests have no fault"]), sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
