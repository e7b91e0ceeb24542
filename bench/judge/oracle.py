"""The earliest time at which anybody could know: Wald's sequential test with the fault, the law and all that both tracks share known.

Only chance and the canary's own wander are hidden from it; the wander is integrated out by a forward filter. It decides at a likelihood
ratio of 20, as a test with 5 % errors does. The waiting oracle, the fair measure, ignores the time in which no judge should decide: a cold
server is slow, and the canary's first half minute does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bench.judge.noise import Array
from bench.judge.scenarios import ALIKE, CanaryFault
from bench.judge.traffic import SPREAD, Watch, class_shares, masses

ENOUGH = math.log(20.0)
STATES: Array = np.linspace(-3.5, 3.5, 29)
"""Shape (29,): the canary's own wander, in standard deviations."""
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
    either = true if true != ALIKE else other
    if either.crash:
        return lambda start: math.log(1.0 / max(watch.cell.law.missed, 1e-3)) * np.arange(1, len(watch.canary.ok) - start + 1)
    if either.silent:
        return lambda start: np.cumsum(watch.conditions.expected[start:])
    if either.outage:
        rate = np.log(watch.conditions.error_rate)[:, None] / watch.cell.law.batch
        return lambda start: np.cumsum(-(watch.canary.err[:, None] * rate)[start:, 0])
    of, wander = _likelihood_of(watch, either)
    own, others = of(true), of(other)
    return lambda start: _without_wander(watch, own[start:], wander) - _without_wander(watch, others[start:], wander)


def _likelihood_of(watch: Watch, fault: CanaryFault) -> tuple[Callable[[CanaryFault], Array], bool]:
    """Return log likelihoods, shape (intervals, states), of what the fault changes, and whether the canary's own wander hides it."""
    law = watch.cell.law
    if fault.collapse:
        return lambda what: (watch.canary.pred @ np.log(class_shares(what)))[:, None] + 0.0 * STATES, False
    if fault.quality != 1.0:
        return lambda what: _quality_likelihood(watch, what), law.server_quality > 0
    if (fault.latency, fault.tail) != (1.0, 1.0):
        return lambda what: _latency_likelihood(watch, what), law.server_latency > 0
    return lambda what: _error_likelihood(watch, what), law.server_errors > 0


def _error_likelihood(watch: Watch, what: CanaryFault) -> Array:
    law, conditions, canary = watch.cell.law, watch.conditions, watch.canary
    times = np.arange(len(canary.ok)) * watch.cell.poll
    worse = np.where(times >= what.errors_from, what.errors, 1.0)
    own = np.exp(law.server_errors * STATES - law.server_errors**2 / 2)
    rate = np.minimum((conditions.error_rate * worse)[:, None] * own + what.more_errors, 1.0)
    expected = (canary.ok + canary.err)[:, None] * rate / law.batch
    likelihood: Array = canary.batches[:, None] * np.log(np.maximum(expected, 1e-300)) - expected
    return likelihood


def _latency_likelihood(watch: Watch, what: CanaryFault) -> Array:
    shift = watch.conditions.latency[:, None] + watch.cell.law.server_latency * STATES + math.log(what.latency)
    logs = np.log(np.maximum(masses(shift.ravel(), what.tail), 1e-12)).reshape(*shift.shape, -1)
    likelihood: Array = np.einsum("tb,tsb->ts", watch.canary.lat, logs)
    return likelihood


def _quality_likelihood(watch: Watch, what: CanaryFault) -> Array:
    summed, _, number = watch.canary.quality.T
    mean = (watch.conditions.quality[:, None] + watch.cell.law.server_quality * STATES) * what.quality
    off = summed[:, None] - number[:, None] * mean
    likelihood: Array = -(off**2) / (2 * SPREAD**2 * np.maximum(number, 1.0)[:, None])
    return likelihood


def _without_wander(watch: Watch, likelihoods: Array, wanders: bool) -> Array:
    """Return the log likelihood of all intervals so far, with the canary's own wander integrated out."""
    if not wanders:
        total: Array = np.cumsum(likelihoods[:, len(STATES) // 2])
        return total
    correlation = math.exp(-watch.cell.poll / watch.cell.law.memory)
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
