"""The latency row: the whole histogram of the canary against stable's, slower by one factor.

Every cell of the histogram is compared with the conditional binomial of the rate rows, all with one unknown: the log factor y by which
the canary is slower. That takes one part of alpha instead of one for each bound, and keeps about three quarters of the information in
the exact latencies.

The row rolls back. What the factor makes of the counts rests on a shape within each bucket, so that promotion excludes the ratio of the means
instead (`latency_mean`), wherever stable's servers export sums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS, Interval
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge.counted_windows import Buckets
from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK, Noise, Prior, ScoreSeries, cautious_dispersion, dispersion
from tfcanary.decide.judge.intervals import Likelihood, lower_bound, search_range, upper_bound
from tfcanary.decide.judge.rate_rows import LATENCY_WANDER
from tfcanary.decide.judge.spread import NO_SPREAD, Draw, Draws, Spread, chance_alpha, widened_grid
from tfcanary.decide.judge.stable_level import StableLevel, alpha_parts
from tfcanary.decide.judge.standing import RATIO_UNIT, Intervals, Need, Scores, Silence, Standing
from tfcanary.decide.judge.warming import Warming
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import WindowColumns
from tfcanary.decide.stats.binomial import GAPS, NO_CHANGE_BET, grid_points, promote_mixture, rollback_mixture, split_grid
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.survival import Survival

NAME = "latency"
GAPS_OF_SHIFT: Array = GAPS[:9]
"""Shape (9,): log factors beyond a bound on which the mixture bets, up to 2.2 times slower; anything slower is found by the largest."""
EVEN: Array = np.full((1, len(GAPS_OF_SHIFT)), -math.log(len(GAPS_OF_SHIFT)))
"""Shape (1, 9): natural logs of the weights of GAPS_OF_SHIFT, all the same."""
CUTS_BETWEEN = (0.005, 0.995)
"""Shares of slower requests between which a bound cuts the histogram: at least one request in 200 lies on either side."""
SMALLEST_MASS = 1e-6
"""Least share of requests in a cell, so that its logarithm is finite."""
SCORE_STEP = 0.01
"""Log factor over which the sensitivity of each cell is measured."""
LATTICE: Array = np.linspace(-1.6, 1.6, 641)
"""Shape (641,): log factors, fivefold either way, at which the likelihood is kept for the interval."""


@dataclass(frozen=True, slots=True)
class LatencyCells:
    """The cells of the histogram, and how the shares of requests in them change when everything is slower."""

    starts: tuple[int, ...]
    """Index of the first bucket of each cell."""
    cuts: Array
    """Latencies between the cells, in the unit of LATENCY_BOUNDS, shape (cells - 1,)."""
    survival: Survival

    @classmethod
    def of(cls, stable_level: StableLevel) -> LatencyCells:
        """Build the cells from stable's histogram."""
        survival = stable_level.survival()
        bounds = np.array(LATENCY_BOUNDS)
        slower = survival(bounds)
        inside = np.flatnonzero((slower >= CUTS_BETWEEN[0]) & (slower <= CUTS_BETWEEN[1]))
        if len(inside) == 0:
            # All requests lie in one bucket: only the bounds on both sides of it can show a change.
            first = int(np.argmax(slower < CUTS_BETWEEN[0])) if slower[-1] < CUTS_BETWEEN[0] else len(bounds) - 1
            inside = np.array([max(first - 1, 0), first]) if first > 0 else np.array([0])
        return cls((0, *(inside + 1).tolist()), bounds[inside], survival)

    def count(self, latency: Buckets) -> Array:
        """Return the number of requests in each cell, shape (cells,)."""
        counts: Array = np.add.reduceat(latency.dense(), self.starts)
        return counts

    def masses(self, shifts: Array) -> Array:
        """Return the share of the requests in each cell when everything is e^y times slower, shape (cells, shifts); `shifts` are the y."""
        slower = self.survival(self.cuts[:, None] * np.exp(-shifts))
        edges = np.vstack([np.ones(len(shifts)), slower, np.zeros(len(shifts))])
        masses: Array = np.maximum(-np.diff(edges, axis=0), SMALLEST_MASS)
        return masses

    def log_ratios(self, shifts: Array) -> Array:
        """Return the natural log of `masses` relative to no shift, shape (cells, shifts)."""
        ratios: Array = np.log(self.masses(shifts) / self.masses(np.zeros(1)))
        return ratios


class _WeightedWindow(NamedTuple):
    """One window: its weight, requests by cell on the canary and on both tracks, and all requests of each track."""

    factor: float
    canary: Array
    both: Array
    n_c: float
    n_b: float


