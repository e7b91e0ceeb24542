"""The earliest that anybody could know: Wald's sequential test that knows the fault, the law, and all that both tracks share.

Only chance and the canary's own wander are hidden from it; the wander is integrated out by a forward filter. It
decides at likelihood ratio 20, as a test with 5 % errors does. The waiting oracle, the fair measure, is deaf while no
judge should listen: a cold server is slow, and its first half minute is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bench.judge.noise import Array
from bench.judge.scenarios import ALIKE, Fault
from bench.judge.traffic import SPREAD, Watch, class_shares, masses

ENOUGH = math.log(20.0)
STATES: Array = np.linspace(-3.5, 3.5, 29)
"""The canary's own wander, in standard deviations."""
PROMOTE_WAIT = {"errors": 30.0, "latency": 120.0, "tail": 120.0, "quality": 30.0}


def rollback_time(watch: Watch, waiting: bool = True) -> float | None:
    """Seconds until the fault is certain; None: not within the watch."""
    fault = watch.cell.fault
    return _first(watch, _against(watch, fault, ALIKE), fault.wait if waiting else 0.0)


def promote_time(watch: Watch, waiting: bool = True) -> float | None:
    """Seconds until a healthy canary has excluded each margin."""
    margins = {
        "errors": Fault("", errors=1.0 + max(0.5, 0.002 / watch.cell.base)),
        "latency": Fault("", latency=1.10),
        "tail": Fault("", tail=1.25),
        "quality": Fault("", quality=0.99),
    }
    times = [
        _first(watch, _against(watch, ALIKE, margin), PROMOTE_WAIT[name] if waiting else 0.0, ENOUGH) for name, margin in margins.items()
    ]
    known = [t for t in times if t is not None]
    return max(known) if len(known) == len(times) else None


def _first(watch: Watch, gains: Callable[[int], Array], wait: float, enough: float = ENOUGH) -> float | None:
    """The first poll that shows a likelihood ratio large enough, counting from the first interval after the wait."""
    start = math.ceil(wait / watch.cell.poll - 1e-9)
    ratio = gains(start)
    shown = watch.canary_up[start:] | watch.cell.fault.crash
    there = np.flatnonzero((ratio >= enough) & shown)
    return float((start + there[0] + 1) * watch.cell.poll) if len(there) else None


def _against(watch: Watch, true: Fault, other: Fault) -> Callable[[int], Array]:
    """The log likelihood ratio after each interval from a start on."""
    either = true if true != ALIKE else other
    if either.crash:
        return lambda start: math.log(1.0 / max(watch.cell.law.missed, 1e-3)) * np.arange(1, len(watch.canary.ok) - start + 1)
    if either.silent:
        return lambda start: np.cumsum(watch.conditions.expected[start:])
    if either.outage:
        rate = np.log(watch.conditions.error_rate)[:, None] / watch.cell.law.batch
        return lambda start: np.cumsum(-(watch.canary.err[:, None] * rate)[start:, 0])
    of, wander = _seen(watch, either)
    own, others = of(true), of(other)
    return lambda start: _filtered(watch, own[start:], wander) - _filtered(watch, others[start:], wander)


def _seen(watch: Watch, fault: Fault) -> tuple[Callable[[Fault], Array], bool]:
    """Log likelihoods of shape (intervals, states) of what the fault moves, and whether the canary's own wander hides it."""
    law = watch.cell.law
    if fault.collapse:
        return lambda what: (watch.canary.pred @ np.log(class_shares(what)))[:, None] + 0.0 * STATES, False
    if fault.quality != 1.0:
        return lambda what: _of_quality(watch, what), law.server_quality > 0
    if (fault.latency, fault.tail) != (1.0, 1.0):
        return lambda what: _of_latency(watch, what), law.server_latency > 0
    return lambda what: _of_errors(watch, what), law.server_errors > 0


def _of_errors(watch: Watch, what: Fault) -> Array:
    law, conditions, canary = watch.cell.law, watch.conditions, watch.canary
    times = np.arange(len(canary.ok)) * watch.cell.poll
    worse = np.where(times >= what.errors_from, what.errors, 1.0)
    own = np.exp(law.server_errors * STATES - law.server_errors**2 / 2)
    rate = np.minimum((conditions.error_rate * worse)[:, None] * own + what.more_errors, 1.0)
    expected = (canary.ok + canary.err)[:, None] * rate / law.batch
    found: Array = canary.batches[:, None] * np.log(np.maximum(expected, 1e-300)) - expected
    return found


def _of_latency(watch: Watch, what: Fault) -> Array:
    shift = watch.conditions.latency[:, None] + watch.cell.law.server_latency * STATES + math.log(what.latency)
    logs = np.log(np.maximum(masses(shift.ravel(), what.tail), 1e-12)).reshape(*shift.shape, -1)
    found: Array = np.einsum("tb,tsb->ts", watch.canary.lat, logs)
    return found


def _of_quality(watch: Watch, what: Fault) -> Array:
    summed, _, number = watch.canary.quality.T
    mean = (watch.conditions.quality[:, None] + watch.cell.law.server_quality * STATES) * what.quality
    off = summed[:, None] - number[:, None] * mean
    found: Array = -(off**2) / (2 * SPREAD**2 * np.maximum(number, 1.0)[:, None])
    return found


def _filtered(watch: Watch, likelihoods: Array, wanders: bool) -> Array:
    """Log likelihood of all intervals so far, the canary's own path integrated out."""
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
