"""Corrections for many tests at once, and for comparisons that are repeated as data come in.

Written here instead of `scipy.stats.false_discovery_control`, whose import every slim step would pay for (see
`tfcanary.decide.stats`).
"""

from __future__ import annotations

from collections.abc import Sequence

_CUBES = 1.2020569031595942
"""The sum of 1/l^3 over all whole l from 1 on (Apery's constant)."""


def benjamini_hochberg(p_values: Sequence[float], share: float) -> tuple[bool, ...]:
    """Return which tests are significant: the expected share of false ones among them is at most `share` (Benjamini and Hochberg 1995).

    The result has one flag for each of `p_values`, in their order.
    """
    ranked = sorted(p_values)
    threshold = max((p for rank, p in enumerate(ranked, 1) if p <= share * rank / len(ranked)), default=-1.0)
    return tuple(p <= threshold for p in p_values)


def alpha_of_look(look: int, alpha: float) -> float:
    """Return the part of `alpha` that the look of this number, from 1 on, may spend: alpha/(1.2021 look^3).

    The parts of all looks together are alpha. The first look has 83 % of it, because most comparisons are made once.
    Raises ValueError where look < 1.
    """
    if look < 1:
        raise ValueError(f"look {look}: looks are counted from 1")
    return alpha / (_CUBES * look**3)
