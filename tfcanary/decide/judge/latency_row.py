"""The row of latency as a whole: the histogram of the canary against stable's, slower by one factor.

Every cell of the histogram is tested with the binomial of the rate rows, all with one unknown: the log factor y by
which the canary is slower. That takes one part of alpha instead of one for each bound, and keeps about three
quarters of what the exact latencies would tell.
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
from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK, Noise, Prior, Series, cautious, dispersion
from tfcanary.decide.judge.intervals import Likelihood, lower_bound, reach, upper_bound
from tfcanary.decide.judge.rate_rows import LATENCY_WANDER
from tfcanary.decide.judge.stable_level import Frozen, weights
from tfcanary.decide.judge.standing import RATIO, Need, Picture, Quiet, Scores, Standing
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.judge.window_columns import Columns
from tfcanary.decide.stats.binomial import GAPS, NO_CHANGE, grid, points, promote_mixture, rollback_mixture
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.survival import Survival

NAME = "latency"
GAPS_OF_SHIFT: Array = GAPS[:9]
"""Slower by up to a factor of 2.2 beyond the bound; anything slower is found by the largest."""
EVEN: Array = np.full((1, len(GAPS_OF_SHIFT)), -math.log(len(GAPS_OF_SHIFT)))
"""Rollback bets on all of them alike."""
CUTS_BETWEEN = (0.005, 0.995)
"""A bound cuts where at least one request in 200 lies on either side."""
SMALLEST_MASS = 1e-6
SCORE_STEP = 0.01
LATTICE: Array = np.linspace(-1.6, 1.6, 641)
"""Log factors, fivefold either way, at which the likelihood is drawn for the interval."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of the histogram, and how their masses move when everything is slower."""

    starts: tuple[int, ...]
    """The first bucket of each cell."""
    cuts: Array
    """Latency between the cells."""
    survival: Survival

    @classmethod
    def of(cls, frozen: Frozen) -> Cells:
        """From stable's histogram."""
        survival = frozen.survival()
        bounds = np.array(LATENCY_BOUNDS)
        slower = survival(bounds)
        inside = np.flatnonzero((slower >= CUTS_BETWEEN[0]) & (slower <= CUTS_BETWEEN[1]))
        if len(inside) == 0:
            # All requests in one bucket: the bounds on both sides of it are the only ones that can tell anything.
            first = int(np.argmax(slower < CUTS_BETWEEN[0])) if slower[-1] < CUTS_BETWEEN[0] else len(bounds) - 1
            inside = np.array([max(first - 1, 0), first]) if first > 0 else np.array([0])
        return cls((0, *(inside + 1).tolist()), bounds[inside], survival)

    def count(self, latency: Buckets) -> Array:
        """Requests by cell."""
        counts: Array = np.add.reduceat(latency.dense(), self.starts)
        return counts

    def masses(self, shifts: Array) -> Array:
        """Shape (cells, shifts): the share of the requests in each cell when everything is e^y times slower."""
        slower = self.survival(self.cuts[:, None] * np.exp(-shifts))
        edges = np.vstack([np.ones(len(shifts)), slower, np.zeros(len(shifts))])
        masses: Array = np.maximum(-np.diff(edges, axis=0), SMALLEST_MASS)
        return masses

    def log_ratios(self, shifts: Array) -> Array:
        """Shape (cells, shifts): ln of the masses relative to no shift."""
        ratios: Array = np.log(self.masses(shifts) / self.masses(np.zeros(1)))
        return ratios


class _Weighed(NamedTuple):
    """One window: its weight, requests by cell on the canary and on both tracks, and all requests of each track."""

    light: float
    canary: Array
    both: Array
    n_c: float
    n_b: float


