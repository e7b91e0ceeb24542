"""The judge's sums on expected counts: what one window of each part of a schedule adds to each criterion.

Counts are replaced by their expected values, and the dispersion by what it is before the watch has data of its own. The sums are linear
in the number of windows, so that a week costs as much as a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import MOST_WITH_BASELINE, JudgePlan, LatencyPlan
from tfcanary.decide.judge import latency_mean, latency_row
from tfcanary.decide.judge.counted_windows import Buckets, LatencySum, TrackCounts
from tfcanary.decide.judge.dispersion import MOST_FREQUENT, Noise, cautious_dispersion
from tfcanary.decide.judge.error_limits import AbsoluteErrors
from tfcanary.decide.judge.latency_mean import most_squares
from tfcanary.decide.judge.means import NAME as QUALITY
from tfcanary.decide.judge.means import MeanRow, mean_rows
from tfcanary.decide.judge.rate_rows import ERROR_BETS, LATENCY_WANDER, RateRow, RowKind, rows
from tfcanary.decide.judge.rates import ON_RELATIVE
from tfcanary.decide.judge.spread import Draws, Spread, draw_factor, widened_grid
from tfcanary.decide.judge.stable_level import StableLevel, alpha_parts, freeze
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_sums import ExpectedSums, mean_scores
from tfcanary.decide.stats.binomial import GAPS, down_weight, grid_points, log_likelihood
from tfcanary.decide.stats.logarithms import Array, Flags

TAIL = 0.03
"""Share of the slowest requests that `Regression.tail` slows down."""
LEVEL = 1e9
"""Number of requests that makes stable's level as good as exact."""
CALM = 0.05
"""Variance beyond chance where there is no history at all: the least that any history proves."""
NONE = 1e-300
"""Replaces a number of requests of 0 in a denominator."""


@dataclass(frozen=True, slots=True)
class ObjectiveLevel:
    """The level of one of the user's objectives on stable."""

    level: float
    """Events for each exposure, or the mean of the values."""
    each: float = 1.0
    """Exposures, or values, for each answered request."""
    variance: float = 0.0
    """Variance of one value."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of stable, and of the traffic."""

    rate: float
    """Requests a second, to both tracks together."""
    error_rate: float
    """Failed of all requests on stable."""
    latency: tuple[float, ...]
    """Requests by bucket of LATENCY_BOUNDS, the last without a bound; empty where there is no histogram: latency is then left out."""
    latency_mean: float | None = None
    """Mean latency in microseconds; None where stable exports no sum: the shape within each bucket is then assumed."""
    quality: tuple[float, float] | None = None
    """Mean and variance of the per-request value."""
    noise: Mapping[str, Noise] | None = None
    """Noise by criterion, from stable's history; a criterion without an entry has the judge's own assumption. None: the least noise."""
    objectives: Mapping[str, ObjectiveLevel] = field(default_factory=dict)
    """Levels of the user's objectives, by name, without those that stable does not count."""
    every: float = 0.0
    """Seconds between two counts of stable's servers: no window is shorter."""
    servers: int = 1
    """Number of stable's servers."""
    spread: Mapping[str, Spread] | None = None
    """The spread between stable's servers by criterion, from its history; a criterion without an entry has the judge's own assumption.

    None: nothing is known, and the servers are taken to be alike.
    """


@dataclass(frozen=True, slots=True)
class Regression:
    """A canary, as factors on stable; by default exactly like stable."""

    name: str = "none"
    errors: float = 1.0
    latency: float = 1.0
    tail: float = 1.0
    quality: float = 1.0
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Factors of the user's objectives, by name: on the events for each exposure, or on the mean."""


Scores = Callable[[Array], tuple[float, float]]
"""Maps counted windows, shape (parts,), to the logs of the e-values for rollback and for promotion."""


@dataclass(frozen=True, slots=True)
class ExpectedCriterion:
    """One criterion on expected counts."""

    alpha_part: float
    """The part of alpha that the criterion may spend."""
    starts: float
    """Seconds from which windows count."""
    scores: Scores


