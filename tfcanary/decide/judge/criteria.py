"""All criteria of a watch together: each window is added to every criterion, and each criterion reports how it stands.

Everything here can be recomputed by adding the same windows again in their order: the numbers are the same in every process.
"""

from __future__ import annotations

from dataclasses import replace

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import latency_mean, latency_row
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.latency_mean import LatencyMeanAccumulator
from tfcanary.decide.judge.latency_row import LatencyAccumulator
from tfcanary.decide.judge.means import MeanAccumulator, mean_rows
from tfcanary.decide.judge.rates import RateAccumulator
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.standing import Need, Standing, is_latency
from tfcanary.decide.judge.watch_windows import Window


class Criteria:
    """Accumulates the windows of a watch for every criterion that the plan asks for and stable's level allows."""

    def __init__(self, plan: JudgePlan, stable_level: StableLevel | None, calibration: Calibration) -> None:
        noise, spread = calibration.noise, calibration.spread
        self._rates = RateAccumulator(plan, stable_level, noise, spread)
        self._others: list[LatencyAccumulator | LatencyMeanAccumulator | MeanAccumulator] = []
        if plan.latency and stable_level and stable_level.latency:
            self._others.append(LatencyAccumulator(plan, plan.latency, stable_level, noise, spread))
            if stable_level.latency_mean is not None:
                self._others.append(LatencyMeanAccumulator(plan, plan.latency, stable_level.latency_mean, noise, spread))
        if stable_level:
            self._others += [MeanAccumulator(plan, row, noise, spread) for row in mean_rows(plan, stable_level)]
        self._latency = plan.latency
        self._windows, self._seconds = 0, 0.0
        self._per_server = [0.0, 0.0]
        """Number of requests for each server of latency's control and of the canary, in the windows that count for latency."""
        self.requests = 0.0
        """Number of the canary's requests in all windows."""

    def add(self, window: Window) -> None:
        """Add a window to every criterion."""
        if window.stable.requests or window.canary.requests:
            # A window in which nothing was counted says nothing about how long the counted ones are.
            self._windows += 1
            self._seconds += window.until - window.since
        if window.frozen and window.warm:
            self._per_server[0] += window.latency_control.requests / window.stable_servers
            self._per_server[1] += window.canary.requests / window.canary_servers
        self.requests += window.canary.requests
        self._rates.add(window)
        for other in self._others:
            other.add(window)

    def standings(self, with_intervals: bool = True) -> tuple[Standing, ...]:
        """Return how each criterion stands after the windows so far, on request without the intervals, which cost most of the work."""
        step = max(self._seconds / max(self._windows, 1), 1.0)
        every = (*self._rates.standings(step, with_intervals), *(other.standing(step, with_intervals) for other in self._others))
        return tuple(self._with_enough_answers(standing) for standing in _with_readable_sums(every))

    @property
    def load(self) -> float:
        """How many requests each server of latency's control gets for each request of a canary's; 1 where nothing was counted."""
        control, canary = self._per_server
        return control / canary if control and canary else 1.0

    def _with_enough_answers(self, standing: Standing) -> Standing:
        """Return the standing; one of latency holds nothing against a canary with fewer answers than `judge.latency.least_answers`."""
        few = self._latency is not None and is_latency(standing) and standing.counts[1] < self._latency.least_answers
        return replace(standing, log_rollback=min(standing.log_rollback, 0.0)) if few else standing


def _with_readable_sums(standings: tuple[Standing, ...]) -> tuple[Standing, ...]:
    """Return the standings; where the sums of latencies are printed too coarsely to show any margin, the row `latency` is to be proven instead.

    That is so where servers have been answering for months. A service of such servers has no means, as one that exports no sums.
    """
    coarse = any(one.name == latency_mean.NAME and one.rounding > one.margin - 1 for one in standings)
    needs = {latency_mean.NAME: Need.NOTHING, latency_row.NAME: Need.PROOF} if coarse else {}
    return tuple(replace(one, need=needs.get(one.name, one.need)) for one in standings)
