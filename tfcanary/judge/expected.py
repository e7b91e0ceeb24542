"""The judge's sums on expected counts: what one window of each part of a schedule adds to each criterion.

Counts are replaced by what they are on average, and the dispersion by what it is before the watch has a say. The sums
are linear in the number of windows, so that a week costs as much to look at as a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tfcanary.domain import LATENCY_BOUNDS
from tfcanary.judge import means, shift
from tfcanary.judge.absolute import AbsoluteErrors
from tfcanary.judge.course import Window
from tfcanary.judge.dispersion import ASSUMED_WORTH, CORRELATION_TIME, LEAST_GROWTH, MOST_FREQUENT, Noise, cautious, lags
from tfcanary.judge.frozen import Frozen, freeze, weights
from tfcanary.judge.rates import ON_RELATIVE
from tfcanary.judge.rows import ERROR_BETS, LATENCY_WANDER, Kind, Row, rows
from tfcanary.judge.windows import Buckets, Counts
from tfcanary.plan import JudgePlan, LatencyPlan, QualityPlan
from tfcanary.stats.binomial import GAPS, NO_CHANGE, down_weight, grid, log_likelihood, points, promote_mixture, rollback_mixture
from tfcanary.stats.logarithms import Array, log_add
from tfcanary.stats.longrun import bartlett_sum
from tfcanary.stats.normal import log_half_normal_mixture

TAIL = 0.03
"""`tail` slows the slowest 3 % of the requests, and none faster than they."""
LEVEL = 1e9
"""Requests that stand for "stable's level is known exactly"."""
CALM = 0.05
"""Variance beyond chance where nobody has looked: the least that any history proves."""
NONE = 1e-300
"""Stands for no request at all where one divides by it."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of stable, and of the traffic."""

    rate: float
    """Requests a second, to both tracks together."""
    error_rate: float
    latency: tuple[float, ...]
    """Requests by bucket of LATENCY_BOUNDS, the last without a bound, or none: latency is then left out."""
    quality: tuple[float, float] | None = None
    """Mean and variance of the per-request value."""
    noise: Mapping[str, Noise] | None = None
    """By criterion, from its history; what lacks has the judge's own assumption. None: as calm as can be."""


@dataclass(frozen=True, slots=True)
class Regression:
    """A canary, as factors on stable; by default exactly like it."""

    name: str = "none"
    errors: float = 1.0
    latency: float = 1.0
    tail: float = 1.0
    quality: float = 1.0


Scores = Callable[[Array], tuple[float, float]]
"""From counted windows by part to the logarithms of the e-values for rollback and for promote."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One that can convict or pass."""

    weight: float
    """The part of alpha it may spend."""
    starts: float
    """Seconds from which windows count."""
    scores: Scores


