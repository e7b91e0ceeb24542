"""Confidence intervals that hold at every look and at every stopping time, so that a comparison may be looked at while it runs.

Each interval is a confidence sequence from betting: it holds the values p against which a fair bet has won less than 1/alpha. Where p
is true, the wealth of such a bet exceeds 1/alpha at any time with probability alpha at most (Ville 1939). The only assumption is that each
row has the same distribution, given the rows before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tfcanary.core.domain import Finding, Interval

STAKES = tuple(0.98 * 0.68**k for k in range(14))
"""Fractions of the wealth that the parallel bets stake; one of them is near the best, and using 14 costs ln 14 of log wealth."""
STEPS = 50
"""Bisections of a bound, after which it is exact to 15 digits."""
PRIOR = 0.5
"""Both parameters of Jeffreys' beta prior for a share."""


def share(successes: float, n: float, alpha: float) -> Interval:
    """Interval for the share of successes among rows, with confidence 1 - alpha over all looks; 0 to 1 where n = 0.

    Raises ValueError unless 0 <= successes <= n and 0 < alpha < 1.
    """
    if not 0 <= successes <= n or not 0 < alpha < 1:
        raise ValueError(f"{successes} of {n} at alpha {alpha}: must lie between 0 and n, alpha between 0 and 1")
    if n == 0:
        return Interval(0.0, 0.5, 1.0)
    estimate, rest = successes / n, n - successes

    def has_won(p: float) -> bool:
        against = successes * _log(p) + rest * _log(1 - p)
        return _log_beta(successes + PRIOR, rest + PRIOR) - _log_beta(PRIOR, PRIOR) - against > -math.log(alpha)

    low = 0.0 if successes == 0 else _edge(has_won, 0.0, estimate)
    high = 1.0 if rest == 0 else _edge(has_won, 1.0, estimate)
    return Interval(low, estimate, high)


def paired_difference(b: float, c: float, n: float, alpha: float) -> Interval:
    """Interval for the difference of two shares on the same rows, (b - c)/n, with confidence 1 - alpha over all looks.

    It is a sequential form of McNemar's test.

    Args:
        b: Number of rows that only the first has right.
        c: Number of rows that only the second has right.
        n: Number of all rows; without any the interval is -1 to 1.
        alpha: Probability of an error; half of it on either side.

    The method is that of Waudby-Smith and Ramdas 2024, with rows of -1, 0 and 1 as bounded values: the wealth depends on the three
    counts alone, so that the order of the rows does not matter. Raises ValueError where the counts are impossible or alpha is not
    between 0 and 1.
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
    """Interval for the difference of two shares on different rows, first minus second.

    Each side is its successes and its number of rows, and gets half of alpha. Raises ValueError as `share` does.
    """
    a, b = (share(successes, n, alpha / 2) for successes, n in (first, second))
    return Interval(a.low - b.high, a.estimate - b.estimate, a.high - b.low)


def not_below(interval: Interval, bound: float) -> Finding:
    """Whether a value is above a bound: `pass` or `fail` where its whole interval is on one side, else `inconclusive`."""
    if interval.low > bound:
        return Finding.PASS
    return Finding.FAIL if interval.high < bound else Finding.INCONCLUSIVE


def _wealth(b: float, c: float, even: float, least: float) -> float:
    """Logarithm of the wealth that a bet on "the difference exceeds `least`" has made out of 1."""
    mean = (1 + least) / 2
    if mean <= 0:
        return math.inf if b or even else 0.0
    bets = (b * _log(1 - r + r / mean) + c * _log(1 - r) + even * _log(1 - r + r / (2 * mean)) for r in STAKES)
    logs = [bet - math.log(len(STAKES)) for bet in bets]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs))


def _edge(has_won: Callable[[float], bool], outside: float, inside: float) -> float:
    """The border between values against which the bet has won and values against which it has not; `outside` where it won nowhere."""
    if not has_won(outside):
        return outside
    for _ in range(STEPS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if has_won(middle) else (outside, middle)
    return outside


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -1e300


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