class Shift:
    """Accumulates the windows of the latency histogram."""

    def __init__(self, plan: JudgePlan, latency: LatencyPlan, frozen: Frozen, history: Mapping[str, Noise]) -> None:
        self._plan = plan
        self._weight = weights(plan)[NAME]
        self._tolerance, self._margin = math.log1p(latency.tolerance), math.log1p(latency.margin)
        self._cells = Cells.of(frozen)
        shifts = points([self._tolerance], [self._margin], GAPS_OF_SHIFT)[0]
        self._log_ratios = self._cells.log_ratios(shifts)
        slower, faster = self._cells.masses(np.array([SCORE_STEP, -SCORE_STEP])).T
        self._sensitivity = np.log(slower / faster) / (2 * SCORE_STEP)
        self._lattice = self._cells.log_ratios(LATTICE)
        self._wander = history[NAME].wander if NAME in history else LATENCY_WANDER
        self._prior = Prior.of((NAME,), np.ones(1), np.full(1, LATENCY_WANDER), history)
        self._likelihoods = np.zeros(len(shifts))
        self._columns = Columns(4)
        self._drawn, self._expected = np.zeros(len(LATTICE)), 0.0
        """The likelihood on the lattice, and the one at the margin that a canary exactly like stable would have."""
        self._undrawn: list[_Weighed] = []
        """Windows that are not in them yet: pictures are drawn only where somebody looks."""
        self._answers = np.zeros(2)
        self._quiet = Quiet()

    def add(self, window: Window) -> None:
        """Add a window; it counts nothing where a track answered no request in it, or the canary was cold."""
        heard = False
        column = np.zeros(4)
        if window.frozen and window.warm:
            if window.canary.latency and window.stable.latency:
                canary, stable = self._cells.count(window.canary.latency), self._cells.count(window.stable.latency)
                heard = bool(canary.sum() > 0 and stable.sum() > 0)
                column = self._weigh_cells(canary, stable) if heard else column
            self._quiet.listen(window, heard)
        self._columns.append(column)

    def _weigh_cells(self, canary: Array, stable: Array) -> Array:
        """Residual, information and effective size of a window in which both tracks answered, and 1: it counts."""
        n_c, n_b, both = float(canary.sum()), float(stable.sum()), canary + stable
        share = n_c / (n_c + n_b)
        information = share * (1 - share) * float(np.sum(self._sensitivity**2 * both))
        light = 1.0 / (1.0 + self._wander**2 * information)
        self._likelihoods += light * _log_likelihood(self._log_ratios, canary, both, n_c, n_b)
        self._undrawn.append(_Weighed(light, canary, both, n_c, n_b))
        self._answers += (n_c, n_b)
        residual = light * float(np.sum(self._sensitivity * (canary - both * share)))
        return np.array([residual, light * information, light * n_c * n_b / (n_c + n_b), 1.0])

    def series(self) -> Series:
        """The scores' residuals, for the dispersion."""
        residuals, information, size, counted = self._columns.held[:, None, :]
        total, windows = np.sum(information, axis=1), np.sum(counted, axis=1)
        slope = np.sum(residuals, axis=1) / np.where(total > 0, total, 1.0)
        return Series(
            residuals=residuals - slope[:, None] * information,
            information=information,
            chance=total,
            size=np.sum(size, axis=1) / np.maximum(windows, 1),
            windows=windows,
        )

    def standing(self, step: float, drawn: bool = True) -> Standing:
        """How latency stands after windows of `step` seconds each, on the mean; with its interval only where it is to be drawn."""
        scores = self._scores(step)
        n_c, n_b = self._answers.tolist()
        silent = self._quiet.is_silence(self._plan.guards)
        heard = n_c > 0 and not silent
        picture = self._picture(scores) if drawn and heard else None
        return Standing(
            name=NAME,
            weight=self._weight,
            title=NAME,
            what="answered",
            need=Need.PROOF,
            unit=RATIO,
            tolerance=math.exp(self._tolerance),
            margin=math.exp(self._margin),
            log_up=float(scores.up[0]),
            log_down=float(scores.down[0]),
            progress=float(picture.progress[0]) if picture else math.log(NO_CHANGE),
            counts=(0.0, n_c, 0.0, n_b),
            heard=heard,
            interval=Interval(*(math.exp(float(part[0])) for part in (picture.low, picture.estimate, picture.high))) if picture else None,
            silent=silent,
        )

    def _scores(self, step: float) -> Scores:
        series = self.series()
        phi = dispersion(series, self._prior, step)
        phi[PROMOTE] = cautious(phi[PROMOTE], 1.0)
        at_tolerance, at_margin, beyond, inside = grid(self._likelihoods[None, :])
        up = rollback_mixture(at_tolerance, beyond, phi[ROLLBACK], EVEN)
        return Scores(up=up, down=promote_mixture(at_margin, inside, phi[PROMOTE]), phi=phi, information=series.chance)

    def _draw(self) -> None:
        for light, canary, both, n_c, n_b in self._undrawn:
            self._drawn += light * _log_likelihood(self._lattice, canary, both, n_c, n_b)
            as_stable = both * (n_c / (n_c + n_b))
            self._expected += light * float(_log_likelihood(self._log_ratios[:, 1], as_stable, both, n_c, n_b))
        self._undrawn = []

    def _picture(self, scores: Scores) -> Picture:
        self._draw()
        likelihood = _interpolated(self._drawn)
        estimate = np.array([_peak(self._drawn)])
        low, high = reach(estimate, scores, LATTICE[-1])
        convicts = np.array([-math.log(self._plan.alpha) - math.log(self._weight)])
        return Picture(
            low=lower_bound(likelihood, GAPS_OF_SHIFT, EVEN, scores.phi[ROLLBACK], convicts, low, estimate),
            estimate=estimate,
            high=upper_bound(likelihood, GAPS_OF_SHIFT, scores.phi[PROMOTE], -math.log(self._plan.alpha_promote), estimate, high),
            progress=math.log(NO_CHANGE) - self._expected / scores.phi[PROMOTE],
        )


def _log_likelihood(log_ratios: Array, canary: Array, both: Array, n_c: float, n_b: float) -> Array:
    """Of each shift against none, given what each cell holds of both tracks together."""
    total: Array = canary @ log_ratios - both @ np.log((n_c * np.exp(log_ratios) + n_b) / (n_c + n_b))
    return total


def _peak(drawn: Array) -> float:
    """Where the likelihood is largest, between the points of the lattice: the top of a parabola through three of them."""
    top = int(np.clip(np.argmax(drawn), 1, len(drawn) - 2))
    before, at, after = drawn[top - 1 : top + 2].tolist()
    bend = before - 2 * at + after
    beside = float(np.clip(0.5 * (before - after) / bend, -1.0, 1.0)) if bend < 0 else 0.0
    return float(LATTICE[top] + beside * (LATTICE[1] - LATTICE[0]))


def _interpolated(drawn: Array) -> Likelihood:
    def likelihood(shifts: Array) -> Array:
        return np.interp(shifts, LATTICE, drawn)

    return likelihood
