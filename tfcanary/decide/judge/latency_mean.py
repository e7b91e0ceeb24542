"""The row of the mean latency: promotion excludes a ratio of the two tracks' means, whatever shape the latencies have.

Inside a bucket a histogram shows nothing: everything may be 20 % slower there and no count changes. The servers' sums of latencies give the means
without any shape. Their rounding is taken at its worst, and the variance is bounded bucket by bucket: a latency x between the bounds l
and u has x^2 <= (l + u) x - l u. The row convicts nobody and has no part of alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS, LATENCY_SUM_ROUNDING, Interval
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge.counted_windows import BUCKETS, FROM, LatencySum, TrackCounts
from tfcanary.decide.judge.dispersion import Noise, Prior, ScoreSeries, cautious_dispersion, variance
from tfcanary.decide.judge.intervals import SPREADS
from tfcanary.decide.judge.rate_rows import LATENCY_WANDER
from tfcanary.decide.judge.spread import NO_SPREAD, Draw, Draws, Spread, chance_alpha
from tfcanary.decide.judge.standing import RATIO_UNIT, Need, Silence, Standing
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import WindowColumns
from tfcanary.decide.stats.binomial import NO_CHANGE_BET
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.normal import log_half_normal_mixture
from tfcanary.decide.stats.roots import first_root

NAME = "latency-mean"
WIDTHS: Array = np.diff([*FROM, 0.0])
"""Shape (BUCKETS,): the width of each bucket; that of the last one, which has no upper bound, is negative and never used."""
SMALLEST_VARIANCE = 1e-6
"""Least variance of a latency, relative to the square of stable's mean."""
SMALLEST_RATIO = 1e-9
"""Least ratio of means that is shown: the first few latencies may be too small for the rounding of their sum."""


def most_squares(counts: Array, total: float) -> float:
    """Return the largest sum of squares that latencies with these counts by bucket, shape (BUCKETS,), and with this sum can have.

    Every latency is at least its bucket's lower bound. What the sum holds beyond that makes the most squares in the highest buckets,
    where l + u is largest, and in the last one, which has no upper bound, if all of it belongs to one latency.
    """
    beyond = max(total - float(counts @ FROM), 0.0)
    room = counts[:-1] * WIDTHS[:-1]
    squares = float(counts @ FROM**2)
    if counts[-1] > 0:
        return squares + 2.0 * LATENCY_BOUNDS[-1] * beyond + beyond**2
    higher = np.cumsum(room[::-1])[::-1] - room
    filled = np.clip(beyond - higher, 0.0, room)
    return squares + float(filled @ (FROM[:-1] + FROM[1:]))


@dataclass(slots=True)
class Rounding:
    """The largest error of a weighted sum of a track's rises, made by the rounding of the servers' sums.

    The end of one window is the beginning of the next, so that what is rounded away in one rise is back in the next: only a change of
    the weight is left of it.
    """

    closed: float = 0.0
    weight: float = 0.0
    after: float = 0.0

    def add(self, weight: float, rise: LatencySum) -> None:
        """Add the rise of one window with its weight."""
        if rise.before == self.after:
            left = abs(weight - self.weight) * rise.before
        else:
            left = self.weight * self.after + weight * rise.before
        self.closed += LATENCY_SUM_ROUNDING * left
        self.weight, self.after = weight, rise.after

    @property
    def most(self) -> float:
        """The largest error after the windows so far."""
        return self.closed + LATENCY_SUM_ROUNDING * self.weight * self.after


@dataclass(slots=True)
class _Track:
    """What one track counted in all windows together."""

    counts: Array = field(default_factory=lambda: np.zeros(BUCKETS))
    total: float = 0.0
    weighted: float = 0.0
    """Sum of the rises, each with the weight of its window."""
    rounding: Rounding = field(default_factory=Rounding)

    def add(self, weight: float, counted: Array, rise: LatencySum) -> None:
        self.counts += counted
        self.total += rise.risen
        self.weighted += weight * rise.risen
        self.rounding.add(weight, rise)

    @property
    def number(self) -> float:
        return float(self.counts.sum())

    @property
    def variance(self) -> float:
        """An upper bound of the variance of one latency; 0 before the first."""
        number = max(self.number, 1.0)
        return max(most_squares(self.counts, self.total) / number - (self.total / number) ** 2, 0.0)


