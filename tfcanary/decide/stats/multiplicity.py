"""Many tests at once, and looks that are repeated: which of them may count as found."""

from __future__ import annotations

from collections.abc import Sequence

_CUBES = 1.2020569031595942
"""The sum of 1/l^3 over all l from 1 on (Apery's constant)."""


def benjamini_hochberg(chances: Sequence[float], share: float) -> tuple[bool, ...]:
    """Which tests count: among them the expected share of false ones is at most `share` (Benjamini and Hochberg 1995)."""
    ranked = sorted(chances)
    threshold = max((p for rank, p in enumerate(ranked, 1) if p <= share * rank / len(ranked)), default=-1.0)
    return tuple(p <= threshold for p in chances)


def spent_at(look: int, alpha: float) -> float:
    """What the look of this number, from 1 on, may spend of alpha: alpha/(1.2021 l^3), which adds up to alpha over endless looks.

    Most comparisons are looked at once: the first look has 83 % of it. Raises ValueError where look < 1.
    """
    if look < 1:
        raise ValueError(f"look {look}: looks are counted from 1")
    return alpha / (_CUBES * look**3)
