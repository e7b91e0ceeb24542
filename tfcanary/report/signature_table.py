"""The signatures of two models side by side: what clients of the stable version send and receive, and what the candidate takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SignatureChange(StrEnum):
    """How an input or output differs between the stable version and the candidate."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One input or output of both signatures; a side is None where its signature has no such name."""

    alias: str
    """The name that clients use."""
    direction: str
    """`input` or `output`."""
    stable: str | None
    """Type and shape in words, for example `float32 [?, 28, 28]`."""
    candidate: str | None
    """Type and shape in words, as for `stable`."""

    @property
    def change(self) -> SignatureChange:
        """How the candidate's side differs from the stable version's."""
        if self.stable == self.candidate:
            return SignatureChange.SAME
        if self.stable is None:
            return SignatureChange.ADDED
        return SignatureChange.REMOVED if self.candidate is None else SignatureChange.CHANGED


@dataclass(frozen=True, slots=True)
class SignaturePairs:
    """All inputs and outputs of one signature, of both models."""

    signature: str
    """The name of the signature, for example `serving_default`."""
    rows: tuple[SignatureRow, ...] = ()
