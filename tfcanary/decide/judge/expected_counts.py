"""The judge's sums on expected counts: what one window of each part of a schedule adds to each criterion.

Counts are replaced by what they are on average, and the dispersion by what it is before the watch has a say. The sums
are linear in the number of windows, so that a week costs as much to look at as a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge import latency_row
from tfcanary.decide.judge.counted_windows import Buckets, Counts
from tfcanary.decide.judge.dispersion import MOST_FREQUENT, Noise, cautious
from tfcanary.decide.judge.error_limits import AbsoluteErrors
from tfcanary.decide.judge.means import NAME as QUALITY
from tfcanary.decide.judge.means import MeanRow, mean_rows
from tfcanary.decide.judge.rate_rows import ERROR_BETS, LATENCY_WANDER, Kind, Row, rows
from tfcanary.decide.judge.rates import ON_RELATIVE
from tfcanary.decide.judge.stable_level import Frozen, freeze, weights
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_sums import Sums, mean_scores
from tfcanary.decide.stats.binomial import GAPS, down_weight, log_likelihood, points
from tfcanary.decide.stats.logarithms import Array, log_add

TAIL = 0.03
"""`tail` slows the slowest 3 % of the requests, and none faster than they."""
LEVEL = 1e9
"""Requests that stand for "stable's level is known exactly"."""
CALM = 0.05
"""Variance beyond chance where nobody has looked: the least that any history proves."""
NONE = 1e-300
"""Stands for no request at all where one divides by it."""


@dataclass(frozen=True, slots=True)
class Level:
    """Of one of the user's objectives on stable."""

    level: float
    """Events for each exposure, or the mean of the values."""
    each: float = 1.0
    """Exposures, or values, for each answered request."""
    variance: float = 0.0
    """Of one value."""


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
    objectives: Mapping[str, Level] = field(default_factory=dict)
    """The user's, by name, without those that stable does not count."""
    every: float = 0.0
    """Seconds between two counts of stable's servers: no window is shorter."""


