"""The rate rows as they are weighed: conditional binomial mixtures on a fixed grid, all rows at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tfcanary.core.domain import Interval
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK, Noise, Prior, Series, cautious, dispersion
from tfcanary.decide.judge.error_limits import AbsoluteErrors
from tfcanary.decide.judge.intervals import expected_likelihood, lower_bound, pooled_likelihood, reach, upper_bound
from tfcanary.decide.judge.rate_rows import ERROR_BETS, Kind, Row, could_count, count, rows
from tfcanary.decide.judge.stable_level import Frozen
from tfcanary.decide.judge.standing import NOTHING, OF_SHARE, RATIO, Picture, Quiet, Scores, Standing
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import Columns, Pooled, bin_of
from tfcanary.decide.stats.binomial import (
    GAPS,
    NO_CHANGE,
    down_weight,
    grid,
    log_likelihood,
    points,
    pooled_ratio,
    promote_mixture,
    rollback_mixture,
)
from tfcanary.decide.stats.logarithms import Array, log_add

ON_RELATIVE = 0.8
"""The part of promotion's bet in the errors' row that lies on their ratio; the rest lies on the canary's own rate."""
WIDEST = math.log(1000.0)
"""Ratios are shown up to a thousandfold either way; a bound beyond is shown as that."""


