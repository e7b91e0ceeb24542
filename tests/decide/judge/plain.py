"""The rate rows and the latency row once more, as slowly and plainly as their definitions read: what the fast ones must equal."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as student

GAPS = [0.03 * 1.5**i for i in range(14)]
LIKELY = [0.15 / 8] * 6 + [0.10, 0.13, 0.19, 0.19, 0.14, 0.10] + [0.15 / 8] * 2


def lse(values):
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def long_run(u, lag):
    total = sum(x * x for x in u)
    for j in range(1, min(lag, len(u) - 1) + 1):
        total += 2 * (1 - j / (lag + 1)) * sum(u[t] * u[t - j] for t in range(j, len(u)))
    return max(total, 0.0)


def cautious_dispersion(phi, chance=1.0):
    return chance + 1.4 * (phi - chance) if phi > chance else phi


def variance(u, a, chance, size, counted, step, lag, chi, omega, noise, which):
    if noise is None:
        rho = math.exp(-step / 120)
        inflation = 1 + 2 * sum((1 - j / (lag + 1)) * rho**j for j in range(1, lag + 1))
        prior, worth = chi * chance + omega**2 * min(sum(a) ** 2, inflation * sum(x * x for x in a)), 600
    else:
        fixed, excess = noise.fixed[which], noise.excess[which]
        prior, worth = chance * (1 + fixed + (excess - fixed) * max(size / step / noise.size, 0.5)), 3600
    beta = 1 / (1 + counted * step / worth)
    return max(beta * prior + (1 - beta) * long_run(u, lag), chance)


def rate_row(windows, eta0, eta1, omega, chi, step, noise=None, likely=False, longer=False, narrower=None):
    """ln e for rollback and promote, and both phis, of windows (x_c, n_c, x_b, n_b) or None; `narrower` is taken from eta1, by window."""
    light, assumed = [], omega
    omega = noise.wander if noise else omega
    for w in windows:
        x_c, n_c, x_b, n_b = w or (0, 0, 0, 0)
        pi = n_c / max(n_c + n_b, 1e-9)
        kappa = 1 / (1 + omega**2 * (x_c + x_b) * pi * (1 - pi))
        light.append((x_c * kappa, n_c * kappa, x_b * kappa, n_b * kappa))
    phi = rate_phi(light, [w is not None for w in windows], assumed, chi, step, noise)
    phi_r, phi_p = (max(phi) if longer else phi[0]), cautious_dispersion(phi[1])

    unchanged = [0.0] * len(light)

    def likelihood(eta, less=unchanged):
        return sum(
            x_c * (eta - y) - (x_c + x_b) * math.log((n_c * math.exp(eta - y) + n_b) / (n_c + n_b))
            for (x_c, n_c, x_b, n_b), y in zip(light, less, strict=True)
            if n_c + n_b > 0
        )

    less = narrower or unchanged
    at_margin = likelihood(eta1, less)
    bets = LIKELY if likely else [1 / 14] * 14
    up = lse([math.log(v) + (likelihood(eta0 + g) - likelihood(eta0)) / phi_r for v, g in zip(bets, GAPS, strict=True)])
    grid = lse([(likelihood(eta1 - g, less) - at_margin) / phi_p - math.log(14) for g in GAPS])
    return up, lse([math.log(0.9) - at_margin / phi_p, math.log(0.1) + grid]), phi_r, phi_p


def rate_phi(light, counted, omega, chi, step, noise):
    ns = [max(n_c + n_b, 1e-9) for _, n_c, _, n_b in light]
    above = sum(x_c * n_b / n for (x_c, _, _, n_b), n in zip(light, ns, strict=True)) + 0.5
    below = sum(x_b * n_c / n for (_, n_c, x_b, _), n in zip(light, ns, strict=True)) + 0.5
    r = above / below
    u, a = [], []
    for x_c, n_c, x_b, n_b in light:
        pi = n_c * r / max(n_c * r + n_b, 1e-9)
        u.append(x_c - (x_c + x_b) * pi)
        a.append((x_c + x_b) * pi * (1 - pi))
    frequency = min(sum(w[0] + w[2] for w in light) / sum(ns), 0.98)
    chance, size = sum(a) * (1 - frequency), sum(w[1] * w[3] / n for w, n in zip(light, ns, strict=True)) / sum(counted)
    return [
        variance(u, a, chance, size, sum(counted), step, round(m / step), chi, omega, noise, k) / sum(a) for k, m in enumerate((120, 300))
    ]


def widening(wander, tail, canary, stable, deviation=None, servers=1):
    """What the draw of servers can do: the spread is 0.1 of the wander, or blended with what `servers` of them showed, six in all."""
    known = servers - 1 if deviation is not None else 0
    missing = max(5 - known, 0)
    s = math.sqrt((known * (deviation or 0.0) ** 2 + missing * (0.1 * wander) ** 2) / (known + missing))
    return student.isf(tail, max(known, 5)) * s * math.sqrt(1 / canary + 1 / stable)


def one_sample(pairs, gaps, bets, phi):
    """ln of the Poisson mixture of (events, expected under the null)."""
    return lse([math.log(v) + sum(x * g - m * math.expm1(g) for x, m in pairs) / phi for g, v in zip(gaps, bets, strict=True)])


def latency_row(cells, masses, y0, y1, step, noise=None):
    """ln e for rollback and promote from cells (canary, stable) a window; `masses(y)` is the share of each cell."""
    base, omega = masses(0.0), noise.wander if noise else 0.03
    score = (np.log(masses(0.01)) - np.log(masses(-0.01))) / 0.02
    u, a, sizes, light = [], [], [], []
    for canary, stable in cells:
        n_c, n_b, both = canary.sum(), stable.sum(), canary + stable
        pi = n_c / (n_c + n_b)
        information = pi * (1 - pi) * sum(score**2 * both)
        kappa = 1 / (1 + omega**2 * information)
        u.append(kappa * sum(score * (canary - both * pi)))
        a.append(kappa * information)
        sizes.append(kappa * n_c * n_b / (n_c + n_b))
        light.append((kappa, canary, both, n_c, n_b))
    slope = sum(u) / sum(a)
    u = [x - y * slope for x, y in zip(u, a, strict=True)]
    phi = [
        variance(u, a, sum(a), np.mean(sizes), len(cells), step, round(m / step), 1, 0.03, noise, k) / sum(a)
        for k, m in enumerate((120, 300))
    ]
    phi[1] = cautious_dispersion(phi[1])

    def likelihood(y):
        rho = masses(y) / base
        return sum(k * (sum(c * np.log(rho)) - sum(x * np.log((n_c * rho + n_b) / (n_c + n_b)))) for k, c, x, n_c, n_b in light)

    up = lse([(likelihood(y0 + g) - likelihood(y0)) / phi[0] - math.log(9) for g in GAPS[:9]])
    grid = lse([(likelihood(y1 - g) - likelihood(y1)) / phi[1] - math.log(9) for g in GAPS[:9]])
    return up, lse([math.log(0.9) - likelihood(y1) / phi[1], math.log(0.1) + grid])
