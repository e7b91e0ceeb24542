"""The waiting list as its users see it: each change of `acts.queue`, written by compare and swap."""

from __future__ import annotations

import logging

from tfcanary.act import ledger, queue
from tfcanary.act.queue import Answer, Offered
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Dropped, Fate, Record, Waiting

log = logging.getLogger("tfcanary.run.trigger")


def offer(platform: Platform, candidate: Waiting, plan: Plan) -> Offered:
    """Write a candidate into the waiting list of its model; where it was heard of before, nothing is written."""
    now, said = platform.clock.now(), list[Offered]()

    def offered(record: Record) -> Record:
        said.append(queue.offer(record, candidate, plan.waiting, now))
        return said[-1].record

    before = ledger.read(platform).dropped
    after = ledger.update(platform, offered).record
    if said[-1].answer is Answer.WAITING:
        log.info("%s: %s", platform.model, said[-1].reason)
    _tell(platform.model, before, after.dropped)
    return said[-1]


def expire(platform: Platform) -> tuple[Record, tuple[Dropped, ...]]:
    """Take a claim back whose release has not begun in time; returns the record as it stands, and who was dropped now."""
    now = platform.clock.now()
    before = ledger.read(platform)
    if queue.expire(before, now) == before:
        return before, ()
    after = ledger.update(platform, lambda record: queue.expire(record, now)).record
    return after, _tell(platform.model, before.dropped, after.dropped)


def drop(platform: Platform, candidate: Waiting, fate: Fate, reason: str) -> tuple[Dropped, ...]:
    """This candidate will not be released; returns it, or nothing where it neither waits nor was called."""
    now, before = platform.clock.now(), ledger.read(platform).dropped
    after = ledger.update(platform, lambda record: queue.drop(record, candidate.event, fate, reason, now)).record
    return _tell(platform.model, before, after.dropped)


def _tell(model: str, before: tuple[Dropped, ...], after: tuple[Dropped, ...]) -> tuple[Dropped, ...]:
    """Log who was dropped since; the owner of a candidate that was replaced finds the same sentence in the record."""
    fresh = tuple(one for one in after if one not in before)
    for one in fresh:
        log.log(logging.INFO if one.fate is Fate.REPLACED else logging.WARNING, "%s: %s: %s", model, one.fate.value, one.reason)
    return fresh
