"""The normal distribution as far as the judge needs it: its logarithm far out in the tail, and mixtures over it."""

from __future__ import annotations

import math

ASYMPTOTIC_BELOW = -8.0
"""Below this many standard deviations the series replaces erfc; both agree there to eight digits."""


def log_cdf(z: float) -> float:
    """Logarithm of the normal distribution function; relative error below 3e-8 anywhere."""
    if z > ASYMPTOTIC_BELOW:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    y = 1.0 / (z * z)
    series = 1.0 - y + 3.0 * y**2 - 15.0 * y**3 + 105.0 * y**4
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi) + math.log(series)


def log_half_normal_mixture(s: float, information: float, scale: float) -> float:
    """Logarithm of the integral of exp(l s - l^2 J/2) over a half-normal l >= 0 of this scale.

    Robbins 1970 (and Howard, Ramdas, McAuliffe, Sekhon 2021, one-sided normal mixture): where s is a sum with
    variance J = `information` and mean at most 0, this is the logarithm of an e-process.
    """
    q = 1.0 / scale**2
    total = information + q
    return 0.5 * math.log(4.0 * q / total) + s * s / (2.0 * total) + log_cdf(s / math.sqrt(total))