class LatencyAccumulator:
    """Accumulates the windows of the latency histogram."""

    def __init__(
        self,
        plan: JudgePlan,
        latency: LatencyPlan,
        stable_level: StableLevel,
        history: Mapping[str, Noise],
        spread: Mapping[str, Spread] = NO_SPREAD,
    ) -> None:
        self._plan = plan
        self._alpha_part = alpha_parts(plan)[NAME]
        self._tolerance, self._margin = math.log1p(latency.tolerance), math.log1p(latency.margin)
        self._cells = LatencyCells.of(stable_level)
        self._need = Need.PROOF if stable_level.latency_mean is None else Need.DATA
        self._draws = Draws.of(plan, (NAME,), np.full(1, LATENCY_WANDER), (self._alpha_part,), spread)
        self._servers: tuple[int, int] | None = None
        self._widened = (np.zeros(1), np.zeros(1))
        """By how much the draw of servers widened tolerance and margin in the last window."""
        self._shifts = grid_points([self._tolerance], [self._margin], GAPS_OF_SHIFT)
        self._usable = np.ones(self._shifts.shape[1], dtype=bool)
        self._log_ratios = self._cells.log_ratios(self._shifts[0])
        slower, faster = self._cells.masses(np.array([SCORE_STEP, -SCORE_STEP])).T
        self._sensitivity = np.log(slower / faster) / (2 * SCORE_STEP)
        self._lattice = self._cells.log_ratios(LATTICE)
        self._wander = history[NAME].wander if NAME in history else LATENCY_WANDER
        self._prior = Prior.of((NAME,), np.ones(1), np.full(1, LATENCY_WANDER), history)
        self._likelihoods = np.zeros(self._shifts.shape[1])
        self._columns = WindowColumns(4)
        self._lattice_likelihood, self._expected = np.zeros(len(LATTICE)), 0.0
        """The log likelihood on the lattice, and at the widened margin the one that a canary exactly like stable would have."""
        self._pending: list[_WeightedWindow] = []
        """Windows that are not yet in these two: they are added only when an interval is asked for."""
        self._warming = Warming()
        self._answered_requests = np.zeros(2)
        self._silence = Silence()

    def add(self, window: Window) -> None:
        """Add a window; it counts nothing where a track answered no request in it, or where the canary was cold."""
        has_data = False
        column = np.zeros(4)
        if window.frozen and window.half_warm:
            self._watch_warming(window)
        if window.frozen and window.warm:
            control = window.latency_control.latency
            self._widen(window)
            if window.canary.latency and control:
                canary, stable = self._cells.count(window.canary.latency), self._cells.count(control)
                has_data = bool(canary.sum() > 0 and stable.sum() > 0)
                column = self._weigh_cells(canary, stable) if has_data else column
            self._silence.add(window, counted=has_data)
        self._columns.append(column)

    def _widen(self, window: Window) -> None:
        """Widen tolerance and margin by what the draw of this window's servers can do."""
        servers = window.canary_servers, window.stable_servers
        if servers == self._servers:
            return
        self._update_lattice()
        self._servers, self._widened = servers, self._draws.widenings(window)
        shifts, usable = widened_grid(self._shifts, *self._widened)
        self._log_ratios, self._usable = self._cells.log_ratios(shifts[0]), usable[0]

    def _watch_warming(self, window: Window) -> None:
        """Note how much slower than stable the canary was in a window, also in one that does not count yet."""
        control = window.latency_control.latency
        if not (window.canary.latency and control):
            return
        canary, stable = self._cells.count(window.canary.latency), self._cells.count(control)
        share = canary.sum() / max(canary.sum() + stable.sum(), 1e-300)
        information = share * (1 - share) * float(np.sum(self._sensitivity**2 * (canary + stable)))
        self._warming.add(window, float(np.sum(self._sensitivity * (canary - (canary + stable) * share))), information)

    def _weigh_cells(self, canary: Array, stable: Array) -> Array:
        """Add a window in which both tracks answered; return its residual, information and effective size, and 1 because it counts."""
        n_c, n_b, both = float(canary.sum()), float(stable.sum()), canary + stable
        share = n_c / (n_c + n_b)
        information = share * (1 - share) * float(np.sum(self._sensitivity**2 * both))
        factor = 1.0 / (1.0 + self._wander**2 * information)
        self._likelihoods += np.where(self._usable, factor * _log_likelihood(self._log_ratios, canary, both, n_c, n_b), 0.0)
        self._pending.append(_WeightedWindow(factor, canary, both, n_c, n_b))
        self._answered_requests += (n_c, n_b)
        residual = factor * float(np.sum(self._sensitivity * (canary - both * share)))
        return np.array([residual, factor * information, factor * n_c * n_b / (n_c + n_b), 1.0])

    def series(self) -> ScoreSeries:
        """Return the residuals of the scores, for the dispersion."""
        residuals, information, size, counted = self._columns.values[:, None, :]
        total, windows = np.sum(information, axis=1), np.sum(counted, axis=1)
        slope = np.sum(residuals, axis=1) / np.where(total > 0, total, 1.0)
        return ScoreSeries(
            residuals=residuals - slope[:, None] * information,
            information=information,
            chance=total,
            size=np.sum(size, axis=1) / np.maximum(windows, 1),
            windows=windows,
        )

    def standing(self, step: float, with_intervals: bool = True) -> Standing:
        """Return how latency stands; `step` is the mean length of a window in seconds."""
        scores = self._scores(step)
        n_c, n_b = self._answered_requests.tolist()
        silent = self._silence.is_too_long(self._plan.guards)
        has_data = n_c > 0 and not silent
        intervals = self._intervals(scores) if with_intervals and has_data else None
        log_rollback = float(scores.log_rollback[0])
        warming = log_rollback > 0 and self._warming.may_last(self._tolerance, float(scores.phi[ROLLBACK, 0]))
        return Standing(
            name=NAME,
            alpha_part=self._alpha_part,
            title=NAME,
            what="answered",
            need=self._need,
            unit=RATIO_UNIT,
            tolerance=math.exp(self._tolerance),
            margin=math.exp(self._margin),
            log_rollback=0.0 if warming else log_rollback,
            log_promote=float(scores.log_promote[0]),
            progress=float(intervals.progress[0]) if intervals else math.log(NO_CHANGE_BET),
            counts=(0.0, n_c, 0.0, n_b),
            has_data=has_data,
            interval=Interval(*(math.exp(float(part[0])) for part in (intervals.low, intervals.estimate, intervals.high)))
            if intervals
            else None,
            silent=silent,
            suspended=log_rollback if warming else 0.0,
            draw=Draw.of(self._draws.spreads[0], self._margin, self._plan.alpha_promote, self._servers or (1, 1)),
        )

    def _scores(self, step: float) -> Scores:
        series = self.series()
        phi = dispersion(series, self._prior, step)
        phi[PROMOTE] = cautious_dispersion(phi[PROMOTE], 1.0)
        at_tolerance, at_margin, beyond, inside = split_grid(self._likelihoods[None, :])
        log_rollback = rollback_mixture(at_tolerance, beyond, phi[ROLLBACK], EVEN)
        return Scores(
            log_rollback=log_rollback, log_promote=promote_mixture(at_margin, inside, phi[PROMOTE]), phi=phi, information=series.chance
        )

    def _update_lattice(self) -> None:
        for factor, canary, both, n_c, n_b in self._pending:
            self._lattice_likelihood += factor * _log_likelihood(self._lattice, canary, both, n_c, n_b)
            as_stable = both * (n_c / (n_c + n_b))
            self._expected += self._usable[1] * factor * float(_log_likelihood(self._log_ratios[:, 1], as_stable, both, n_c, n_b))
        self._pending = []

    def _intervals(self, scores: Scores) -> Intervals:
        self._update_lattice()
        likelihood = _interpolated(self._lattice_likelihood)
        estimate = np.array([_peak(self._lattice_likelihood)])
        low, high = search_range(estimate, scores, LATTICE[-1])
        threshold = np.array([-math.log(chance_alpha(self._plan.alpha)) - math.log(self._alpha_part)])
        passes = -math.log(chance_alpha(self._plan.alpha_promote))
        rollback, promote = self._widened
        return Intervals(
            low=lower_bound(likelihood, GAPS_OF_SHIFT, EVEN, scores.phi[ROLLBACK], threshold, low, estimate) - rollback,
            estimate=estimate,
            high=upper_bound(likelihood, GAPS_OF_SHIFT, scores.phi[PROMOTE], passes, estimate, high) + promote,
            progress=math.log(NO_CHANGE_BET) - self._expected / scores.phi[PROMOTE],
        )


def _log_likelihood(log_ratios: Array, canary: Array, both: Array, n_c: float, n_b: float) -> Array:
    """Return the log likelihood of each shift relative to none, given the requests of both tracks together in each cell."""
    total: Array = canary @ log_ratios - both @ np.log((n_c * np.exp(log_ratios) + n_b) / (n_c + n_b))
    return total


def _peak(likelihoods: Array) -> float:
    """Return the log factor with the largest likelihood: the top of a parabola through three points of the lattice."""
    top = int(np.clip(np.argmax(likelihoods), 1, len(likelihoods) - 2))
    before, at, after = likelihoods[top - 1 : top + 2].tolist()
    bend = before - 2 * at + after
    beside = float(np.clip(0.5 * (before - after) / bend, -1.0, 1.0)) if bend < 0 else 0.0
    return float(LATTICE[top] + beside * (LATTICE[1] - LATTICE[0]))


def _interpolated(likelihoods: Array) -> Likelihood:
    def likelihood(shifts: Array) -> Array:
        return np.interp(shifts, LATTICE, likelihoods)

    return likelihood
