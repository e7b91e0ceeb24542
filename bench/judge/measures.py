"""Rates and medians over cells, and whether chance alone explains that a limit was missed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import binom, binomtest

from bench.judge.runner import CellResult
from bench.judge.scenarios import ERRORS_X1_5, FEW, LATE_ERRORS, is_on_margin

DETECTABLE = 900.0
"""Seconds: a fault that the oracle knows by then is one that a judge should find within the hour."""
CHANCE = 0.001
"""A limit counts as missed where a judge that just keeps it does as badly with less than this probability; there are a hundred
limits."""
CONFIDENCE = 1.0 - 2.0 * CHANCE
"""Confidence of the exact interval that a missed limit lies outside of."""


@dataclass(frozen=True)
class Rate:
    """A number of watches out of all watches of some cells."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    def exceeds(self, limit: float) -> bool:
        """Return whether the limit lies below the exact interval of the true rate."""
        return bool(self.of) and interval(self, CONFIDENCE)[0] > limit

    def falls_short(self, limit: float) -> bool:
        """Return whether the limit lies above the exact interval of the true rate."""
        return bool(self.of) and interval(self, CONFIDENCE)[1] < limit


def binomial_tail(count: int, of: int, p: float) -> float:
    """Return the probability of `count` or more of `of`, each with probability p."""
    return float(binom.sf(count - 1, of, p))


def excludes(rate: Rate, limit: float) -> bool:
    """Return whether the 95 % interval of the true rate lies beyond the limit: as a table shows it, for a single rate."""
    return bool(rate.of) and interval(rate)[0] > limit


def interval(rate: Rate, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the true rate (Clopper and Pearson 1934)."""
    exact = binomtest(rate.count, rate.of).proportion_ci(confidence, method="exact")
    return float(exact.low), float(exact.high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval of at least 95 % of the true median: two of the ordered values, by the binomial of a fair coin."""
    ordered, n = sorted(values), len(values)
    beyond = next((k for k in range(n // 2, 0, -1) if binomial_tail(n - k + 1, n, 0.5) <= 0.025), 0)
    return (ordered[beyond - 1], ordered[n - beyond]) if beyond else (0.0, math.inf)


def rate(cells: Iterable[CellResult], judge: str, answer: str) -> Rate:
    """Return how often the judge gave the answer, all watches of the cells together."""
    outcomes = [outcome for result in cells for outcome in result.outcomes[judge]]
    return Rate(sum(outcome.answer == answer for outcome in outcomes), len(outcomes))


def decided_or_explained(cells: Iterable[CellResult], judge: str) -> Rate:
    """Return how often the judge promoted, or said that more canary servers are needed."""
    outcomes = [outcome for result in cells for outcome in result.outcomes[judge]]
    return Rate(sum(outcome.answer == "promote" or outcome.needs_servers for outcome in outcomes), len(outcomes))


def servers_needed(cells: Iterable[CellResult], judge: str) -> Rate:
    """Return how often the judge was undecided and said that more canary servers are needed."""
    outcomes = [outcome for result in cells for outcome in result.outcomes[judge]]
    return Rate(sum(outcome.needs_servers for outcome in outcomes), len(outcomes))


def times(result: CellResult, judge: str, answer: str) -> list[float]:
    """Return the seconds until the answer, infinite for watches that ended otherwise."""
    return [outcome.seconds if outcome.answer == answer else math.inf for outcome in result.outcomes[judge]]


def median(values: Sequence[float]) -> float:
    """Return the median, infinite for no values; of two in the middle the lower one, so that a time stays on the grid of the polls."""
    return statistics.median_low(values) if values else math.inf


def median_exceeds(values: Sequence[float], limit: float) -> bool:
    """Return whether so many values exceed the limit that their true median does, too."""
    above = sum(value > limit for value in values)
    return median(values) > limit and binomial_tail(above, len(values), 0.5) < CHANCE


def is_between(result: CellResult) -> bool:
    """Return whether either answer is right: x1.5 of 0.1 % lies inside the absolute margin."""
    return result.cell.fault == ERRORS_X1_5 and result.cell.base == FEW


def is_bad(result: CellResult) -> bool:
    """Return whether the canary must not be promoted, from the start."""
    return not (result.cell.fault.is_good or is_between(result) or result.cell.fault == LATE_ERRORS)


def is_beyond(result: CellResult) -> bool:
    """Return whether the canary lies beyond a margin, and not just on it."""
    return is_bad(result) and not is_on_margin(result.cell)


def detectable(cells: Iterable[CellResult]) -> list[CellResult]:
    """Return the cells at one share, at 30 s polls or as asked for, whose faults the oracle finds in time."""
    faulty = (result for result in cells if not result.cell.fault.is_good and not is_between(result))
    return [result for result in faulty if result.cell.ramp.name == "5 %" and median(result.plain) <= DETECTABLE]


def ratios(cells: Iterable[CellResult], judge: str) -> list[float]:
    """Return, by cell, the median time to rollback over that of the waiting oracle; infinite where fewer than half were rolled back."""
    return [median(times(result, judge, "rollback")) / median(result.waiting) for result in detectable(cells)]


def promotion_ratios(cells: Iterable[CellResult], judge: str, minimum: float) -> list[float]:
    """Return, by cell, the median time to promotion over that of the waiting oracle, which waits for the minimum time, too.

    Cells in which the oracle does not know within the hour are left out.
    """
    healthy = [result for result in cells if result.waiting and result.cell.fault.is_good and math.isfinite(median(result.waiting))]
    return [median(times(result, judge, "promote")) / max(median(result.waiting), minimum) for result in healthy]


def exposed(cells: Iterable[CellResult], judge: str) -> float:
    """Return the mean number of requests that a bad canary answered in the hour."""
    every = [outcome for result in cells for outcome in result.outcomes[judge]]
    return statistics.fmean(outcome.exposed for outcome in every) if every else 0.0


def select(cells: Iterable[CellResult], *conditions: Callable[[CellResult], bool]) -> list[CellResult]:
    """Return the cells that meet all conditions."""
    return [result for result in cells if all(condition(result) for condition in conditions)]
