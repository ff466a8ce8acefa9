"""python -m tools.faults: the table of faults, and the checks that may find each."""

from __future__ import annotations

from muonstream.detector.model import Detector
from tools.faults.table import FAULTS


def main() -> None:
    """Print the table, as Markdown."""
    print("| fault | what it does | sizes | may be found by |")
    print("|---|---|---|---|")
    for fault in FAULTS.values():
        sizes = ", ".join(f"{size:g}" for size in fault.sizes)
        checks = ", ".join(dict.fromkeys(check for check, _ in fault.checks(Detector.default())))
        print(f"| {fault.name} | {fault.does} | {sizes} {fault.unit} | {checks} |")


if __name__ == "__main__":
    main()
