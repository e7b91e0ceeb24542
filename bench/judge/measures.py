"""Rates and medians over cells, and whether chance alone explains that a limit was missed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.judge.runner import Found, Outcome
from bench.judge.scenarios import ERRORS_X1_5, FEW, LATE_ERRORS

DETECTABLE = 900.0
"""Seconds: a fault that the oracle knows by then is one that a judge should find within the hour."""
CHANCE = 0.001
"""A limit is missed where a judge that just keeps it would do as badly with less than this probability; there are 53 limits."""


@dataclass(frozen=True)
class Rate:
    """How many of how many."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    def exceeds(self, limit: float) -> bool:
        """More than chance allows where the true rate is the limit."""
        return self.share > limit and binomial_tail(self.count, self.of, limit) < CHANCE

    def falls_short(self, limit: float) -> bool:
        """Less than chance allows where the true rate is the limit."""
        return self.share < limit and binomial_tail(self.of - self.count, self.of, 1.0 - limit) < CHANCE


def binomial_tail(count: int, of: int, p: float) -> float:
    """The probability of `count` or more of `of`, each with probability p."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if count <= of * p else 0.0
    logs = [
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(count, of + 1)
    ]
    return min(sum(map(math.exp, logs)), 1.0)


def interval(seen: Rate) -> tuple[float, float]:
    """Of the true rate, 95 %, exact (Clopper and Pearson 1934)."""

    def bound(too_low: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if too_low(middle) else (low, middle)
        return (low + high) / 2

    least = bound(lambda p: binomial_tail(seen.count, seen.of, p) < 0.025) if seen.count else 0.0
    most = bound(lambda p: binomial_tail(seen.of - seen.count, seen.of, 1 - p) > 0.025) if seen.count < seen.of else 1.0
    return least, most


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the true median, at least 95 %: two of the values, in their order, as far from the middle as a fair coin goes."""
    ordered, n = sorted(values), len(values)
    beyond = next((k for k in range(n // 2, 0, -1) if binomial_tail(n - k + 1, n, 0.5) <= 0.025), 0)
    return (ordered[beyond - 1], ordered[n - beyond]) if beyond else (0.0, math.inf)


def rate(cells: Iterable[Found], judge: str, word: str) -> Rate:
    """How often the judge said the word, all watches of the cells together."""
    outcomes = [outcome for found in cells for outcome in found.outcomes[judge]]
    return Rate(sum(outcome.word == word for outcome in outcomes), len(outcomes))


def times(found: Found, judge: str, word: str) -> list[float]:
    """Seconds until the word, infinite for watches that ended otherwise."""
    return [outcome.seconds if outcome.word == word else math.inf for outcome in found.outcomes[judge]]


def median(values: Sequence[float]) -> float:
    """The lower of two in the middle, so that a time on the grid of the polls stays on it; infinite for none."""
    return statistics.median_low(values) if values else math.inf


def median_exceeds(values: Sequence[float], limit: float) -> bool:
    """Whether so many values lie above the limit that their true median does, too."""
    above = sum(value > limit for value in values)
    return median(values) > limit and binomial_tail(above, len(values), 0.5) < CHANCE


def is_between(found: Found) -> bool:
    """A fault for which either answer is right: x1.5 of 0.1 % lies inside the absolute margin."""
    return found.cell.fault == ERRORS_X1_5 and found.cell.base == FEW


def is_bad(found: Found) -> bool:
    """A canary that must not be promoted, from the start."""
    return not (found.cell.fault.is_good or is_between(found) or found.cell.fault == LATE_ERRORS)


def detectable(cells: Iterable[Found]) -> list[Found]:
    """At one share, at 30 s polls or as asked for: the faults that the oracle finds in time."""
    return [
        found
        for found in cells
        if not found.cell.fault.is_good and not is_between(found) and found.cell.ramp.name == "5 %" and median(found.plain) <= DETECTABLE
    ]


def ratios(cells: Iterable[Found], judge: str) -> list[float]:
    """Median time to rollback by that of the waiting oracle, cell by cell; infinite where fewer than half were rolled back."""
    return [median(times(found, judge, "rollback")) / median(found.waiting) for found in detectable(cells)]


def promotion_ratios(cells: Iterable[Found], judge: str, minimum: float) -> list[float]:
    """Median time to promotion by that of the waiting oracle, which waits for the minimum time, too; where it knows within the hour."""
    healthy = [found for found in cells if found.waiting and found.cell.fault.is_good and math.isfinite(median(found.waiting))]
    return [median(times(found, judge, "promote")) / max(median(found.waiting), minimum) for found in healthy]


def exposed(cells: Iterable[Found], judge: str) -> float:
    """Mean number of requests that a bad canary answered in the hour."""
    every: list[Outcome] = [outcome for found in cells for outcome in found.outcomes[judge]]
    return statistics.fmean(outcome.exposed for outcome in every) if every else 0.0


def select(cells: Iterable[Found], *conditions: Callable[[Found], bool]) -> list[Found]:
    """The cells that meet all conditions."""
    return [found for found in cells if all(condition(found) for condition in conditions)]