class Expected:
    """Builds the criteria of a plan for a stable as it is known and a canary as it is assumed."""

    def __init__(self, plan: JudgePlan, baseline: Baseline, poll: float) -> None:
        self._plan, self._baseline, self._poll = plan, baseline, poll
        self._frozen = _frozen(plan, baseline)
        self._quality = baseline.quality if plan.quality and self._frozen.quality is not None else None

    @property
    def missing(self) -> tuple[str, ...]:
        """What the plan asks for and stable does not export: such a release cannot be promoted."""
        return self._frozen.missing

    def shows(self, regression: Regression) -> bool:
        """Whether the plan and stable's metrics allow to see the regression at all."""
        slower, worse = regression.latency != 1 or regression.tail != 1, regression.quality != 1
        return (bool(self._frozen.latency) or not slower) and (self._quality is not None or not worse)

    def criteria(self, share: Array, regression: Regression) -> list[Criterion]:
        """All that the judge decides on by counting, for canaries of these shares of the traffic, one a part."""
        n = self._baseline.rate * self._poll
        canary, stable = n * share, n * (1 - share)
        settle, warm = self._plan.settle.total_seconds(), self._plan.warmup.total_seconds()
        found = [
            Criterion(row.weight, settle if row.kind is Kind.ERRORS else warm, self._rate(row, canary, stable, regression))
            for row in rows(self._plan, self._frozen)
            if row.kind in (Kind.ERRORS, Kind.TAIL)
        ]
        parts = weights(self._plan)
        if self._plan.latency and self._frozen.latency:
            found.append(Criterion(parts[shift.NAME], warm, self._shift(self._plan.latency, canary, stable, regression)))
        if self._plan.quality and self._quality:
            found.append(Criterion(parts[means.NAME], settle, self._means(self._plan.quality, self._quality, canary, stable, regression)))
        return found

    def _rate(self, row: Row, canary: Array, stable: Array, regression: Regression) -> Scores:
        p_c, p_b = self._frequencies(row, regression)
        noise, wander = self._noise(row.name, row.wander)
        light = down_weight(canary * p_c + stable * p_b, canary, stable, wander)
        x_c, n_c, x_b, n_b = light * np.stack([canary * p_c, canary, stable * p_b, stable])
        etas = points([row.tolerance], [row.margin], GAPS)[0]
        share = n_c * p_c / np.maximum(n_c * p_c + n_b * p_b, NONE)
        frequency = float(np.sum(x_c + x_b) / max(np.sum(n_c + n_b), NONE))
        sums = _Sums(
            likelihoods=log_likelihood(x_c[:, None], n_c[:, None], x_b[:, None], n_b[:, None], etas),
            information=(x_c + x_b) * share * (1 - share),
            size=n_c * n_b / np.maximum(n_c + n_b, NONE),
            chance=1 - min(frequency, MOST_FREQUENT),
            noise=noise,
            burst=row.burst,
            wander=wander,
            poll=self._poll,
        )
        bets = np.log(ERROR_BETS) if row.kind is Kind.ERRORS else np.full(len(GAPS), -math.log(len(GAPS)))
        return partial(self._errors, sums, bets, canary, stable, p_c) if row.kind is Kind.ERRORS else partial(sums.scores, bets)

    def _errors(self, sums: _Sums, bets: Array, canary: Array, stable: Array, p_c: float, windows: Array) -> tuple[float, float]:
        """Relative and absolute: rollback must beat both tolerances, promote may use either."""
        rollback, promote = sums.phi(windows)
        up, down = sums.mixtures(windows, bets, max(rollback, promote), promote)
        ours, theirs = float(windows @ canary), float(windows @ stable)
        absolute = AbsoluteErrors(self._plan, self._baseline.error_rate)
        absolute.add(_window(_count(ours, p_c), _count(theirs, self._baseline.error_rate)))
        up = min(up, absolute.log_errors(max(rollback, promote)))
        low = absolute.log_below(float(cautious(promote, 1.0)))
        return up, float(log_add(math.log(ON_RELATIVE) + down, math.log(1 - ON_RELATIVE) + low))

    def _frequencies(self, row: Row, regression: Regression) -> tuple[float, float]:
        if row.kind is Kind.ERRORS:
            return min(self._baseline.error_rate * regression.errors, 1.0), self._baseline.error_rate
        bound = np.array([LATENCY_BOUNDS[row.index]])
        return float(self._slower(bound, regression)[0]), float(self._slower(bound, Regression())[0])

    def _slower(self, x: Array, regression: Regression) -> Array:
        """The share of a canary's requests that take longer than x."""
        survival = self._frozen.survival()
        bulk = survival(x / regression.latency)
        result: Array = np.maximum(bulk, np.minimum(survival(x / regression.latency / regression.tail), TAIL))
        return result

    def _shift(self, latency: LatencyPlan, canary: Array, stable: Array, regression: Regression) -> Scores:
        cells = shift.Cells.of(self._frozen)
        shifts = points([math.log1p(latency.tolerance)], [math.log1p(latency.margin)], shift.GAPS_OF_SHIFT)[0]
        log_ratios = cells.log_ratios(shifts)
        slower, faster = cells.masses(np.array([shift.SCORE_STEP, -shift.SCORE_STEP])).T
        sensitivity = np.log(slower / faster) / (2 * shift.SCORE_STEP)
        edges = np.array([1.0, *self._slower(cells.cuts, regression), 0.0])
        ours = canary[:, None] * np.maximum(-np.diff(edges), shift.SMALLEST_MASS)
        both = ours + stable[:, None] * cells.masses(np.zeros(1))[:, 0]
        share = canary / np.maximum(canary + stable, NONE)
        information = share * (1 - share) * (both @ sensitivity**2)
        noise, wander = self._noise(shift.NAME, LATENCY_WANDER)
        light = 1.0 / (1.0 + wander**2 * information)
        mixed = np.log(share[:, None, None] * np.exp(log_ratios) + 1 - share[:, None, None])
        sums = _Sums(
            likelihoods=light[:, None] * (ours @ log_ratios - np.einsum("sc,scg->sg", both, mixed)),
            information=light * information,
            size=light * canary * (1 - share),
            chance=1.0,
            noise=noise,
            burst=1.0,
            wander=wander,
            poll=self._poll,
        )
        return partial(sums.scores, shift.EVEN[0])

    def _means(self, quality: QualityPlan, level: tuple[float, float], canary: Array, stable: Array, regression: Regression) -> Scores:
        scale, variance = abs(level[0]), level[1]
        noise, wander = self._noise(means.NAME, means.WANDER)
        size = canary * stable / np.maximum(canary + stable, NONE)
        sums = _Sums(np.zeros((len(size), 2)), size, size, variance, noise, 1.0, wander * scale, self._poll)
        lost, tolerance, margin = (part * scale for part in (1 - regression.quality, quality.tolerance, quality.margin))
        return partial(_mean_scores, sums, lost, tolerance, margin)

    def _noise(self, name: str, assumed: float) -> tuple[Noise | None, float]:
        """What history has shown, and by how much windows wander; None: nothing."""
        if self._baseline.noise is None:
            return Noise(excess=(CALM, CALM), fixed=(CALM, CALM), size=1.0, wander=assumed), assumed
        known = self._baseline.noise.get(name)
        return known, known.wander if known else assumed


