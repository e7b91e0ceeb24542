"""The rows of averaged values, quality and the user's own: the difference of the two tracks' means, window by window.

The e-values are one-sided normal mixtures (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfcanary.core.domain import Interval
from tfcanary.core.plan import Direction, JudgePlan
from tfcanary.decide.judge.counted_windows import Quality, TrackCounts, add_quality
from tfcanary.decide.judge.dispersion import Noise, Prior, ScoreSeries, cautious_dispersion, variance
from tfcanary.decide.judge.intervals import SPREADS
from tfcanary.decide.judge.spread import NO_SPREAD, Draw, Draws, Spread, chance_alpha
from tfcanary.decide.judge.stable_level import StableLevel, alpha_parts, objective_alpha_part
from tfcanary.decide.judge.standing import RATIO_UNIT, Need, Silence, Standing
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import WindowColumns
from tfcanary.decide.stats.binomial import NO_CHANGE_BET
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.normal import log_half_normal_mixture
from tfcanary.decide.stats.roots import first_root

NAME = "quality"
WANDER = 0.004
"""Standard deviation by which a track's quality is assumed to wander, relative to stable's mean, where there is no history.

The user's own values are assumed to wander by their tolerance, which the user calls no difference.
"""
FAR_GAP = 5.0
"""Factor of the second half of rollback's bet: half lies on differences about the gap between tolerance and margin, half on five gaps."""
SMALLEST_VARIANCE = 1e-6
"""Least variance of a value, relative to the square of stable's mean."""


@dataclass(frozen=True, slots=True)
class MeanRow:
    """One averaged value; tolerance, margin and wander are relative to stable's mean."""

    name: str
    title: str
    alpha_part: float
    """The part of alpha that the row may spend."""
    level: float
    """Stable's mean."""
    tolerance: float
    margin: float
    wander: float
    what: str = "values"
    lower_is_worse: bool = True
    gating: bool = True
    within: tuple[float, float] | None = None
    """Bounds between which all values lie: they bound the variance where the squares are not known."""
    variance: float = 0.0
    """Variance of one value on stable where it is known, else 0.

    The first few values of a watch may be alike by chance; they are never taken to vary less than this.
    """

    def values_of(self, counts: TrackCounts) -> Quality | None:
        """Return sum, squares and number of a track's values.

        None where they are not counted, or where neither squares nor bounds say how much they vary.
        """
        if self.name == NAME:
            values = counts.quality
        else:
            total, number, *squares = counts.objectives.get(self.title, (0.0, 0.0))
            values = (total, squares[0] if squares else None, number)
            if not squares and self.within is None:
                return None
        if values is None or not values[2] > 0:
            return None
        return values if self.within is None or self.within[0] <= values[0] / values[2] <= self.within[1] else None


def mean_rows(plan: JudgePlan, stable_level: StableLevel) -> Iterator[MeanRow]:
    """Yield the rows of a plan of which stable's level has a mean."""
    if plan.quality and stable_level.quality is not None:
        within = plan.quality.metric.within if plan.quality.metric else None
        part = alpha_parts(plan)[NAME]
        yield MeanRow(
            NAME,
            NAME,
            part,
            stable_level.quality,
            plan.quality.tolerance,
            plan.quality.margin,
            WANDER,
            what="answered",
            within=within,
            variance=stable_level.variances.get(NAME, 0.0),
        )
    for name, mean in sorted(stable_level.means.items()):
        objective = (plan.objectives or {})[name]
        yield MeanRow(
            f"objective/{name}",
            name,
            objective_alpha_part(plan, objective.gating),
            mean,
            objective.tolerance,
            objective.margin,
            objective.tolerance,
            lower_is_worse=objective.direction is Direction.HIGHER,
            gating=objective.gating,
            within=objective.metric.within if objective.metric else None,
            variance=stable_level.variances.get(f"objective/{name}", 0.0),
        )


