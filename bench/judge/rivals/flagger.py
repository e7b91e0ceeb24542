"""Flagger's rule: one check a minute; a number of failed checks in all is a rollback, a number of good ones a promotion.

After Flagger's documentation ("Canary analysis"): `interval: 1m`, `threshold: 5`, ten steps. Failed checks add up over the whole analysis;
a metric without values is a failed check.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.judge.rivals.counting import Minutes, history_total
from bench.judge.rivals.limits import FLAGGER, Limits, tuned_limits
from bench.judge.traffic import ReplaySample

THRESHOLD, STEPS = 5, 10


class Flagger:
    """One analysis."""

    def __init__(self, limits: Limits | None) -> None:
        self._limits = limits or FLAGGER
        self._tunes = limits is None
        self._minutes = Minutes()
        self._failed, self._good = 0, 0

    def calibrate(self, history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> None:
        """Tune the limits from the history; the documented rule ignores it."""
        if self._tunes:
            self._limits = tuned_limits(history_total(history))

    def update(self, t: float, stable: ReplaySample, canary: ReplaySample) -> str:
        """Return the answer after a poll."""
        minute = self._minutes.of(t, stable, canary)
        if minute is None:
            return "continue"
        good = minute[1].requests > 0 and self._limits.hold(minute[1])
        self._good += good
        self._failed += not good
        if self._failed >= THRESHOLD:
            return "rollback"
        return "promote" if self._good >= STEPS else "continue"


def documented() -> Flagger:
    """Return the rule with the limits of the documentation."""
    return Flagger(FLAGGER)


def with_tuned_limits() -> Flagger:
    """Return the rule with limits from stable's history."""
    return Flagger(None)
