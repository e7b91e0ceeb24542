"""Argo Rollouts' analysis: measurements at an interval; too many failed ones fail the run, `count` of them end it well.

After Argo Rollouts' documentation ("Analysis & progressive delivery"): a run fails when more than `failureLimit` measurements failed, and
ends in error after more than `consecutiveErrorLimit` (4) measurements without a value, which aborts as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.judge.rivals.counting import Minutes, TrackTotals, history_total
from bench.judge.rivals.limits import ARGO, Limits, tuned_limits
from bench.judge.traffic import ReplaySample

FAILURE_LIMIT, ERROR_LIMIT = 3, 4


class Argo:
    """One analysis run."""

    def __init__(self, limits: Limits | None, every: int, count: int) -> None:
        self._limits = limits or ARGO
        self._tunes = limits is None
        self._every, self._count = every, count
        self._minutes = Minutes()
        self._numbers, self._passed = TrackTotals.zero(), 0
        self._measured, self._failed, self._errors = 0, 0, 0

    def calibrate(self, history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> None:
        """Tune the limits from the history; the documented rule ignores it."""
        if self._tunes:
            self._limits = tuned_limits(history_total(history))

    def update(self, t: float, stable: ReplaySample, canary: ReplaySample) -> str:
        """Return the answer after a poll."""
        minute = self._minutes.of(t, stable, canary)
        if minute is None:
            return "continue"
        self._numbers, self._passed = self._numbers.plus(minute[1]), self._passed + 1
        if self._passed < self._every:
            return "continue"
        measured, self._numbers, self._passed = self._numbers, TrackTotals.zero(), 0
        return self._measure(measured)

    def _measure(self, totals: TrackTotals) -> str:
        if totals.requests == 0:
            self._errors += 1
            return "rollback" if self._errors > ERROR_LIMIT else "continue"
        self._errors = 0
        self._measured += 1
        self._failed += not self._limits.hold(totals)
        if self._failed > FAILURE_LIMIT:
            return "rollback"
        return "promote" if self._measured >= self._count else "continue"


def documented() -> Argo:
    """Return the rule of the documentation's example: success rate every five minutes, ten times."""
    return Argo(ARGO, every=5, count=10)


def with_tuned_limits() -> Argo:
    """Return the rule with limits from stable's history, every minute, twenty times."""
    return Argo(None, every=1, count=20)
