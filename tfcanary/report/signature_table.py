"""Two signatures side by side: what a client of the stable sends and gets, and what the candidate takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Change(StrEnum):
    """How a row differs between the two."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One input or output by its alias; None where that side has none of this name."""

    alias: str
    direction: str
    """`input` or `output`."""
    stable: str | None
    """Type and shape in words, for example `float32 [?, 28, 28]`."""
    candidate: str | None

    @property
    def change(self) -> Change:
        """What happened to it."""
        if self.stable == self.candidate:
            return Change.SAME
        if self.stable is None:
            return Change.ADDED
        return Change.REMOVED if self.candidate is None else Change.CHANGED


@dataclass(frozen=True, slots=True)
class SignaturePairs:
    """All rows of one signature."""

    signature: str
    """Its name, for example `serving_default`."""
    rows: tuple[SignatureRow, ...] = ()
