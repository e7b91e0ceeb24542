"""Argo Rollouts' analysis: measurements at an interval; too many failed ones fail the run, `count` of them end it well.

After Argo Rollouts' documentation ("Analysis & progressive delivery"): a run fails when more than `failureLimit`
measurements failed, and ends in error after more than `consecutiveErrorLimit` (4) measurements without a value, which aborts as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.judge.rivals.counting import Minutes, Tally, whole
from bench.judge.rivals.limits import ARGO, Limits, tuned
from bench.judge.traffic import Sample

FAILURE_LIMIT, ERROR_LIMIT = 3, 4


class Argo:
    """One analysis run."""

    def __init__(self, limits: Limits | None, every: int, count: int) -> None:
        self._limits = limits or ARGO
        self._tunes = limits is None
        self._every, self._count = every, count
        self._minutes = Minutes()
        self._held, self._passed = Tally.nothing(), 0
        self._measured, self._failed, self._errors = 0, 0, 0

    def calibrate(self, history: Iterable[tuple[float, Sample, Sample]]) -> None:
        """Only the tuned rule looks at it."""
        if self._tunes:
            self._limits = tuned(whole(history))

    def update(self, t: float, stable: Sample, canary: Sample) -> str:
        """The word after a poll."""
        minute = self._minutes.of(t, stable, canary)
        if minute is None:
            return "continue"
        self._held, self._passed = self._held.plus(minute[1]), self._passed + 1
        if self._passed < self._every:
            return "continue"
        measured, self._held, self._passed = self._held, Tally.nothing(), 0
        return self._measure(measured)

    def _measure(self, seen: Tally) -> str:
        if seen.requests == 0:
            self._errors += 1
            return "rollback" if self._errors > ERROR_LIMIT else "continue"
        self._errors = 0
        self._measured += 1
        self._failed += not self._limits.hold(seen)
        if self._failed > FAILURE_LIMIT:
            return "rollback"
        return "promote" if self._measured >= self._count else "continue"


def documented() -> Argo:
    """Success rate every five minutes, ten times: the documentation's example."""
    return Argo(ARGO, every=5, count=10)


def with_tuned_limits() -> Argo:
    """Limits from stable's history, every minute, twenty times."""
    return Argo(None, every=1, count=20)
