"""How a criterion stands after the windows so far: its e-values, its interval, and how far it is from its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from tfcanary.core.domain import Interval
from tfcanary.core.plan import GuardsPlan, JudgePlan
from tfcanary.decide.judge.spread import Draw, chance_alpha
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.binomial import NO_CHANGE_BET
from tfcanary.decide.stats.logarithms import Array

RATIO_UNIT = "ratio to stable"
SHARE_UNIT = "part of the configured share"

EventCounts = tuple[float, float, float, float]
"""Events and exposure of the canary, then of stable; in a swapped row stable's come first."""
NO_EVENTS: EventCounts = (0.0, 0.0, 0.0, 0.0)


class Need(StrEnum):
    """What promotion needs of a criterion."""

    NOTHING = "nothing"
    DATA = "data"
    """It counts something and does not fail."""
    PROOF = "proof"
    """Its margin is excluded."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The numbers on which several criteria are decided; arrays over the criteria."""

    log_rollback: Array
    """Log of the e-value for rollback, shape (criteria,)."""
    log_promote: Array
    """Log of the e-value for promotion, shape (criteria,)."""
    phi: Array
    """Dispersion, shape (2, criteria): for rollback and for promotion."""
    information: Array
    """Information of the log likelihood before it is divided by the dispersion, shape (criteria,)."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """What is shown to people beside the scores; arrays of shape (criteria,)."""

    low: Array
    estimate: Array
    high: Array
    """Bounds and estimate as log ratios of the canary to stable, or as log factors of latency: the larger, the worse."""
    progress: Array
    """Log of the e-value for promotion that a canary exactly like stable would have by now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one criterion stands after the windows so far."""

    name: str
    alpha_part: float
    """The part of alpha that the criterion may spend; 0 where it rolls nothing back."""
    title: str
    """The criterion's name in sentences."""
    what: str
    """What happened to the counted requests, as a sentence says it, for example `failed`."""
    need: Need
    unit: str
    tolerance: float
    margin: float
    log_rollback: float
    """Log of the e-value for rollback."""
    log_promote: float
    """Log of the e-value for promotion."""
    progress: float
    """Log of the e-value for promotion that a canary exactly like stable would have by now."""
    counts: EventCounts
    has_data: bool
    """Both tracks have counted something, and the criterion has not fallen silent."""
    interval: Interval | None
    """None where there are no data, or where the intervals were not asked for."""
    silent: bool
    """The criterion counts nothing although the canary gets requests."""
    lower_is_worse: bool = False
    gating: bool = True
    """False for a dry run, which never decides."""
    averaged: bool = False
    """The counts are sums of values and numbers of values, not events and exposures."""
    suspended: float = 0.0
    """Log of the e-value for rollback that does not count, as the canary may still be warming up; 0 where it does not."""
    draw: Draw = Draw()
    """What the draw of servers means for the criterion."""
    incident: float = 0.0
    """Stable's error rate in the windows in which it failed far more than its level, where the margin of errors is narrower; 0 without any."""
    rounding: float = 0.0
    """Largest relative error of the interval's estimate that the rounding of what the servers print can make."""

    @property
    def log_evidence(self) -> float:
        """The criterion's term, as a log, in the sum of e-values on which rollback is decided."""
        return math.log(self.alpha_part) + self.log_rollback if self.alpha_part > 0 else -math.inf

    def fails(self, plan: JudgePlan) -> bool:
        """Return whether the criterion alone is enough for a rollback, within its part of alpha."""
        return self.log_evidence >= -math.log(chance_alpha(plan.alpha))

    @property
    def warming(self) -> bool:
        """Whether the canary is slower than tolerated and may still be warming up: that is no evidence yet."""
        return self.suspended > 0

    def would_fail(self, plan: JudgePlan) -> bool:
        """Return whether the criterion alone would be enough for a rollback if the canary could not be warming up."""
        return self.warming and math.log(self.alpha_part) + self.suspended >= -math.log(chance_alpha(plan.alpha))

    def passes(self, plan: JudgePlan) -> bool:
        """Return whether the criterion meets what promotion needs of it; a criterion that has fallen silent does not."""
        if self.need is Need.NOTHING:
            return True
        return self.has_data and (self.need is Need.DATA or self.log_promote >= -math.log(chance_alpha(plan.alpha_promote)))

    def requests_needed(self, plan: JudgePlan) -> float | None:
        """Return the number of canary requests after which a canary exactly like stable would pass; None where nothing tells it yet."""
        price = math.log(NO_CHANGE_BET)
        gained = self.progress - price
        return (
            self.counts[1] * (-math.log(chance_alpha(plan.alpha_promote)) - price) / gained if gained > 0 and self.counts[1] > 0 else None
        )


def is_latency(standing: Standing) -> bool:
    """Return whether the criterion is the latency as a whole, or a part of it."""
    return standing.name.startswith("latency")


@dataclass(slots=True)
class Silence:
    """For how long, and through how many canary requests, a criterion has counted nothing."""

    seconds: float = 0.0
    requests: float = 0.0

    def add(self, window: Window, counted: bool) -> None:
        """Add a window in which the criterion could have counted; `counted` says whether it did."""
        self.seconds = 0.0 if counted else self.seconds + window.until - window.since
        self.requests = 0.0 if counted else self.requests + window.canary.requests

    def is_too_long(self, plan: GuardsPlan) -> bool:
        """Return whether the silence exceeds the limits of the absence rule for silence, in time and in requests."""
        return self.seconds >= plan.silence_after.total_seconds() and self.requests >= plan.silence_expected