class RateRows:
    """Accumulates the windows of all rate rows."""

    def __init__(self, plan: JudgePlan, frozen: Frozen | None, history: Mapping[str, Noise]) -> None:
        self.rows = rows(plan, frozen)
        size = len(self.rows)
        self._plan, self._frozen = plan, frozen
        assumed = np.array([row.wander for row in self.rows])
        self._wander = np.array([history[row.name].wander if row.name in history else row.wander for row in self.rows])
        self._prior = Prior.of(tuple(row.name for row in self.rows), np.array([row.burst for row in self.rows]), assumed, history)
        self._etas = points([row.tolerance for row in self.rows], [row.margin for row in self.rows], GAPS)
        self._bets = np.log(np.stack([_bet(row) for row in self.rows]))
        self._likelihoods = np.zeros(self._etas.shape)
        self._columns, self._counted = Columns(4, size), Columns(size)
        self._pooled = Pooled(size, 4)
        self._totals = np.zeros((size, 4))
        self._absolute = AbsoluteErrors(plan, frozen.error_rate if frozen else 0.0)
        self._quiet = [Quiet() for _ in self.rows]

    def add(self, window: Window) -> None:
        """Add a window: each row counts in it what it may."""
        counted = count(self.rows, window, self._frozen)
        raw = np.array([quadruple or NOTHING for quadruple in counted]).T
        light = raw * down_weight(raw[0] + raw[2], raw[1], raw[3], self._wander)
        events_c, n_c, events_b, n_b = light[:, :, None]
        self._likelihoods += log_likelihood(events_c, n_c, events_b, n_b, self._etas)
        self._columns.append(light)
        self._counted.append(np.array([quadruple is not None for quadruple in counted], dtype=float))
        self._pooled.add(bin_of(raw[1], raw[3]), light.T)
        self._totals += raw.T
        self._absolute.add(window)
        for row, quiet, (_, exposed_c, _, exposed_b) in zip(self.rows, self._quiet, raw.T.tolist(), strict=True):
            if could_count(row, window):
                quiet.listen(window, heard=row.kind in (Kind.OUTAGE, Kind.TRAFFIC) or (exposed_c > 0 and exposed_b > 0))

    def series(self) -> Series:
        """The scores' residuals, for the dispersion."""
        return Series.of_rates(self._columns.held, self._counted.held > 0)

    def standings(self, step: float, drawn: bool = True) -> tuple[Standing, ...]:
        """How the rows stand after windows of `step` seconds each, on the mean; with their intervals only where they are to be drawn."""
        scores = self._scores(step)
        picture = self._picture(scores) if drawn else None
        return tuple(self._standing(i, scores, picture) for i in range(len(self.rows)))

    def _scores(self, step: float) -> Scores:
        series = self.series()
        phi = dispersion(series, self._prior, step)
        # A tolerance absorbs a server's slow wander of latency and quality, but not of what comes in bursts: there the longer memory rules.
        errors = np.array([row.kind in (Kind.ERRORS, Kind.OUTAGE, Kind.OBJECTIVE) for row in self.rows])
        phi[ROLLBACK] = np.where(errors, np.maximum(phi[ROLLBACK], phi[PROMOTE]), phi[ROLLBACK])
        phi[PROMOTE] = cautious(phi[PROMOTE], 1.0)
        at_tolerance, at_margin, beyond, inside = grid(self._likelihoods)
        up = rollback_mixture(at_tolerance, beyond, phi[ROLLBACK], self._bets)
        return Scores(up=up, down=promote_mixture(at_margin, inside, phi[PROMOTE]), phi=phi, information=np.sum(series.information, axis=1))

    def _picture(self, scores: Scores) -> Picture:
        sums, plan = self._pooled.sums, self._plan
        likelihood = pooled_likelihood(sums)
        estimate = np.clip(np.log(pooled_ratio(*self._columns.held)), -WIDEST, WIDEST)
        low, high = reach(estimate, scores, WIDEST)
        convicts = -math.log(plan.alpha) - np.log([row.weight for row in self.rows])
        margins = np.array([row.margin for row in self.rows])
        return Picture(
            low=lower_bound(likelihood, GAPS, self._bets, scores.phi[ROLLBACK], convicts, low, estimate),
            estimate=estimate,
            high=upper_bound(likelihood, GAPS, scores.phi[PROMOTE], -math.log(plan.alpha_promote), estimate, high),
            progress=math.log(NO_CHANGE) - expected_likelihood(sums, margins) / scores.phi[PROMOTE],
        )

    def _standing(self, i: int, scores: Scores, picture: Picture | None) -> Standing:
        row = self.rows[i]
        own, sign = row.kind is Kind.OBJECTIVE, -1.0 if row.swapped else 1.0
        up, down, progress = self._with_absolute(i, scores, float(picture.progress[i]) if picture else math.log(NO_CHANGE))
        events_c, n_c, events_b, n_b = self._totals[i].tolist()
        silent = self._quiet[i].is_silence(self._plan.guards)
        heard = n_c > 0 and n_b > 0 and not silent
        return Standing(
            name=row.name,
            weight=row.weight,
            title=row.title,
            what=row.what,
            need=row.need,
            unit=OF_SHARE if row.kind is Kind.TRAFFIC else RATIO,
            tolerance=math.exp(sign * row.tolerance),
            margin=math.exp(sign * row.margin),
            log_up=up,
            log_down=down,
            progress=progress,
            counts=(events_b, n_b, events_c, n_c) if own and row.swapped else (events_c, n_c, events_b, n_b),
            heard=heard,
            interval=_interval(picture, i, row.swapped) if picture and heard else None,
            silent=silent,
            lower_is_worse=row.swapped,
            gating=row.gating,
        )

    def _with_absolute(self, i: int, scores: Scores, progress: float) -> tuple[float, float, float]:
        """Errors and outage must beat an absolute tolerance as well; errors may also pass by the canary's own rate."""
        up, down = float(scores.up[i]), float(scores.down[i])
        rollback, promote = scores.phi[:, i].tolist()
        match self.rows[i].kind:
            case Kind.OUTAGE:
                return min(up, self._absolute.log_outage(rollback)), down, progress
            case Kind.ERRORS:
                convicts = min(up, self._absolute.log_errors(rollback)) if self._absolute.is_a_rate else 0.0
                requests = float(self._totals[i, 1])
                return (
                    convicts,
                    _either(down, self._absolute.log_below(promote)),
                    _either(progress, self._absolute.progress(promote, requests)),
                )
        return up, down, progress


def _bet(row: Row) -> Array:
    """The weights of the gaps in a row's bet on "worse"."""
    return ERROR_BETS if row.kind in (Kind.ERRORS, Kind.OUTAGE) else np.full(len(GAPS), 1.0 / len(GAPS))


def _interval(picture: Picture, i: int, swapped: bool) -> Interval:
    """As a ratio of the canary's to stable's; of the traffic what arrives, not what is missing."""
    low, estimate, high = (float(part[i]) for part in (picture.low, picture.estimate, picture.high))
    return (
        Interval(math.exp(-high), math.exp(-estimate), math.exp(-low))
        if swapped
        else Interval(math.exp(low), math.exp(estimate), math.exp(high))
    )


def _either(relative: float, absolute: float) -> float:
    """A promotion's e-value from two kinds of evidence, of which either excludes the margin."""
    return float(log_add(math.log(ON_RELATIVE) + relative, math.log(1 - ON_RELATIVE) + absolute))