@dataclass(frozen=True, slots=True)
class _Sums:
    """What one window of each part adds to a criterion."""

    likelihoods: Array
    """Shape (parts, grid)."""
    information: Array
    size: Array
    chance: float
    """Variance by chance alone, for each unit of information."""
    noise: Noise | None
    burst: float
    wander: float
    poll: float

    def scores(self, bets: Array, windows: Array) -> tuple[float, float]:
        """Logarithms of the e-values for rollback and for promote."""
        return self.mixtures(windows, bets, *self.phi(windows))

    def mixtures(self, windows: Array, bets: Array, rollback: float, promote: float) -> tuple[float, float]:
        """The same, for dispersions that are known."""
        at_tolerance, at_margin, beyond, inside = grid((windows @ self.likelihoods)[None, :])
        up = rollback_mixture(at_tolerance, beyond, rollback, bets)
        return float(up[0]), float(promote_mixture(at_margin, inside, float(cautious(promote, 1.0)))[0])

    def phi(self, windows: Array) -> tuple[float, float]:
        """Dispersion for rollback and for promote."""
        total = float(windows @ self.information)
        if not total > 0:
            return 1.0, 1.0
        rollback, promote = (self._variance(windows, total, which) / total for which in (0, 1))
        return rollback, promote

    def _variance(self, windows: Array, total: float, which: int) -> float:
        chance = total * self.chance
        if self.noise:
            growth = max(float(windows @ self.size) / max(windows.sum(), 1.0) / self.noise.size, LEAST_GROWTH)
            excess, fixed = self.noise.excess[which], self.noise.fixed[which]
            return float(chance * (1 + fixed + (excess - fixed) * growth))
        # Without history the watch's own windows soon outweigh the assumption; here they are as calm as chance.
        inflation = bartlett_sum(lags(self.poll)[which], math.exp(-self.poll / CORRELATION_TIME))
        assumed = self.burst * chance + self.wander**2 * min(total**2, inflation * float(windows @ self.information**2))
        believed = 1.0 / (1.0 + float(windows.sum()) * self.poll / ASSUMED_WORTH)
        return max(believed * assumed + (1 - believed) * chance, chance)


def _mean_scores(sums: _Sums, lost: float, tolerance: float, margin: float, windows: Array) -> tuple[float, float]:
    size = float(windows @ sums.size)
    if not size > 0:
        return 0.0, 0.0
    rollback, promote = sums.phi(windows)
    gap = margin - tolerance
    information = size / rollback
    s = information * (lost - tolerance)
    near, far = (log_half_normal_mixture(s, information, scale) for scale in (gap, means.FAR * gap))
    information = size / float(cautious(promote, sums.chance))
    t = information * (margin - lost)
    same = math.log(NO_CHANGE) + margin * t - 0.5 * margin**2 * information
    down = log_add(same, math.log(1 - NO_CHANGE) + log_half_normal_mixture(t, information, gap))
    return float(log_add(near, far)) - math.log(2.0), float(down)


def _frozen(plan: JudgePlan, baseline: Baseline) -> Frozen:
    """Stable's level as the judge would take it; classes and traffic need no planning."""
    counts, requests = np.array(baseline.latency), max(LEVEL, 2.0 * plan.freeze_requests)
    whole = counts.sum() if len(counts) else 0.0
    level = Counts(
        ok=requests * (1 - baseline.error_rate),
        failed=requests * baseline.error_rate,
        latency=Buckets.of(counts * requests / whole) if whole > 0 else None,
        quality=(requests * baseline.quality[0], None, requests) if baseline.quality else None,
    )
    frozen = freeze(level, replace(plan, classes=None))
    assert frozen is not None
    return frozen


def _count(requests: float, error_rate: float) -> Counts:
    return Counts(ok=requests * (1 - error_rate), failed=requests * error_rate)


def _window(canary: Counts, stable: Counts) -> Window:
    return Window(0.0, 1.0, None, settled=True, warm=True, frozen=True, stable=stable, canary=canary)
