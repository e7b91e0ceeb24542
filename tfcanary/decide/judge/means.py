"""The rows of values that are averaged, quality and the user's own: the difference of the two tracks' means, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfcanary.core.domain import Interval
from tfcanary.core.plan import Direction, JudgePlan
from tfcanary.decide.judge.counted_windows import Counts, Quality, add_quality
from tfcanary.decide.judge.dispersion import Noise, Prior, Series, cautious, variance
from tfcanary.decide.judge.intervals import SPREADS
from tfcanary.decide.judge.stable_level import Frozen, objective_weight, weights
from tfcanary.decide.judge.standing import RATIO, Need, Quiet, Standing
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import Columns
from tfcanary.decide.stats.binomial import NO_CHANGE
from tfcanary.decide.stats.logarithms import Array, log_add
from tfcanary.decide.stats.normal import log_half_normal_mixture
from tfcanary.decide.stats.roots import rises_above_zero

NAME = "quality"
WANDER = 0.004
"""By how much a track's quality is assumed to wander, relative to stable's mean, until data speak.

Nobody knows that of the user's own values: they are assumed to wander by their tolerance, which the user calls no difference."""
FAR = 5.0
"""Rollback bets half on differences as small as the gap between tolerance and margin, half on five times that."""
SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True, slots=True)
class MeanRow:
    """One value; tolerance, margin and wander are relative to stable's mean."""

    name: str
    title: str
    weight: float
    level: float
    """Stable's mean."""
    tolerance: float
    margin: float
    wander: float
    what: str = "values"
    lower_is_worse: bool = True
    gating: bool = True
    within: tuple[float, float] | None = None
    """Between these all values lie: it bounds how much they vary where their squares are not known."""
    variance: float = 0.0
    """Of one value on stable, where it is known: the first few values of a watch may be alike by chance, and are never believed to vary less."""

    def of(self, counts: Counts) -> Quality | None:
        """Sum, squares and number of a track's values; None where they are not counted, or say nothing about how much they vary."""
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


def mean_rows(plan: JudgePlan, frozen: Frozen) -> Iterator[MeanRow]:
    """The rows in force: what stable's level was taken of."""
    if plan.quality and frozen.quality is not None:
        within = plan.quality.metric.within if plan.quality.metric else None
        part = weights(plan)[NAME]
        yield MeanRow(
            NAME,
            NAME,
            part,
            frozen.quality,
            plan.quality.tolerance,
            plan.quality.margin,
            WANDER,
            what="answered",
            within=within,
            variance=frozen.variances.get(NAME, 0.0),
        )
    for name, mean in sorted(frozen.means.items()):
        objective = (plan.objectives or {})[name]
        yield MeanRow(
            f"objective/{name}",
            name,
            objective_weight(plan, objective.gating),
            mean,
            objective.tolerance,
            objective.margin,
            objective.tolerance,
            lower_is_worse=objective.direction is Direction.HIGHER,
            gating=objective.gating,
            within=objective.metric.within if objective.metric else None,
            variance=frozen.variances.get(f"objective/{name}", 0.0),
        )


