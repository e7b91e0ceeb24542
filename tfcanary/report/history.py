"""Turns a timeline and the events of a record into the values that the pictures over time draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from tfcanary.core.domain import Finding, Interval, Verdict
from tfcanary.core.record import Event
from tfcanary.core.timeline import Point, Timeline
from tfcanary.report.blocks import HistoryChart
from tfcanary.report.numbers import clock, duration
from tfcanary.report.plots.over_time import DecisionMark, FindingPeriod, RequestRates
from tfcanary.report.plots.text import visible
from tfcanary.report.plots.time_axis import StageBand, TimeSpan
from tfcanary.report.wording import decision_badge

WeightChange = tuple[datetime, int]
"""An instant, and the canary's weight in percent from then on."""
_COLUMNS = 72
"""The largest number of columns in the picture of requests."""
_SERIES = 120
"""The largest number of polls of one interval that are drawn."""
_AFTER = 0.02
"""Part of the period that is shown after its last event, so that the last change of the weight is visible."""


def stage_bands(timeline: Timeline) -> tuple[StageBand, ...]:
    """Return the period of each stage, from its first poll to the first poll of the next stage."""
    groups = [list(points) for _, points in groupby(timeline.points, key=lambda p: p.stage)]
    ends = [*(later[0].at for later in groups[1:]), *(points[-1].at for points in groups[-1:])]
    return tuple(StageBand(g[0].at, end, f"stage {g[0].stage}") for g, end in zip(groups, ends, strict=True))


def decision_marks(verdicts: Iterable[Verdict], changes: Sequence[WeightChange]) -> tuple[DecisionMark, ...]:
    """Return a mark for each verdict that has a time; `changes` are the changes of the weight, from which it came into force."""
    return tuple(_mark(v, v.at, changes) for v in verdicts if v.at is not None)


def _mark(verdict: Verdict, at: datetime, changes: Sequence[WeightChange]) -> DecisionMark:
    words = f"stage {verdict.stage}: {verdict.decision.value}, {decision_times(at, changes)}: {verdict.reason}"
    weight = next((weight for since, weight in reversed(changes) if since <= at), verdict.weight)
    return DecisionMark(at, weight, decision_badge(verdict).tone, words, next_change(at, changes))


def next_change(at: datetime, changes: Sequence[WeightChange]) -> WeightChange | None:
    """Return the first change of the weight after an instant; None where there is none."""
    return next((change for change in changes if change[0] > at), None)


def decision_times(at: datetime, changes: Sequence[WeightChange]) -> str:
    """Return in words when a decision was made, and when the new weight came into force."""
    change = next_change(at, changes)
    return f"decided {clock(at)} UTC" + (f", in force {duration(change[0] - at)} later" if change else "")


def time_span(history: HistoryChart) -> TimeSpan | None:
    """Return the period from the first poll, change or mark to shortly after the last one; None where there is none of them."""
    changes = weight_changes(history.timeline, history.events)
    times = [*(p.at for p in history.timeline.points), *(at for at, _ in changes), *(m.at for m in history.marks)]
    if not times:
        return None
    begins, ends = min(times), max(times)
    return TimeSpan(begins, ends + max((ends - begins) * _AFTER, timedelta(seconds=1)))


def weight_changes(timeline: Timeline, events: Sequence[Event]) -> tuple[WeightChange, ...]:
    """Return each change of the canary's weight in percent: from the polls, and after the last poll from the events of the record."""
    from_polls = [(p.at, p.weight) for p in timeline.points]
    from_events = [(e.at, e.weight) for e in events if not from_polls or e.at > from_polls[-1][0]]
    weights = [*from_polls, *from_events]
    return tuple(change for i, change in enumerate(weights) if i == 0 or change[1] != weights[i - 1][1])


def request_rates(timeline: Timeline) -> tuple[RequestRates, ...]:
    """Return requests a second between polls; several polls are taken together where there are more than `_COLUMNS`."""
    stride = -(-max(len(timeline.points) - 1, 1) // _COLUMNS)
    points = timeline.points[::stride]
    edges = points if not timeline.points or points[-1] == timeline.points[-1] else (*points, timeline.points[-1])
    return tuple(_rates(before, after) for before, after in pairwise(edges) if after.at > before.at)


def _rates(before: Point, after: Point) -> RequestRates:
    seconds = (after.at - before.at).total_seconds()
    stable, canary = after.stable_requests - before.stable_requests, after.canary_requests - before.canary_requests
    return RequestRates(before.at, after.at, max(stable, 0.0) / seconds, max(canary, 0.0) / seconds)


def finding_periods(timeline: Timeline, about: str) -> tuple[FindingPeriod, ...]:
    """Return the findings of one criterion; equal findings of consecutive polls are one period."""
    points = timeline.points
    # The finding of the last poll is drawn to the end of the picture, because it may be the one that caused the rollback.
    ends = [*(p.at for p in points[1:]), *(p.at + max((p.at - points[0].at) * _AFTER, timedelta(seconds=1)) for p in points[-1:])]
    polls = [(p.at, end, p.findings.get(about)) for p, end in zip(points, ends, strict=True)]
    groups = [(finding, list(group)) for finding, group in groupby(polls, key=lambda poll: poll[2])]
    return tuple(FindingPeriod(group[0][0], group[-1][1], finding) for finding, group in groups if finding is not None)


def interval_series(timeline: Timeline, about: str) -> tuple[tuple[datetime, Interval], ...]:
    """Return the interval of one criterion at up to `_SERIES` polls; the last poll that has one is always among them."""
    series = tuple((p.at, p.intervals[about]) for p in timeline.points if about in p.intervals)
    stride = -(-len(series) // _SERIES) or 1
    return tuple(reversed(series[::-1][::stride]))


def criterion_ids(history: HistoryChart) -> tuple[str, ...]:
    """Return the ids of all criteria of the timeline, in the order of the last verdict, then the others by name."""
    ids = {about for p in history.timeline.points for about in p.findings}
    of_last_verdict = [about for about in history.criteria if about in ids]
    return (*of_last_verdict, *sorted(ids - set(of_last_verdict)))


def short_labels(names: tuple[str, ...]) -> dict[str, str]:
    """Return a label for each id: without the part before the first slash, where the labels stay different."""
    short = [visible(name).partition("/")[2] or name for name in names]
    return {name: label if short.count(label) == 1 else name for name, label in zip(names, short, strict=True)}


def milestones(timeline: Timeline, most: int = 20) -> tuple[Point, ...]:
    """Return the first and the last poll of each stage, and about `most` polls between them."""
    points = timeline.points
    edges = {0, len(points) - 1} | {i for i in range(1, len(points)) if points[i].stage != points[i - 1].stage}
    between = range(0, len(points), -(-len(points) // most) or 1)
    return tuple(points[i] for i in sorted(edges | set(between)) if 0 <= i < len(points))


def finding_counts(point: Point) -> str:
    """Return how many criteria had each finding at this poll, for example `1 fail, 3 pass`."""
    counts = ((finding, sum(f is finding for f in point.findings.values())) for finding in reversed(Finding))
    return ", ".join(f"{count} {finding.value}" for finding, count in counts if count)
