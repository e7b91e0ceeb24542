"""The earliest time at which anybody could know: Wald's sequential test with all but chance known.

It knows the fault, the law, what both tracks share and each server's lasting difference. The wander of the canary's servers is hidden from
it, and integrated out by a forward filter. It decides at a likelihood ratio of 20, as a test with 5 % errors does. The waiting oracle, the
fair measure, ignores the time in which no judge should decide: a cold server is slow, and the canary's first half minute does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.judge.noise import Array
from bench.judge.scenarios import ALIKE, CanaryFault, Cell
from bench.judge.traffic import SPREAD, Conditions, ServerCounts, Watch, class_shares

ENOUGH = math.log(20.0)
STATES: Array = np.linspace(-3.5, 3.5, 29)
"""Shape (29,): a canary server's own wander, in standard deviations."""
PROMOTE_WAIT = {"errors": 30.0, "latency": 120.0, "tail": 120.0, "quality": 30.0}


def rollback_time(watch: Watch, waiting: bool = True) -> float | None:
    """Return the seconds until the fault is certain, or None where it is not within the watch."""
    fault = watch.cell.fault
    return _first_poll(watch, _log_likelihood_ratio(watch, fault, ALIKE), fault.wait if waiting else 0.0)


def promote_time(watch: Watch, waiting: bool = True) -> float | None:
    """Return the seconds until a healthy canary has excluded each margin, or None where it has not within the watch."""
    margins = {
        "errors": CanaryFault("", errors=1.0 + max(0.5, 0.002 / watch.cell.base)),
        "latency": CanaryFault("", latency=1.10),
        "tail": CanaryFault("", tail=1.25),
        "quality": CanaryFault("", quality=0.99),
    }
    times = [
        _first_poll(watch, _log_likelihood_ratio(watch, ALIKE, margin), PROMOTE_WAIT[name] if waiting else 0.0, ENOUGH)
        for name, margin in margins.items()
    ]
    known = [t for t in times if t is not None]
    return max(known) if len(known) == len(times) else None


def _first_poll(watch: Watch, gains: Callable[[int], Array], wait: float, enough: float = ENOUGH) -> float | None:
    """Return the first poll with a large enough likelihood ratio, counted from the first interval after the wait."""
    start = math.ceil(wait / watch.cell.poll - 1e-9)
    ratio = gains(start)
    visible = watch.canary_up[start:] | watch.cell.fault.crash
    polls = np.flatnonzero((ratio >= enough) & visible)
    return float((start + polls[0] + 1) * watch.cell.poll) if len(polls) else None


def _log_likelihood_ratio(watch: Watch, true: CanaryFault, other: CanaryFault) -> Callable[[int], Array]:
    """Return a function from a first interval to the log likelihood ratio after each later interval."""
    if true.crash:
        return lambda start: math.log(1.0 / max(watch.cell.law.missed, 1e-3)) * np.arange(1, len(watch.canary_up) - start + 1)
    ratios = [_ServerLikelihood(watch.cell, *one).ratio(true, other) for one in zip(watch.canary, watch.conditions, strict=True)]
    return lambda start: np.sum([ratio(start) for ratio in ratios], axis=0)


@dataclass(frozen=True)
class _ServerLikelihood:
    """What one of the canary's servers says about faults."""

    cell: Cell
    canary: ServerCounts
    conditions: Conditions

    def ratio(self, true: CanaryFault, other: CanaryFault) -> Callable[[int], Array]:
        """Return the log likelihood ratio of the server, as `_log_likelihood_ratio` does."""
        law, either = self.cell.law, true if true != ALIKE else other
        if either.silent:
            return lambda start: np.cumsum(self.conditions.expected[start:] / law.burst)
        if either.outage:
            rate = np.log(self.conditions.error_rate) / law.batch
            return lambda start: np.cumsum((-self.canary.err * rate)[start:])
        of, wanders = self._likelihood_of(either)
        own, others = of(true), of(other)
        return lambda start: _without_wander(self.cell, own[start:], wanders) - _without_wander(self.cell, others[start:], wanders)

    def _likelihood_of(self, fault: CanaryFault) -> tuple[Callable[[CanaryFault], Array], bool]:
        """Return log likelihoods, shape (intervals, states), of what the fault changes, and whether the server's wander hides it."""
        law = self.cell.law
        if fault.collapse:
            return self._of_classes, False
        if fault.quality != 1.0:
            return self._of_quality, law.server_quality > 0
        if (fault.latency, fault.tail) != (1.0, 1.0):
            return self._of_latency, law.server_latency > 0
        return self._of_errors, law.server_errors > 0

    def _of_classes(self, what: CanaryFault) -> Array:
        return (self.canary.pred @ np.log(class_shares(what)))[:, None] + 0.0 * STATES

    def _of_errors(self, what: CanaryFault) -> Array:
        law, canary = self.cell.law, self.canary
        times = np.arange(len(canary.ok)) * self.cell.poll
        worse = np.where(times >= what.errors_from, what.errors, 1.0)
        own = np.exp(law.server_errors * STATES - law.server_errors**2 / 2)
        rate = np.minimum((self.conditions.error_rate * worse)[:, None] * own + what.more_errors, 1.0)
        expected = (canary.ok + canary.err)[:, None] * rate / law.batch
        likelihood: Array = canary.batches[:, None] * np.log(np.maximum(expected, 1e-300)) - expected
        return likelihood

    def _of_latency(self, what: CanaryFault) -> Array:
        shift = self.conditions.latency[:, None] + self.cell.law.server_latency * STATES + math.log(what.latency)
        masses = self.conditions.shape.with_slower_tail(what.tail).masses(shift.ravel())
        logs = np.log(np.maximum(masses, 1e-12)).reshape(*shift.shape, -1)
        likelihood: Array = np.einsum("tb,tsb->ts", self.canary.lat, logs)
        return likelihood

    def _of_quality(self, what: CanaryFault) -> Array:
        summed, _, number = self.canary.quality.T
        mean = (self.conditions.quality[:, None] + self.cell.law.server_quality * STATES) * what.quality
        off = summed[:, None] - number[:, None] * mean
        likelihood: Array = -(off**2) / (2 * SPREAD**2 * np.maximum(number, 1.0)[:, None])
        return likelihood


def _without_wander(cell: Cell, likelihoods: Array, wanders: bool) -> Array:
    """Return the log likelihood of all intervals so far, with the server's own wander integrated out."""
    if not wanders:
        total: Array = np.cumsum(likelihoods[:, len(STATES) // 2])
        return total
    correlation = math.exp(-cell.poll / cell.law.memory)
    spread = 2 * (1 - correlation**2)
    moves = np.exp(-((STATES[:, None] - correlation * STATES) ** 2) / spread)
    moves /= moves.sum(axis=0)
    belief = np.exp(-(STATES**2) / 2)
    belief /= belief.sum()
    logs, log_total = np.empty(len(likelihoods)), 0.0
    for i, row in enumerate(likelihoods):
        top = row.max()
        belief = belief * np.exp(row - top)
        mass = belief.sum()
        log_total += top + math.log(mass)
        logs[i] = log_total
        belief = moves @ (belief / mass)
    return logs
