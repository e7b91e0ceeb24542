"""Changes of a model's waiting list (`tfcanary.act.queue`), written into its record by compare and swap."""

from __future__ import annotations

import logging

from tfcanary.act import ledger, queue
from tfcanary.act.queue import Answer, Offered
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Dropped, Fate, Record, Waiting

log = logging.getLogger("tfcanary.run.trigger")


def offer(platform: Platform, candidate: Waiting, plan: Plan) -> Offered:
    """Write a candidate into the waiting list of its model; a candidate that was offered before changes nothing. Raises Unavailable."""
    now, results = platform.clock.now(), list[Offered]()

    def with_candidate(record: Record) -> Record:
        results.append(queue.offer(record, candidate, plan.waiting, now))
        return results[-1].record

    before = ledger.read(platform).dropped
    after = ledger.update(platform, with_candidate).record
    if results[-1].answer is Answer.WAITING:
        log.info("%s: %s", platform.model, results[-1].reason)
    _log_dropped(platform.model, before, after.dropped)
    return results[-1]


def expire(platform: Platform) -> tuple[Record, tuple[Dropped, ...]]:
    """Take back a claim whose release has not begun in time; returns the record after that, and the candidates that were dropped by it."""
    now = platform.clock.now()
    before = ledger.read(platform)
    if queue.expire(before, now) == before:
        return before, ()
    after = ledger.update(platform, lambda record: queue.expire(record, now)).record
    return after, _log_dropped(platform.model, before.dropped, after.dropped)


def drop(platform: Platform, candidate: Waiting, fate: Fate, reason: str) -> tuple[Dropped, ...]:
    """Remove a candidate that will not be released; returns it, or nothing where it neither waits nor holds the claim."""
    now, before = platform.clock.now(), ledger.read(platform).dropped
    after = ledger.update(platform, lambda record: queue.drop(record, candidate.event, fate, reason, now)).record
    return _log_dropped(platform.model, before, after.dropped)


def _log_dropped(model: str, before: tuple[Dropped, ...], after: tuple[Dropped, ...]) -> tuple[Dropped, ...]:
    """Log the candidates that were dropped since `before`; the record holds the sentences, too, for the candidates' owners."""
    fresh = tuple(one for one in after if one not in before)
    for one in fresh:
        log.log(logging.INFO if one.fate is Fate.REPLACED else logging.WARNING, "%s: %s: %s", model, one.fate.value, one.reason)
    return fresh
