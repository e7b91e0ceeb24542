"""Accumulates the rate rows: conditional binomial mixtures on a fixed grid of log ratios, all rows at once.

docs/judge.md, "How two counts are compared", has the formulas in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tfcanary.core.domain import Interval
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK, Noise, Prior, ScoreSeries, cautious_dispersion, dispersion
from tfcanary.decide.judge.error_limits import AbsoluteErrors, error_margin, is_incident
from tfcanary.decide.judge.intervals import lower_bound, pooled_likelihood, search_range, upper_bound
from tfcanary.decide.judge.rate_rows import ERROR_BETS, RowKind, could_count, count, rows
from tfcanary.decide.judge.spread import NO_SPREAD, Draw, Draws, Spread, chance_alpha, widened_grid
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.standing import NO_EVENTS, RATIO_UNIT, SHARE_UNIT, Intervals, Scores, Silence, Standing
from tfcanary.decide.judge.warming import Warming
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import PooledSums, WindowColumns, bin_of
from tfcanary.decide.stats.binomial import (
    GAPS,
    NO_CHANGE_BET,
    SMALLEST_EXPOSURE,
    down_weight,
    grid_points,
    log_likelihood,
    pooled_ratio,
    promote_mixture,
    rollback_mixture,
    split_grid,
)
from tfcanary.decide.stats.logarithms import Array

ON_RELATIVE = 0.8
"""The part of promotion's bet in the row of errors that lies on the ratio to stable; the rest lies on the canary's own error rate."""
WIDEST = math.log(1000.0)
"""Largest log ratio that is shown: bounds beyond a thousandfold are shown as a thousandfold."""


class RateAccumulator:
    """Accumulates the windows of all rate rows."""

    def __init__(
        self,
        plan: JudgePlan,
        stable_level: StableLevel | None,
        history: Mapping[str, Noise],
        spread: Mapping[str, Spread] = NO_SPREAD,
    ) -> None:
        self.rows = rows(plan, stable_level)
        size = len(self.rows)
        self._plan, self._stable_level = plan, stable_level
        assumed = np.array([row.wander for row in self.rows])
        self._wander = np.array([history[row.name].wander if row.name in history else row.wander for row in self.rows])
        self._prior = Prior.of(tuple(row.name for row in self.rows), np.array([row.burst for row in self.rows]), assumed, history)
        names, parts = [row.name for row in self.rows], [row.alpha_part for row in self.rows]
        self._draws = Draws.of(plan, names, np.array([row.spread for row in self.rows]), parts, spread)
        self._widened = (np.zeros(size), np.zeros(size))
        """By how much the draw of servers widened tolerance and margin in the last window."""
        self._servers = (1, 1)
        self._etas = grid_points([row.tolerance for row in self.rows], [row.margin for row in self.rows], GAPS)
        even = np.full(len(GAPS), 1.0 / len(GAPS))
        self._bets = np.log(np.stack([ERROR_BETS if row.kind in (RowKind.ERRORS, RowKind.OUTAGE) else even for row in self.rows]))
        self._likelihoods, self._expected = np.zeros(self._etas.shape), np.zeros(size)
        """Log likelihoods on the grid, and at the margin the ones that a canary exactly like stable would have."""
        self._incident = np.zeros(2)
        """Failed and all requests of stable in the windows of an incident."""
        self._columns, self._counted = WindowColumns(4, size), WindowColumns(size)
        self._pooled = PooledSums(size, 4)
        self._totals = np.zeros((size, 4))
        self._warming = {i: Warming() for i, row in enumerate(self.rows) if row.kind is RowKind.TAIL}
        self._absolute = AbsoluteErrors(plan, stable_level.error_rate if stable_level else 0.0)
        self._silence = [Silence() for _ in self.rows]

    def add(self, window: Window) -> None:
        """Add a window: each row counts what the window allows."""
        counted = count(self.rows, window, self._stable_level)
        raw = np.array([events or NO_EVENTS for events in counted]).T
        weighted = raw * down_weight(raw[0] + raw[2], raw[1], raw[3], self._wander)
        events_c, n_c, events_b, n_b = weighted[:, :, None]
        self._widened = self._draws.widenings(window)
        self._servers = window.canary_servers, window.stable_servers
        etas, usable = widened_grid(self._etas, self._widened[0], self._widened[1] + self._narrowing(window))
        self._likelihoods += np.where(usable, log_likelihood(events_c, n_c, events_b, n_b, etas), 0.0)
        both = weighted[0] + weighted[2]
        as_stable = both * weighted[1] / (weighted[1] + weighted[3] + SMALLEST_EXPOSURE)
        expected = log_likelihood(as_stable, weighted[1], both - as_stable, weighted[3], etas[:, 1])
        self._expected += np.where(usable[:, 1], expected, 0.0)
        self._columns.append(weighted)
        self._counted.append(np.array([events is not None for events in counted], dtype=float))
        self._pooled.add(bin_of(raw[1], raw[3]), weighted.T)
        self._totals += raw.T
        if window.frozen and window.half_warm:
            self._watch_warming(window)
        self._absolute.add(window, float(self._widened[0][0]), float(self._widened[1][0]))
        for row, silence, (_, exposed_c, _, exposed_b) in zip(self.rows, self._silence, raw.T.tolist(), strict=True):
            if could_count(row, window):
                silence.add(window, counted=row.kind in (RowKind.OUTAGE, RowKind.TRAFFIC) or (exposed_c > 0 and exposed_b > 0))

    def _narrowing(self, window: Window) -> Array:
        """Return by how much each row's margin is narrower in a window, shape (rows,): that of errors is in an incident."""
        narrowing = np.zeros(len(self.rows))
        if self._stable_level is None or not window.settled:
            return narrowing
        level, stable, row = self._stable_level.error_rate, window.stable, self.rows[0]
        narrowing[0] = row.margin - error_margin(row.margin, level, stable.failed, stable.requests)
        if is_incident(level, stable.failed, stable.requests):
            self._incident += (stable.failed, stable.requests)
        return narrowing

    def _watch_warming(self, window: Window) -> None:
        """Note how many more of the canary's answers than of stable's were slow, also in a window that does not count yet."""
        tails = [self.rows[i] for i in self._warming]
        counted = count(tails, replace(window, warm=True), self._stable_level)
        for warming, (events_c, n_c, events_b, n_b) in zip(self._warming.values(), (one or NO_EVENTS for one in counted), strict=True):
            events, share = events_c + events_b, n_c / max(n_c + n_b, SMALLEST_EXPOSURE)
            warming.add(window, events_c - events * share, events * share * (1 - share))

    def series(self) -> ScoreSeries:
        """Return the residuals of the rows' scores, for the dispersion."""
        return ScoreSeries.of_rates(self._columns.values, self._counted.values > 0)

    def standings(self, step: float, with_intervals: bool = True) -> tuple[Standing, ...]:
        """Return how the rows stand; `step` is the mean length of a window in seconds."""
        scores = self._scores(step)
        intervals = self._intervals(scores) if with_intervals else None
        return tuple(self._standing(i, scores, intervals) for i in range(len(self.rows)))

    def _scores(self, step: float) -> Scores:
        series = self.series()
        phi = dispersion(series, self._prior, step)
        # A tolerance absorbs a server's slow wander of latency and quality, but not bursts: there the larger of both dispersions applies.
        errors = np.array([row.kind in (RowKind.ERRORS, RowKind.OUTAGE, RowKind.OBJECTIVE) for row in self.rows])
        phi[ROLLBACK] = np.where(errors, np.maximum(phi[ROLLBACK], phi[PROMOTE]), phi[ROLLBACK])
        phi[PROMOTE] = cautious_dispersion(phi[PROMOTE], 1.0)
        at_tolerance, at_margin, beyond, inside = split_grid(self._likelihoods)
        log_rollback = rollback_mixture(at_tolerance, beyond, phi[ROLLBACK], self._bets)
        return Scores(
            log_rollback=log_rollback,
            log_promote=promote_mixture(at_margin, inside, phi[PROMOTE]),
            phi=phi,
            information=np.sum(series.information, axis=1),
        )

    def _intervals(self, scores: Scores) -> Intervals:
        plan, likelihood = self._plan, pooled_likelihood(self._pooled.sums)
        estimate = np.clip(np.log(pooled_ratio(*self._columns.values)), -WIDEST, WIDEST)
        low, high = search_range(estimate, scores, WIDEST)
        threshold = -math.log(chance_alpha(plan.alpha)) - np.log([row.alpha_part for row in self.rows])
        rollback, promote = self._widened
        return Intervals(
            low=lower_bound(likelihood, GAPS, self._bets, scores.phi[ROLLBACK], threshold, low, estimate) - rollback,
            estimate=estimate,
            high=upper_bound(likelihood, GAPS, scores.phi[PROMOTE], -math.log(chance_alpha(plan.alpha_promote)), estimate, high) + promote,
            progress=math.log(NO_CHANGE_BET) - self._expected / scores.phi[PROMOTE],
        )

    def _standing(self, i: int, scores: Scores, intervals: Intervals | None) -> Standing:
        row = self.rows[i]
        own, sign = row.kind is RowKind.OBJECTIVE, -1.0 if row.swapped else 1.0
        log_rollback, log_promote, progress = self._with_absolute(
            i, scores, float(intervals.progress[i]) if intervals else math.log(NO_CHANGE_BET)
        )
        warming = i in self._warming and log_rollback > 0 and self._warming[i].may_last(row.tolerance, float(scores.phi[ROLLBACK, i]))
        events_c, n_c, events_b, n_b = self._totals[i].tolist()
        silent = self._silence[i].is_too_long(self._plan.guards)
        has_data = n_c > 0 and n_b > 0 and not silent
        return Standing(
            name=row.name,
            alpha_part=row.alpha_part,
            title=row.title,
            what=row.what,
            need=row.need,
            unit=SHARE_UNIT if row.kind is RowKind.TRAFFIC else RATIO_UNIT,
            tolerance=math.exp(sign * row.tolerance),
            margin=math.exp(sign * row.margin),
            log_rollback=0.0 if warming else log_rollback,
            log_promote=log_promote,
            progress=progress,
            counts=(events_b, n_b, events_c, n_c) if own and row.swapped else (events_c, n_c, events_b, n_b),
            has_data=has_data,
            interval=_interval(intervals, i, row.swapped) if intervals and has_data else None,
            silent=silent,
            lower_is_worse=row.swapped,
            gating=row.gating,
            suspended=log_rollback if warming else 0.0,
            draw=Draw.of(self._draws.spreads[i], row.margin, self._plan.alpha_promote, self._servers),
            incident=float(self._incident[0] / max(self._incident[1], 1.0)) if row.kind is RowKind.ERRORS else 0.0,
        )

    def _with_absolute(self, i: int, scores: Scores, progress: float) -> tuple[float, float, float]:
        """Return e-values and progress, as logs, with the absolute limits.

        Errors and outage must exceed an absolute tolerance as well; errors may also pass by the canary's own rate.
        """
        log_rollback, log_promote = float(scores.log_rollback[i]), float(scores.log_promote[i])
        rollback, promote = scores.phi[:, i].tolist()
        match self.rows[i].kind:
            case RowKind.OUTAGE:
                return min(log_rollback, self._absolute.log_outage(rollback)), log_promote, progress
            case RowKind.ERRORS:
                log_rollback = min(log_rollback, self._absolute.log_errors(rollback)) if self._absolute.is_sustained else 0.0
                requests = float(self._totals[i, 1])
                return (
                    log_rollback,
                    _mixture_of_both(log_promote, self._absolute.log_below(promote)),
                    _mixture_of_both(progress, self._absolute.progress(promote, requests)),
                )
        return log_rollback, log_promote, progress


def _interval(intervals: Intervals, i: int, swapped: bool) -> Interval:
    """Return the ratio of the canary's rate to stable's; in the row of traffic it is the share that arrives, not what is missing."""
    low, estimate, high = (float(part[i]) for part in (intervals.low, intervals.estimate, intervals.high))
    return (
        Interval(math.exp(-high), math.exp(-estimate), math.exp(-low))
        if swapped
        else Interval(math.exp(low), math.exp(estimate), math.exp(high))
    )


def _mixture_of_both(relative: float, absolute: float) -> float:
    """Return the log of promotion's e-value from the relative and the absolute evidence, either of which excludes the margin."""
    return float(np.logaddexp(math.log(ON_RELATIVE) + relative, math.log(1 - ON_RELATIVE) + absolute))