@dataclass(frozen=True, slots=True)
class Regression:
    """A canary, as factors on stable; by default exactly like it."""

    name: str = "none"
    errors: float = 1.0
    latency: float = 1.0
    tail: float = 1.0
    quality: float = 1.0
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Of the user's, by name: events for each exposure, or the mean."""


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
        gating = {name: one for name, one in (self._plan.objectives or {}).items() if one.gating}
        metrics = [name for name in self._frozen.missing if "/" not in name]
        return (*metrics, *sorted(gating.keys() - self._baseline.objectives.keys()))

    def shows(self, regression: Regression) -> bool:
        """Whether the plan and stable's metrics allow to see the regression at all."""
        slower, worse = regression.latency != 1 or regression.tail != 1, regression.quality != 1
        own = regression.objectives.keys() <= self._baseline.objectives.keys()
        return own and (bool(self._frozen.latency) or not slower) and (self._quality is not None or not worse)

    def criteria(self, share: Array, regression: Regression) -> list[Criterion]:
        """All that the judge decides on by counting, for canaries of these shares of the traffic, one a part."""
        n = self._baseline.rate * self._poll
        canary, stable = n * share, n * (1 - share)
        settle, warm = self._plan.settle.total_seconds(), self._plan.warmup.total_seconds()
        found = [
            Criterion(row.weight, warm if row.kind is Kind.TAIL else settle, self._rate(row, canary, stable, regression))
            for row in rows(self._plan, self._frozen)
            if row.kind in (Kind.ERRORS, Kind.TAIL) or self._counts(row)
        ]
        parts = weights(self._plan)
        if self._plan.latency and self._frozen.latency:
            found.append(Criterion(parts[latency_row.NAME], warm, self._shift(self._plan.latency, canary, stable, regression)))
        averaged = (row for row in mean_rows(self._plan, self._frozen) if row.gating)
        return [*found, *(Criterion(row.weight, settle, self._means(row, canary, stable, regression)) for row in averaged)]

    def _counts(self, row: Row) -> bool:
        """Whether it is an objective that decides, and that stable counts."""
        return row.kind is Kind.OBJECTIVE and row.gating and row.title in self._baseline.objectives

    def _rate(self, row: Row, canary: Array, stable: Array, regression: Regression) -> Scores:
        p_c, p_b = self._frequencies(row, regression)
        noise, wander = self._noise(row.name, row.wander)
        each = self._baseline.objectives[row.title].each if row.kind is Kind.OBJECTIVE else 1.0
        sides = ((canary * each, p_c), (stable * each, p_b))
        (n_c, p_c), (n_b, p_b) = reversed(sides) if row.swapped else sides
        light = down_weight(n_c * p_c + n_b * p_b, n_c, n_b, wander)
        x_c, n_c, x_b, n_b = light * np.stack([n_c * p_c, n_c, n_b * p_b, n_b])
        etas = points([row.tolerance], [row.margin], GAPS)[0]
        share = n_c * p_c / np.maximum(n_c * p_c + n_b * p_b, NONE)
        frequency = float(np.sum(x_c + x_b) / max(np.sum(n_c + n_b), NONE))
        sums = Sums(
            likelihoods=log_likelihood(x_c[:, None], n_c[:, None], x_b[:, None], n_b[:, None], etas),
            information=(x_c + x_b) * share * (1 - share),
            size=n_c * n_b / np.maximum(n_c + n_b, NONE),
            chance=1 - min(frequency, MOST_FREQUENT),
            noise=noise,
            burst=row.burst,
            wander=wander,
            poll=self._poll,
        )
        if row.kind is Kind.ERRORS:
            return partial(self._errors, sums, np.log(ERROR_BETS), canary, stable, p_c)
        return partial(sums.scores, np.full(len(GAPS), -math.log(len(GAPS))), row.kind is Kind.OBJECTIVE)

    def _errors(self, sums: Sums, bets: Array, canary: Array, stable: Array, p_c: float, windows: Array) -> tuple[float, float]:
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
        if row.kind is Kind.OBJECTIVE:
            level = self._baseline.objectives[row.title].level
            return level * regression.objectives.get(row.title, 1.0), level
        bound = np.array([LATENCY_BOUNDS[row.index]])
        return float(self._slower(bound, regression)[0]), float(self._slower(bound, Regression())[0])

    def _slower(self, x: Array, regression: Regression) -> Array:
        """The share of a canary's requests that take longer than x."""
        survival = self._frozen.survival()
        bulk = survival(x / regression.latency)
        result: Array = np.maximum(bulk, np.minimum(survival(x / regression.latency / regression.tail), TAIL))
        return result

    def _shift(self, latency: LatencyPlan, canary: Array, stable: Array, regression: Regression) -> Scores:
        cells = latency_row.Cells.of(self._frozen)
        shifts = points([math.log1p(latency.tolerance)], [math.log1p(latency.margin)], latency_row.GAPS_OF_SHIFT)[0]
        log_ratios = cells.log_ratios(shifts)
        slower, faster = cells.masses(np.array([latency_row.SCORE_STEP, -latency_row.SCORE_STEP])).T
        sensitivity = np.log(slower / faster) / (2 * latency_row.SCORE_STEP)
        edges = np.array([1.0, *self._slower(cells.cuts, regression), 0.0])
        ours = canary[:, None] * np.maximum(-np.diff(edges), latency_row.SMALLEST_MASS)
        both = ours + stable[:, None] * cells.masses(np.zeros(1))[:, 0]
        share = canary / np.maximum(canary + stable, NONE)
        information = share * (1 - share) * (both @ sensitivity**2)
        noise, wander = self._noise(latency_row.NAME, LATENCY_WANDER)
        light = 1.0 / (1.0 + wander**2 * information)
        mixed = np.log(share[:, None, None] * np.exp(log_ratios) + 1 - share[:, None, None])
        sums = Sums(
            likelihoods=light[:, None] * (ours @ log_ratios - np.einsum("sc,scg->sg", both, mixed)),
            information=light * information,
            size=light * canary * (1 - share),
            chance=1.0,
            noise=noise,
            burst=1.0,
            wander=wander,
            poll=self._poll,
        )
        return partial(sums.scores, latency_row.EVEN[0], False)

    def _means(self, row: MeanRow, canary: Array, stable: Array, regression: Regression) -> Scores:
        own = self._baseline.objectives.get(row.title) or Level(row.level, variance=(self._quality or (0.0, 0.0))[1])
        factor = regression.objectives.get(row.title, 1.0) if row.name != QUALITY else regression.quality
        scale = abs(row.level)
        noise, wander = self._noise(row.name, row.wander)
        size = own.each * canary * stable / np.maximum(canary + stable, NONE)
        sums = Sums(np.zeros((len(size), 2)), size, size, own.variance, noise, 1.0, wander * scale, self._poll)
        lost = (1 - factor if row.lower_is_worse else factor - 1) * scale
        return partial(mean_scores, sums, lost, row.tolerance * scale, row.margin * scale)

    def _noise(self, name: str, assumed: float) -> tuple[Noise | None, float]:
        """What history has shown, and by how much windows wander; None: nothing."""
        if self._baseline.noise is None:
            return Noise(excess=(CALM, CALM), fixed=(CALM, CALM), size=1.0, wander=assumed), assumed
        known = self._baseline.noise.get(name)
        return known, known.wander if known else assumed


def _frozen(plan: JudgePlan, baseline: Baseline) -> Frozen:
    """Stable's level as the judge would take it; classes and traffic need no planning."""
    counts, requests = np.array(baseline.latency), max(LEVEL, 2.0 * plan.freeze_requests)
    whole = counts.sum() if len(counts) else 0.0
    level = Counts(
        ok=requests * (1 - baseline.error_rate),
        failed=requests * baseline.error_rate,
        latency=Buckets.of(counts * requests / whole) if whole > 0 else None,
        quality=(requests * baseline.quality[0], None, requests) if baseline.quality else None,
        objectives={name: (requests * one.each * one.level, requests * one.each) for name, one in baseline.objectives.items()},
    )
    frozen = freeze(level, replace(plan, classes=None))
    assert frozen is not None
    return frozen


def _count(requests: float, error_rate: float) -> Counts:
    return Counts(ok=requests * (1 - error_rate), failed=requests * error_rate)


def _window(canary: Counts, stable: Counts) -> Window:
    return Window(0.0, 1.0, None, settled=True, warm=True, frozen=True, stable=stable, canary=canary)
