"""The normal distribution as the judge needs it: the logarithm of its distribution function, and mixtures of likelihoods over it.

Written here instead of `scipy.special.log_ndtr`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import math

ASYMPTOTIC_BELOW = -8.0
"""Below this z the asymptotic series replaces erfc; both agree there to eight digits."""


def log_cdf(z: float) -> float:
    """Return the log of the standard normal distribution function at `z`; the relative error is below 3e-8 everywhere."""
    if z > ASYMPTOTIC_BELOW:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    y = 1.0 / (z * z)
    series = 1.0 - y + 3.0 * y**2 - 15.0 * y**3 + 105.0 * y**4
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi) + math.log(series)


def log_half_normal_mixture(s: float, information: float, scale: float) -> float:
    """Return the log of the integral of exp(l s - l^2 information/2) over a half-normal l >= 0 with this scale.

    Where `s` is a sum with variance `information` and a mean of at most 0, this is the log of an e-process (Robbins 1970; Howard, Ramdas,
    McAuliffe and Sekhon 2021, the one-sided normal mixture).
    """
    q = 1.0 / scale**2
    total = information + q
    return 0.5 * math.log(4.0 * q / total) + s * s / (2.0 * total) + log_cdf(s / math.sqrt(total))