class LatencyMeanAccumulator:
    """Accumulates the windows of the mean latency.

    In a window with n_c answers of the canary and n_b of its control, the canary's latencies are summed with the weight n_b/(n_c + n_b),
    the control's with n_c/(n_c + n_b): A and B. Where the canary's mean is r times the control's, A - r B is 0 on average, whatever the
    level of both does from window to window.
    """

    def __init__(
        self,
        plan: JudgePlan,
        latency: LatencyPlan,
        level: float,
        history: Mapping[str, Noise],
        spread: Mapping[str, Spread] = NO_SPREAD,
    ) -> None:
        """`level` is stable's mean in microseconds, as it was when its level was taken."""
        self._plan, self._latency, self._level = plan, latency, level
        self._margin = 1.0 + latency.margin
        self._prior = Prior.of((NAME,), np.ones(1), np.full(1, LATENCY_WANDER * level), history)
        self._draws = Draws.of(plan, (NAME,), np.full(1, LATENCY_WANDER), (1.0,), spread)
        self._canary, self._control = _Track(), _Track()
        self._narrowed = 0.0
        """The control's weighted sum, divided in each window by the factor that the draw of servers can make in the canary's favour."""
        self._columns = WindowColumns(4)
        self._sizes = np.zeros(3)
        """Sums of the windows' effective sizes n_c n_b/(n_c + n_b): as they are, by the canary's weight and by the control's."""
        self._servers = (1, 1)
        self._silence = Silence()

    def add(self, window: Window) -> None:
        """Add a window; it counts nothing where a track answered no request or exported no sum, or where the canary was cold."""
        column = np.zeros(4)
        if window.frozen and window.warm:
            canary, control = _sums_of(window.canary), _sums_of(window.latency_control)
            if canary and control:
                self._servers = window.canary_servers, window.stable_servers
                column = self._weigh(canary, control, float(self._draws.widenings(window)[1][0]))
            self._silence.add(window, counted=bool(canary and control))
        self._columns.append(column)

    def _weigh(self, canary: tuple[Array, LatencySum], control: tuple[Array, LatencySum], favour: float) -> Array:
        """Add a window; return its two weighted sums, its effective size, and 1 because it counts."""
        n_c, n_b = float(canary[0].sum()), float(control[0].sum())
        w_c, w_b = n_b / (n_c + n_b), n_c / (n_c + n_b)
        self._canary.add(w_c, *canary)
        self._control.add(w_b, *control)
        summed = w_b * control[1].risen
        self._narrowed += summed * math.exp(-favour)
        self._sizes += n_c * w_c * np.array([1.0, w_c, w_b])
        return np.array([w_c * canary[1].risen, summed, n_c * w_c, 1.0])

    def series(self) -> ScoreSeries:
        """Return the residuals of the scores, for the dispersion; information is the effective number of answers."""
        a, b, size, counted = self._columns.values[:, None, :]
        windows = np.sum(counted, axis=1)
        return ScoreSeries(
            residuals=a - self._ratio() * b,
            information=size,
            chance=np.full(1, self._chance()),
            size=np.sum(size, axis=1) / np.maximum(windows, 1),
            windows=windows,
        )

    def standing(self, step: float, with_intervals: bool = True) -> Standing:
        """Return how the mean stands; `step` is the mean length of a window in seconds."""
        spread = self._spread(step)
        silent = self._silence.is_too_long(self._plan.guards)
        number = self._canary.number
        has_data = number > 0 and not silent
        gap = self._gap(self._margin)
        return Standing(
            name=NAME,
            alpha_part=0.0,
            title="mean latency",
            what="answered",
            need=Need.PROOF,
            unit=RATIO_UNIT,
            tolerance=1.0 + self._latency.tolerance,
            margin=self._margin,
            log_rollback=0.0,
            log_promote=self._log_promote(self._margin, spread) if gap > 0 else 0.0,
            progress=math.log(NO_CHANGE_BET) + 0.5 * self._sizes[0] / spread * max(gap, 0.0) ** 2,
            counts=(self._canary.total, number, self._control.total, self._control.number),
            has_data=has_data,
            interval=self._interval(spread) if with_intervals and has_data else None,
            silent=silent,
            averaged=True,
            draw=Draw.of(self._draws.spreads[0], math.log(self._margin), self._plan.alpha_promote, self._servers),
            rounding=self._rounding(1.0) / self._control.weighted if self._control.weighted > 0 else 0.0,
        )

    def _ratio(self) -> float:
        return self._canary.weighted / self._control.weighted if self._control.weighted > 0 else 1.0

    def _rounding(self, ratio: float) -> float:
        return self._canary.rounding.most + ratio * self._control.rounding.most

    def _chance(self) -> float:
        """Return the variance of A - r B by chance alone where r is the margin.

        Latencies that are r times as long vary r times as much, whatever the few of the canary's that are seen so far show.
        """
        control = max(self._control.variance, SMALLEST_VARIANCE * self._level**2)
        canary = max(self._canary.variance, self._margin**2 * control)
        return float(canary * self._sizes[1] + self._margin**2 * control * self._sizes[2])

    def _spread(self, step: float) -> float:
        """Return the variance of the score for each unit of size, on which promotion is decided; 1 before the first window."""
        size = float(self._sizes[0])
        if not size > 0:
            return 1.0
        _, promote = variance(self.series(), self._prior, step)[:, 0] / size
        return float(cautious_dispersion(promote, self._chance() / size))

    def _gap(self, ratio: float) -> float:
        """Return how far inside `ratio` the mean of a canary exactly like stable is, in microseconds, after draw and rounding."""
        size = float(self._sizes[0])
        return (ratio * self._narrowed - self._control.weighted - self._rounding(ratio)) / size if size > 0 else 0.0

    def _log_promote(self, ratio: float, spread: float) -> float:
        """Return the log of the e-value against "the canary's mean is `ratio` times stable's or more"."""
        size = float(self._sizes[0])
        information, gap = size / spread, self._gap(ratio)
        s = (ratio * self._narrowed - self._canary.weighted - self._rounding(ratio)) / spread
        scale = self._latency.margin * self._control.weighted / size
        other = math.log(1 - NO_CHANGE_BET) + log_half_normal_mixture(s, information, max(scale, 1e-9))
        same = math.log(NO_CHANGE_BET) + gap * s - 0.5 * gap**2 * information if gap > 0 else -math.inf
        return float(np.logaddexp(same, other))

    def _interval(self, spread: float) -> Interval:
        """Return the ratio of the means; its lower bound, on which nothing is decided, lies by the same factor below it."""
        estimate = max(self._ratio(), SMALLEST_RATIO)
        passes = -math.log(chance_alpha(self._plan.alpha_promote))
        beyond = (SPREADS * math.sqrt(spread * self._sizes[0]) + self._rounding(self._margin)) / max(self._narrowed, 1e-300)
        widest = estimate * self._control.weighted / max(self._narrowed, 1e-300) + beyond

        def curve(ratios: Array) -> Array:
            return np.array([[self._log_promote(ratio, spread) - passes for ratio in row] for row in ratios.tolist()])

        high = float(first_root(curve, np.array([estimate]), np.array([widest]))[0])
        return Interval(estimate**2 / high, estimate, high)


def _sums_of(counts: TrackCounts) -> tuple[Array, LatencySum] | None:
    """Return a track's counts by bucket and the rise of its sum; None where it answered nothing or exported no sum."""
    if counts.latency is None or counts.latency_sum is None:
        return None
    dense = counts.latency.dense()
    return (dense, counts.latency_sum) if dense.sum() > 0 else None
