"""All criteria together: each window is handed to each of them, and each says how it stands.

Everything here is recomputed by handing over the windows again, in their order: the same windows give the same
numbers, in this process and in the next.
"""

from __future__ import annotations

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.latency_row import Shift
from tfcanary.decide.judge.means import Means, mean_rows
from tfcanary.decide.judge.rates import RateRows
from tfcanary.decide.judge.stable_level import Frozen
from tfcanary.decide.judge.standing import Standing
from tfcanary.decide.judge.watch_windows import Window


class Criteria:
    """Accumulates the windows of a watch for every criterion that the plan asks for and stable's level allows."""

    def __init__(self, plan: JudgePlan, frozen: Frozen | None, calibration: Calibration) -> None:
        noise = calibration.noise
        self._rates = RateRows(plan, frozen, noise)
        self._others: list[Shift | Means] = []
        if plan.latency and frozen and frozen.latency:
            self._others.append(Shift(plan, plan.latency, frozen, noise))
        if frozen:
            self._others += [Means(plan, row, noise) for row in mean_rows(plan, frozen)]
        self._windows, self._seconds = 0, 0.0
        self.requests = 0.0
        """The canary's, in all windows."""

    def add(self, window: Window) -> None:
        """Hand a window to every criterion."""
        self._windows += 1
        self._seconds += window.until - window.since
        self.requests += window.canary.requests
        self._rates.add(window)
        for other in self._others:
            other.add(window)

    def standings(self, drawn: bool = True) -> tuple[Standing, ...]:
        """How each criterion stands after the windows so far; with its interval only where it is to be drawn."""
        step = max(self._seconds / max(self._windows, 1), 1.0)
        return (*self._rates.standings(step, drawn), *(other.standing(step, drawn) for other in self._others))
