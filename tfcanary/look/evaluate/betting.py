"""Intervals that hold however often one looks, and whenever one stops: what a comparison ends on as soon as it is sure.

Each is the set of values that a fair bet against them has not yet made rich (Ville 1939): where the truth is p, the wealth of who bets
against p grows beyond 1/alpha with chance alpha at most, over all time. Nothing is assumed but that each row is alike distributed,
given those before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tfcanary.core.domain import Interval

STAKES = tuple(0.98 * 0.68**k for k in range(14))
"""Shares of its wealth that a bet stakes at once; all are made side by side, so that one of them is nearly right. It costs ln 14."""
STEPS = 50
"""Bisections: the bounds are then exact to 15 digits."""
PRIOR = 0.5
"""Jeffreys' prior for a share: bets on small and large ones alike."""


def share(successes: float, n: float, alpha: float) -> Interval:
    """Of rows in which something happened, with chance 1 - alpha over all looks; 0 to 1 where n = 0.

    Raises ValueError where 0 <= successes <= n or 0 < alpha < 1 does not hold.
    """
    if not 0 <= successes <= n or not 0 < alpha < 1:
        raise ValueError(f"{successes} of {n} at alpha {alpha}: must lie between 0 and n, alpha between 0 and 1")
    if n == 0:
        return Interval(0.0, 0.5, 1.0)
    estimate, rest = successes / n, n - successes

    def rich(p: float) -> bool:
        against = successes * _log(p) + rest * _log(1 - p)
        return _log_beta(successes + PRIOR, rest + PRIOR) - _log_beta(PRIOR, PRIOR) - against > -math.log(alpha)

    low = 0.0 if successes == 0 else _edge(rich, 0.0, estimate)
    high = 1.0 if rest == 0 else _edge(rich, 1.0, estimate)
    return Interval(low, estimate, high)


def paired_difference(b: float, c: float, n: float, alpha: float) -> Interval:
    """Of two shares on the same n rows, (b - c)/n, with chance 1 - alpha over all looks; McNemar's question, asked at any time.

    Args:
        b: Rows that only the first has right.
        c: Rows that only the second has right.
        n: All rows; -1 to 1 where there is none.
        alpha: Half of it on either side.

    Waudby-Smith and Ramdas 2024, with rows of -1, 0 and 1 as bounded values: the wealth depends on the three counts alone, so the order
    of the rows does not matter. Raises ValueError where the counts cannot be.
    """
    if b < 0 or c < 0 or b + c > n or not 0 < alpha < 1:
        raise ValueError(f"{b} and {c} of {n} rows at alpha {alpha}: must be counts, together at most n, alpha between 0 and 1")
    if n == 0:
        return Interval(-1.0, 0.0, 1.0)
    estimate, even = (b - c) / n, n - b - c
    low = _edge(lambda d: _wealth(b, c, even, d) > math.log(2 / alpha), -1.0, estimate)
    high = -_edge(lambda d: _wealth(c, b, even, d) > math.log(2 / alpha), -1.0, -estimate)
    return Interval(low, estimate, high)


def difference(first: tuple[float, float], second: tuple[float, float], alpha: float) -> Interval:
    """Of two shares on different rows, first less second; each side is successes and n, and has half of alpha."""
    a, b = (share(successes, n, alpha / 2) for successes, n in (first, second))
    return Interval(a.low - b.high, a.estimate - b.estimate, a.high - b.low)


def _wealth(b: float, c: float, even: float, least: float) -> float:
    """The logarithm of what betting on "more than `least`" has made of 1."""
    mean = (1 + least) / 2
    if mean <= 0:
        return math.inf if b or even else 0.0
    bets = (b * _log(1 - r + r / mean) + c * _log(1 - r) + even * _log(1 - r + r / (2 * mean)) for r in STAKES)
    logs = [bet - math.log(len(STAKES)) for bet in bets]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs))


def _edge(rich: Callable[[float], bool], outside: float, inside: float) -> float:
    """The value between both from which on the bet against it has not won; `outside` where it never has."""
    if not rich(outside):
        return outside
    for _ in range(STEPS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if rich(middle) else (outside, middle)
    return outside


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -1e300


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
