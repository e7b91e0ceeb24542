"""How a criterion stands: its e-values, its interval, and how far it has come. Every criterion answers with these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from tfcanary.core.domain import Interval
from tfcanary.core.plan import GuardsPlan, JudgePlan
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.binomial import NO_CHANGE
from tfcanary.decide.stats.logarithms import Array

RATIO = "ratio to stable"
OF_SHARE = "part of the configured share"

Quadruple = tuple[float, float, float, float]
"""Events and exposure on the canary's side, then on stable's."""
NOTHING: Quadruple = (0.0, 0.0, 0.0, 0.0)


class Need(StrEnum):
    """What promotion needs of a criterion."""

    NOTHING = "nothing"
    DATA = "data"
    """That it counts, and does not fail."""
    PROOF = "proof"
    """That its margin is excluded."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What several criteria are decided on; arrays over them."""

    up: Array
    """Logarithm of the e-value for rollback."""
    down: Array
    """Logarithm of the e-value for promote."""
    phi: Array
    """Shape (2, criteria): dispersion, for rollback and for promote."""
    information: Array
    """Of the undivided likelihood."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What people are shown beside the scores; arrays over the criteria."""

    low: Array
    estimate: Array
    high: Array
    """The worse, the larger: log ratios of the canary to stable, or differences."""
    progress: Array
    """Logarithm of the e-value for promote that a canary exactly like stable would have by now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one criterion stands after the windows so far."""

    name: str
    weight: float
    """The part of alpha it may spend."""
    title: str
    """As a sentence calls it."""
    what: str
    """What happened to the counted requests, as a sentence says it."""
    need: Need
    unit: str
    tolerance: float
    margin: float
    log_up: float
    """Logarithm of the e-value for rollback."""
    log_down: float
    """Logarithm of the e-value for promote."""
    progress: float
    counts: Quadruple
    heard: bool
    """Both tracks have counted something, and it has not fallen silent."""
    interval: Interval | None
    """None: nothing was heard, or nobody asked for a picture."""
    silent: bool
    """It counts nothing although the canary hears requests."""
    lower_is_worse: bool = False
    gating: bool = True
    """False: a dry run, which never decides."""
    averaged: bool = False
    """Its counts are sums of values and how many there were."""

    @property
    def log_evidence(self) -> float:
        """What it adds to the sum that rollback is decided on."""
        return math.log(self.weight) + self.log_up

    def fails(self, plan: JudgePlan) -> bool:
        """It convicts by itself, within its part of alpha."""
        return self.log_evidence >= -math.log(plan.alpha)

    def passes(self, plan: JudgePlan) -> bool:
        """Promotion's need is met: a criterion that has fallen silent meets none."""
        if self.need is Need.NOTHING:
            return True
        return self.heard and (self.need is Need.DATA or self.log_down >= -math.log(plan.alpha_promote))

    def needed(self, plan: JudgePlan) -> float | None:
        """Canary requests after which a canary exactly like stable would pass; None: there is nothing yet to tell it from."""
        price = math.log(NO_CHANGE)
        gained = self.progress - price
        return self.counts[1] * (-math.log(plan.alpha_promote) - price) / gained if gained > 0 and self.counts[1] > 0 else None


@dataclass(slots=True)
class Quiet:
    """For how long, and through how many canary requests, a criterion has counted nothing."""

    seconds: float = 0.0
    requests: float = 0.0

    def listen(self, window: Window, heard: bool) -> None:
        """After a window in which it could have counted."""
        self.seconds = 0.0 if heard else self.seconds + window.until - window.since
        self.requests = 0.0 if heard else self.requests + window.canary.requests

    def is_silence(self, plan: GuardsPlan) -> bool:
        """By the measure of the guard of silence."""
        return self.seconds >= plan.silence_after.total_seconds() and self.requests >= plan.silence_expected