class ExpectedCriteria:
    """Builds the criteria of a plan for a known stable and an assumed canary."""

    def __init__(self, plan: JudgePlan, baseline: Baseline, poll: float, even: bool = False, servers: int = 1) -> None:
        """`servers` is the number of the canary's servers.

        `even`: latency's control gets as many requests as the canary where both fit, as `deploy.baseline` has it.
        """
        self._plan, self._baseline, self._poll, self._even = plan, baseline, poll, even
        self._factor = draw_factor(servers, baseline.servers)
        self._stable_level = _stable_level(plan, baseline)
        self._quality = baseline.quality if plan.quality and self._stable_level.quality is not None else None

    @property
    def missing(self) -> tuple[str, ...]:
        """What the plan asks for and stable does not export: such a release cannot be promoted."""
        gating = {name: one for name, one in (self._plan.objectives or {}).items() if one.gating}
        metrics = [name for name in self._stable_level.missing if "/" not in name]
        return (*metrics, *sorted(gating.keys() - self._baseline.objectives.keys()))

    def can_detect(self, regression: Regression) -> bool:
        """Return whether the plan and stable's metrics allow to detect the regression at all."""
        slower, worse = regression.latency != 1 or regression.tail != 1, regression.quality != 1
        own = regression.objectives.keys() <= self._baseline.objectives.keys()
        return own and (bool(self._stable_level.latency) or not slower) and (self._quality is not None or not worse)

    def criteria(self, share: Array, regression: Regression) -> list[ExpectedCriterion]:
        """Return all criteria that the judge decides on by counting.

        `share` is the canary's share of the traffic in each part of the schedule, shape (parts,).
        """
        n = self._baseline.rate * self._poll
        canary, stable = n * share, n * (1 - share)
        control = np.where(100 * share <= MOST_WITH_BASELINE, canary, stable) if self._even else stable
        settle, warm = self._plan.settle.total_seconds(), self._plan.warmup.total_seconds()
        criteria = [
            ExpectedCriterion(row.alpha_part, warm, self._rate(row, canary, control, regression))
            if row.kind is RowKind.TAIL
            else ExpectedCriterion(row.alpha_part, settle, self._rate(row, canary, stable, regression))
            for row in rows(self._plan, self._stable_level)
            if row.kind in (RowKind.ERRORS, RowKind.TAIL) or self._counts(row)
        ]
        parts = alpha_parts(self._plan)
        if self._plan.latency and self._stable_level.latency:
            shift = self._shift(self._plan.latency, canary, control, regression)
            mean = self._stable_level.latency_mean
            if mean is not None:
                shift = partial(_without_proof, shift)
                criteria.append(ExpectedCriterion(0.0, warm, self._latency_mean(self._plan.latency, mean, canary, control)))
            criteria.append(ExpectedCriterion(parts[latency_row.NAME], warm, shift))
        averaged = (row for row in mean_rows(self._plan, self._stable_level) if row.gating)
        return [*criteria, *(ExpectedCriterion(row.alpha_part, settle, self._means(row, canary, stable, regression)) for row in averaged)]

    def _counts(self, row: RateRow) -> bool:
        """Return whether the row is a gating objective that stable counts."""
        return row.kind is RowKind.OBJECTIVE and row.gating and row.title in self._baseline.objectives

    def _rate(self, row: RateRow, canary: Array, stable: Array, regression: Regression) -> Scores:
        p_c, p_b = self._frequencies(row, regression)
        noise, wander = self._noise(row.name, row.wander)
        each = self._baseline.objectives[row.title].each if row.kind is RowKind.OBJECTIVE else 1.0
        sides = ((canary * each, p_c), (stable * each, p_b))
        (n_c, p_c), (n_b, p_b) = reversed(sides) if row.swapped else sides
        factor = down_weight(n_c * p_c + n_b * p_b, n_c, n_b, wander)
        x_c, n_c, x_b, n_b = factor * np.stack([n_c * p_c, n_c, n_b * p_b, n_b])
        harm, favour = self._draw(row.name, row.spread, row.alpha_part)
        etas, usable = self._grid(row.tolerance, row.margin, GAPS, harm, favour)
        share = n_c * p_c / np.maximum(n_c * p_c + n_b * p_b, NONE)
        frequency = float(np.sum(x_c + x_b) / max(np.sum(n_c + n_b), NONE))
        sums = ExpectedSums(
            likelihoods=usable * log_likelihood(x_c[:, None], n_c[:, None], x_b[:, None], n_b[:, None], etas),
            information=(x_c + x_b) * share * (1 - share),
            size=n_c * n_b / np.maximum(n_c + n_b, NONE),
            chance=1 - min(frequency, MOST_FREQUENT),
            noise=noise,
            burst=row.burst,
            wander=wander,
            poll=self._poll,
        )
        if row.kind is RowKind.ERRORS:
            return partial(self._errors, sums, np.log(ERROR_BETS), canary, stable, p_c, (harm, favour))
        return partial(sums.scores, np.full(len(GAPS), -math.log(len(GAPS))), row.kind is RowKind.OBJECTIVE)

    def _grid(self, tolerance: float, margin: float, gaps: Array, harm: float, favour: float) -> tuple[Array, Flags]:
        """Return the grid of a row, widened by the draw of servers, and which of its points can be evidence; both of shape (grid,)."""
        widened, usable = widened_grid(grid_points([tolerance], [margin], gaps), np.array([harm]), np.array([favour]))
        return widened[0], usable[0]

    def _draw(self, name: str, wander: float, alpha_part: float) -> tuple[float, float]:
        """Return what the draw of servers can do to a criterion, to the canary's harm and in its favour."""
        if self._baseline.spread is None:
            return 0.0, 0.0
        draws = Draws.of(self._plan, (name,), np.full(1, wander), (alpha_part,), self._baseline.spread)
        return float(draws.rollback[0]) * self._factor, float(draws.promote[0]) * self._factor

    def _errors(
        self,
        sums: ExpectedSums,
        bets: Array,
        canary: Array,
        stable: Array,
        p_c: float,
        draw: tuple[float, float],
        windows: Array,
    ) -> tuple[float, float]:
        """Return the logs of both e-values of the errors: rollback must exceed both tolerances, promotion may use either margin."""
        rollback, promote = sums.phi(windows)
        log_rollback, log_promote = sums.mixtures(windows, bets, max(rollback, promote), promote)
        canary_requests, stable_requests = float(windows @ canary), float(windows @ stable)
        absolute = AbsoluteErrors(self._plan, self._baseline.error_rate)
        absolute.add(_window(_count(canary_requests, p_c), _count(stable_requests, self._baseline.error_rate)), *draw)
        log_rollback = min(log_rollback, absolute.log_errors(max(rollback, promote)))
        low = absolute.log_below(float(cautious_dispersion(promote, 1.0)))
        return log_rollback, float(np.logaddexp(math.log(ON_RELATIVE) + log_promote, math.log(1 - ON_RELATIVE) + low))

    def _frequencies(self, row: RateRow, regression: Regression) -> tuple[float, float]:
        if row.kind is RowKind.ERRORS:
            return min(self._baseline.error_rate * regression.errors, 1.0), self._baseline.error_rate
        if row.kind is RowKind.OBJECTIVE:
            level = self._baseline.objectives[row.title].level
            return level * regression.objectives.get(row.title, 1.0), level
        bound = np.array([LATENCY_BOUNDS[row.index]])
        return float(self._slower(bound, regression)[0]), float(self._slower(bound, Regression())[0])

    def _slower(self, x: Array, regression: Regression) -> Array:
        """Return the share of a canary's requests that take longer than each `x`."""
        survival = self._stable_level.survival()
        bulk = survival(x / regression.latency)
        result: Array = np.maximum(bulk, np.minimum(survival(x / regression.latency / regression.tail), TAIL))
        return result

    def _shift(self, latency: LatencyPlan, canary: Array, stable: Array, regression: Regression) -> Scores:
        cells = latency_row.LatencyCells.of(self._stable_level)
        draw = self._draw(latency_row.NAME, LATENCY_WANDER, alpha_parts(self._plan)[latency_row.NAME])
        shifts, usable = self._grid(math.log1p(latency.tolerance), math.log1p(latency.margin), latency_row.GAPS_OF_SHIFT, *draw)
        log_ratios = cells.log_ratios(shifts)
        slower, faster = cells.masses(np.array([latency_row.SCORE_STEP, -latency_row.SCORE_STEP])).T
        sensitivity = np.log(slower / faster) / (2 * latency_row.SCORE_STEP)
        edges = np.array([1.0, *self._slower(cells.cuts, regression), 0.0])
        canary_masses = canary[:, None] * np.maximum(-np.diff(edges), latency_row.SMALLEST_MASS)
        both = canary_masses + stable[:, None] * cells.masses(np.zeros(1))[:, 0]
        share = canary / np.maximum(canary + stable, NONE)
        information = share * (1 - share) * (both @ sensitivity**2)
        noise, wander = self._noise(latency_row.NAME, LATENCY_WANDER)
        factor = 1.0 / (1.0 + wander**2 * information)
        mixed = np.log(share[:, None, None] * np.exp(log_ratios) + 1 - share[:, None, None])
        sums = ExpectedSums(
            likelihoods=usable * factor[:, None] * (canary_masses @ log_ratios - np.einsum("sc,scg->sg", both, mixed)),
            information=factor * information,
            size=factor * canary * (1 - share),
            chance=1.0,
            noise=noise,
            burst=1.0,
            wander=wander,
            poll=self._poll,
        )
        return partial(sums.scores, latency_row.EVEN[0], False)

    def _latency_mean(self, latency: LatencyPlan, mean: float, canary: Array, stable: Array) -> Scores:
        """Return the scores of a mean latency exactly like stable's: the row is for promotion alone."""
        counts = np.array(self._stable_level.latency)
        variance = max(most_squares(counts, mean * float(counts.sum())) / float(counts.sum()) - mean**2, 0.0)
        noise, wander = self._noise(latency_mean.NAME, LATENCY_WANDER)
        size = canary * stable / np.maximum(canary + stable, NONE)
        sums = ExpectedSums(np.zeros((len(size), 2)), size, size, variance, noise, 1.0, wander * mean, self._poll)
        _, favour = self._draw(latency_mean.NAME, LATENCY_WANDER, 1.0)
        return partial(mean_scores, sums, 0.0, (latency.tolerance * mean, latency.margin * mean), (0.0, favour * mean))

    def _means(self, row: MeanRow, canary: Array, stable: Array, regression: Regression) -> Scores:
        own = self._baseline.objectives.get(row.title) or ObjectiveLevel(row.level, variance=(self._quality or (0.0, 0.0))[1])
        factor = regression.objectives.get(row.title, 1.0) if row.name != QUALITY else regression.quality
        scale = abs(row.level)
        noise, wander = self._noise(row.name, row.wander)
        size = own.each * canary * stable / np.maximum(canary + stable, NONE)
        sums = ExpectedSums(np.zeros((len(size), 2)), size, size, own.variance, noise, 1.0, wander * scale, self._poll)
        lost = (1 - factor if row.lower_is_worse else factor - 1) * scale
        harm, favour = self._draw(row.name, 0.0, row.alpha_part)
        return partial(mean_scores, sums, lost, (row.tolerance * scale, row.margin * scale), (harm * scale, favour * scale))

    def _noise(self, name: str, assumed: float) -> tuple[Noise | None, float]:
        """Return what the history shows of a criterion, or None, and by how much windows wander."""
        if self._baseline.noise is None:
            return Noise(excess=(CALM, CALM), fixed=(CALM, CALM), size=1.0, wander=assumed), assumed
        noise = self._baseline.noise.get(name)
        return noise, noise.wander if noise else assumed


