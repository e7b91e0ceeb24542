"""What a plan's windows mean for a release that begins at a given moment: told before anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tfcanary.core.durations import written
from tfcanary.core.plan import Plan


def outlook(plan: Plan, began: datetime) -> tuple[str, ...]:
    """Return in sentences when a release that begins then may raise its first weight, and whether it can end inside that window.

    Empty where the plan has no windows, or they are overridden. Every stage is taken to end after its least time.
    """
    if not plan.has_windows or plan.override_window or plan.bootstrap:
        return ()
    first = plan.next_rise(began)
    return (*_late(plan, began, first), *_whole(plan, first))


def _late(plan: Plan, began: datetime, first: datetime) -> Iterator[str]:
    if first > began:
        reasons = [one.why for one in plan.freeze if one.why and one.span.has(began)]
        why = f" ({'; '.join(reasons)})" if reasons else ""
        yield f"outside its windows{why}: the first weight rises on {plan.on_the_clock(first)} at the earliest"


def _whole(plan: Plan, first: datetime) -> Iterator[str]:
    """Yield whether the release can be promoted before its window closes, and if not, where it will wait."""
    closes, shortest = plan.closes(first), _shortest(plan)
    if closes is None:
        return
    if first + shortest < closes:
        yield f"the window closes on {plan.on_the_clock(closes)}; the release needs at least {written(shortest)}, and where it is not done it waits"
        return
    at = first
    for number, weight in enumerate(plan.weights):
        ends = max(at + plan.times(number).minimum, first + plan.judge.minimum_time if plan.is_last(number) else at)
        rises = plan.next_rise(ends) if plan.rises_after(number) else ends
        if rises > ends:
            yield (
                f"the release cannot end inside the window that closes on {plan.on_the_clock(closes)}: it needs at least {written(shortest)}, "
                f"so stage {number} waits at {weight} % until {plan.on_the_clock(rises)}, and users get the candidate all the while"
            )
            closes = plan.closes(rises) or rises
        at = rises
    yield f"it can be promoted on {plan.on_the_clock(at)} at the earliest"


def _shortest(plan: Plan) -> timedelta:
    """The least time from the first traffic to the promotion, windows aside."""
    stages = sum((plan.times(number).minimum for number in range(len(plan.weights))), timedelta(0))
    return max(stages, plan.judge.minimum_time)