class Means:
    """Accumulates the windows of one value."""

    def __init__(self, plan: JudgePlan, row: MeanRow, history: Mapping[str, Noise]) -> None:
        self._plan, self._row = plan, row
        self._scale = abs(row.level)
        self._sign = 1.0 if row.lower_is_worse else -1.0
        self._tolerance, self._margin = row.tolerance * self._scale, row.margin * self._scale
        self._prior = Prior.of((row.name,), np.ones(1), np.full(1, row.wander * self._scale), history)
        self._columns = Columns(3)
        self._tracks: tuple[Quality, Quality] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        """The canary's values and stable's."""
        self._size, self._weighted = 0.0, 0.0
        self._quiet = Quiet()

    def add(self, window: Window) -> None:
        """Add a window; it counts nothing where a track has no value in it."""
        heard = False
        column = np.zeros(3)
        if window.frozen and window.settled:
            canary, stable = self._row.of(window.canary), self._row.of(window.stable)
            if canary and stable:
                heard = True
                difference = self._sign * (canary[0] / canary[2] - stable[0] / stable[2])
                size = stable[2] * canary[2] / (stable[2] + canary[2])
                column = np.array([difference, size, 1.0])
                self._size += size
                self._weighted += size * difference
                self._tracks = add_quality(self._tracks[0], canary), add_quality(self._tracks[1], stable)
            self._quiet.listen(window, heard)
        self._columns.append(column)

    def series(self) -> Series:
        """The scores' residuals, for the dispersion; information is the effective number of values."""
        difference, size, counted = self._columns.held[:, None, :]
        total, windows = np.sum(size, axis=1), np.sum(counted, axis=1)
        return Series(
            residuals=size * (difference - self._estimate()),
            information=size,
            chance=self._variance() * total,
            size=total / np.maximum(windows, 1),
            windows=windows,
        )

    def standing(self, step: float, drawn: bool = True) -> Standing:
        """How the value stands after windows of `step` seconds each, on the mean; with its interval only where it is to be drawn."""
        rollback, promote = self._spread(step)
        (sum_c, _, n_c), (sum_b, _, n_b) = self._tracks
        silent = self._quiet.is_silence(self._plan.guards)
        heard = n_c > 0 and not silent
        row = self._row
        return Standing(
            name=row.name,
            weight=row.weight,
            title=row.title,
            what=row.what,
            need=Need.PROOF,
            unit=RATIO,
            tolerance=1 - self._sign * row.tolerance,
            margin=1 - self._sign * row.margin,
            log_up=self._log_up(-self._tolerance, rollback),
            log_down=self._log_down(self._margin, promote),
            progress=math.log(NO_CHANGE) + 0.5 * self._information(promote) * self._margin**2,
            counts=(sum_c, n_c, sum_b, n_b),
            heard=heard,
            interval=self._interval(rollback, promote) if drawn and heard else None,
            silent=silent,
            lower_is_worse=row.lower_is_worse,
            gating=row.gating,
            averaged=True,
        )

    def _interval(self, rollback: float, promote: float) -> Interval:
        """Relative to stable's mean; promote draws the bound towards "worse" and rollback the other one."""
        estimate = self._estimate()
        convicts = -math.log(self._plan.alpha) - math.log(self._row.weight)
        passes = -math.log(self._plan.alpha_promote)
        up, down = (SPREADS / math.sqrt(self._information(spread)) for spread in (rollback, promote))
        high = _first(lambda bound: self._log_up(bound, rollback) - convicts, estimate, estimate + up)
        low = -_first(lambda margin: self._log_down(margin, promote) - passes, -estimate, down - estimate)
        return Interval(*sorted(1 + self._sign * difference / self._scale for difference in (low, estimate, high)))

    def _estimate(self) -> float:
        return self._weighted / self._size if self._size > 0 else 0.0

    def _variance(self) -> float:
        """Of one value, at least stable's. Without squares the largest within the bounds; without bounds a yes or no's, or the mean's square."""
        summed, squares, number = add_quality(*self._tracks)
        mean = summed / max(number, 1e-300)
        spread = squares / number - mean * mean if squares is not None and number > 0 else 0.0
        if max(spread, self._row.variance) > 0:
            return max(spread, self._row.variance)
        low, high = self._row.within or (0.0, 1.0)
        return max((mean - low) * (high - mean) if low <= mean <= high else mean * mean, SMALLEST_VARIANCE * self._scale**2)

    def _spread(self, step: float) -> tuple[float, float]:
        """Variance of the summed score for each unit of size, for rollback and promote; 1 before the first window."""
        if not self._size > 0:
            return 1.0, 1.0
        rollback, promote = variance(self.series(), self._prior, step)[:, 0] / self._size
        return float(rollback), float(cautious(promote, self._variance()))

    def _information(self, spread: float) -> float:
        return self._size / spread

    def _log_up(self, bound: float, spread: float) -> float:
        """Logarithm of the e-value against "the difference is at least `bound`"."""
        information, gap = self._information(spread), self._margin - self._tolerance
        s = information * (bound - self._estimate())
        near, far = (log_half_normal_mixture(s, information, scale) for scale in (gap, FAR * gap))
        return float(log_add(near, far)) - math.log(2.0)

    def _log_down(self, margin: float, spread: float) -> float:
        """Logarithm of the e-value against "worse by the margin or more"."""
        information = self._information(spread)
        s = information * (self._estimate() + margin)
        same = math.log(NO_CHANGE) + margin * s - 0.5 * margin**2 * information
        other = math.log(1 - NO_CHANGE) + log_half_normal_mixture(s, information, self._margin - self._tolerance)
        return float(log_add(same, other))


def _first(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function reaches 0."""

    def curve(points: Array) -> Array:
        return np.array([[rising(x) for x in row] for row in points.tolist()])

    return float(rises_above_zero(curve, np.array([low]), np.array([high]))[0])