def _stable_level(plan: JudgePlan, baseline: Baseline) -> StableLevel:
    """Return stable's level as the judge would take it; classes and traffic need no planning."""
    counts, requests = np.array(baseline.latency), max(LEVEL, 2.0 * plan.freeze_requests)
    whole = counts.sum() if len(counts) else 0.0
    level = TrackCounts(
        ok=requests * (1 - baseline.error_rate),
        failed=requests * baseline.error_rate,
        latency=Buckets.of(counts * requests / whole) if whole > 0 else None,
        latency_sum=LatencySum.between(0.0, requests * baseline.latency_mean) if baseline.latency_mean is not None else None,
        quality=(requests * baseline.quality[0], None, requests) if baseline.quality else None,
        objectives={name: (requests * one.each * one.level, requests * one.each) for name, one in baseline.objectives.items()},
    )
    stable_level = freeze(level, replace(plan, classes=None))
    assert stable_level is not None
    return stable_level


def _without_proof(scores: Scores, windows: Array) -> tuple[float, float]:
    """Return the scores of a criterion of which promotion needs no proof."""
    return scores(windows)[0], math.inf


def _count(requests: float, error_rate: float) -> TrackCounts:
    return TrackCounts(ok=requests * (1 - error_rate), failed=requests * error_rate)


def _window(canary: TrackCounts, stable: TrackCounts) -> Window:
    return Window(0.0, 1.0, None, settled=True, warm=True, frozen=True, stable=stable, canary=canary)
