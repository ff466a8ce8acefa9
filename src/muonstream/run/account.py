"""The account: every word that comes in is one of these, and they add up."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Words received, by what became of them; `held` are not yet counted anywhere else."""

    words: int = 0
    hits: int = 0
    scintillator: int = 0
    trigger: int = 0
    ancillary: int = 0
    unmapped: int = 0
    malformed: int = 0
    late: int = 0
    stray: int = 0
    held: int = 0

    @property
    def residual(self) -> int:
        """Words received minus the sum of all else: 0 unless something was lost."""
        parts = asdict(self)
        return int(parts.pop("words") - sum(parts.values()))

    @property
    def balanced(self) -> bool:
        return self.residual == 0

    def as_dict(self) -> dict[str, int]:
        """All ten numbers, `words` first."""
        return asdict(self)