class MeanAccumulator:
    """Accumulates the windows of one averaged value."""

    def __init__(self, plan: JudgePlan, row: MeanRow, history: Mapping[str, Noise], spread: Mapping[str, Spread] = NO_SPREAD) -> None:
        self._plan, self._row = plan, row
        self._scale = abs(row.level)
        self._sign = 1.0 if row.lower_is_worse else -1.0
        self._tolerance, self._margin = row.tolerance * self._scale, row.margin * self._scale
        self._prior = Prior.of((row.name,), np.ones(1), np.full(1, row.wander * self._scale), history)
        self._columns = WindowColumns(3)
        self._tracks: tuple[Quality, Quality] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        """Sum, squares and number of the canary's values and of stable's."""
        self._draws = Draws.of(plan, (row.name,), np.zeros(1), (row.alpha_part,), spread)
        self._servers = (1, 1)
        self._widenings = np.zeros(2)
        """By how much the draw of servers widens tolerance and margin: the sum over the windows, by their size, in the unit of the value."""
        self._size, self._weighted = 0.0, 0.0
        self._silence = Silence()

    def add(self, window: Window) -> None:
        """Add a window; it counts nothing where a track has no value in it."""
        has_data = False
        column = np.zeros(3)
        if window.frozen and window.settled:
            canary, stable = self._row.values_of(window.canary), self._row.values_of(window.stable)
            if canary and stable:
                has_data = True
                difference = self._sign * (canary[0] / canary[2] - stable[0] / stable[2])
                size = stable[2] * canary[2] / (stable[2] + canary[2])
                column = np.array([difference, size, 1.0])
                self._size += size
                self._weighted += size * difference
                self._servers = window.canary_servers, window.stable_servers
                self._widenings += size * self._scale * np.array(self._draws.widenings(window))[:, 0]
                self._tracks = add_quality(self._tracks[0], canary), add_quality(self._tracks[1], stable)
            self._silence.add(window, counted=has_data)
        self._columns.append(column)

    def series(self) -> ScoreSeries:
        """Return the residuals of the scores, for the dispersion; information is the effective number of values."""
        difference, size, counted = self._columns.values[:, None, :]
        total, windows = np.sum(size, axis=1), np.sum(counted, axis=1)
        return ScoreSeries(
            residuals=size * (difference - self._estimate()),
            information=size,
            chance=self._variance() * total,
            size=total / np.maximum(windows, 1),
            windows=windows,
        )

    def standing(self, step: float, with_intervals: bool = True) -> Standing:
        """Return how the value stands; `step` is the mean length of a window in seconds."""
        rollback, promote = self._spread(step)
        harm, favour = self._widening()
        (sum_c, _, n_c), (sum_b, _, n_b) = self._tracks
        silent = self._silence.is_too_long(self._plan.guards)
        has_data = n_c > 0 and not silent
        row = self._row
        return Standing(
            name=row.name,
            alpha_part=row.alpha_part,
            title=row.title,
            what=row.what,
            need=Need.PROOF,
            unit=RATIO_UNIT,
            tolerance=1 - self._sign * row.tolerance,
            margin=1 - self._sign * row.margin,
            log_rollback=self._log_rollback(-self._tolerance - harm, rollback),
            log_promote=self._log_promote(self._margin - favour, promote) if favour < self._margin else 0.0,
            progress=math.log(NO_CHANGE_BET) + 0.5 * self._information(promote) * max(self._margin - favour, 0.0) ** 2,
            counts=(sum_c, n_c, sum_b, n_b),
            has_data=has_data,
            interval=self._interval(rollback, promote) if with_intervals and has_data else None,
            silent=silent,
            lower_is_worse=row.lower_is_worse,
            gating=row.gating,
            averaged=True,
            draw=Draw.of(self._draws.spreads[0], row.margin, self._plan.alpha_promote, self._servers),
        )

    def _interval(self, rollback: float, promote: float) -> Interval:
        """Return the interval relative to stable's mean; promotion gives the bound towards "worse", rollback the other one."""
        estimate = self._estimate()
        threshold = -math.log(chance_alpha(self._plan.alpha)) - math.log(self._row.alpha_part)
        passes = -math.log(chance_alpha(self._plan.alpha_promote))
        up, down = (SPREADS / math.sqrt(self._information(spread)) for spread in (rollback, promote))
        high = _root(lambda bound: self._log_rollback(bound, rollback) - threshold, estimate, estimate + up)
        low = -_root(lambda margin: self._log_promote(margin, promote) - passes, -estimate, down - estimate)
        harm, favour = self._widening()
        return Interval(*sorted(1 + self._sign * difference / self._scale for difference in (low - favour, estimate, high + harm)))

    def _widening(self) -> tuple[float, float]:
        """Return by how much the draw of servers widens tolerance and margin, in the unit of the value."""
        harm, favour = (self._widenings / self._size).tolist() if self._size > 0 else (0.0, 0.0)
        return harm, favour

    def _estimate(self) -> float:
        return self._weighted / self._size if self._size > 0 else 0.0

    def _variance(self) -> float:
        """Return the variance of one value, at least stable's.

        Where the squares are not known it is the largest variance within the bounds; without bounds it is that of a yes or no with this
        mean, or the square of the mean.
        """
        summed, squares, number = add_quality(*self._tracks)
        mean = summed / max(number, 1e-300)
        spread = squares / number - mean * mean if squares is not None and number > 0 else 0.0
        if max(spread, self._row.variance) > 0:
            return max(spread, self._row.variance)
        low, high = self._row.within or (0.0, 1.0)
        return max((mean - low) * (high - mean) if low <= mean <= high else mean * mean, SMALLEST_VARIANCE * self._scale**2)

    def _spread(self, step: float) -> tuple[float, float]:
        """Return the variance of the summed score for each unit of size, for rollback and for promotion; 1 before the first window."""
        if not self._size > 0:
            return 1.0, 1.0
        rollback, promote = variance(self.series(), self._prior, step)[:, 0] / self._size
        return float(rollback), float(cautious_dispersion(promote, self._variance()))

    def _information(self, spread: float) -> float:
        return self._size / spread

    def _log_rollback(self, bound: float, spread: float) -> float:
        """Return the log of the e-value against "the difference is at least `bound`"."""
        information, gap = self._information(spread), self._margin - self._tolerance
        s = information * (bound - self._estimate())
        near, far = (log_half_normal_mixture(s, information, scale) for scale in (gap, FAR_GAP * gap))
        return float(np.logaddexp(near, far)) - math.log(2.0)

    def _log_promote(self, margin: float, spread: float) -> float:
        """Return the log of the e-value against "worse by the margin or more"."""
        information = self._information(spread)
        s = information * (self._estimate() + margin)
        same = math.log(NO_CHANGE_BET) + margin * s - 0.5 * margin**2 * information
        other = math.log(1 - NO_CHANGE_BET) + log_half_normal_mixture(s, information, self._margin - self._tolerance)
        return float(np.logaddexp(same, other))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function of one number reaches 0."""

    def curve(grid_points: Array) -> Array:
        return np.array([[rising(x) for x in row] for row in grid_points.tolist()])

    return float(first_root(curve, np.array([low]), np.array([high]))[0])
