"""A timeline and the events of a record as what the pictures draw: bands, marks, columns, runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from tfcanary.core.domain import Finding, Interval, Verdict
from tfcanary.core.timeline import Point, Timeline
from tfcanary.report.blocks import History
from tfcanary.report.plots.over_time import Column, Mark, Run
from tfcanary.report.plots.text import visible
from tfcanary.report.plots.time_axis import Band, Span
from tfcanary.report.wording import of_decision

_COLUMNS = 72
"""Columns of the picture of requests, at most."""
_SERIES = 120
"""Polls of one interval that are drawn, at most."""
_AFTER = 0.02
"""How much of the span is shown after the last thing, so that the last step of the weight is seen."""


def bands(timeline: Timeline) -> tuple[Band, ...]:
    """The stages, each from its first poll to the first of the next."""
    groups = [list(points) for _, points in groupby(timeline.points, key=lambda p: p.stage)]
    ends = [*(later[0].at for later in groups[1:]), *(points[-1].at for points in groups[-1:])]
    return tuple(Band(g[0].at, end, f"stage {g[0].stage}") for g, end in zip(groups, ends, strict=True))


def marks_of(verdicts: Iterable[Verdict]) -> tuple[Mark, ...]:
    """The decisions whose time is known."""
    return tuple(
        Mark(v.at, of_decision(v.decision).tone, f"stage {v.stage}: {v.decision.value}: {v.reason}") for v in verdicts if v.at is not None
    )


def span(history: History) -> Span | None:
    """From the first thing that is drawn to a little after the last; None where nothing is."""
    times = [*(p.at for p in history.timeline.points), *(at for at, _ in changes(history)), *(m.at for m in history.marks)]
    if not times:
        return None
    begins, ends = min(times), max(times)
    return Span(begins, ends + max((ends - begins) * _AFTER, timedelta(seconds=1)))


def changes(history: History) -> tuple[tuple[datetime, int], ...]:
    """The weight wherever it changed: as polled, and after the last poll as the record tells (the fall to 0, the rise to 100)."""
    polled = [(p.at, p.weight) for p in history.timeline.points]
    told = [(e.at, e.weight) for e in history.events if not polled or e.at > polled[-1][0]]
    weights = [*polled, *told]
    return tuple(here for i, here in enumerate(weights) if i == 0 or here[1] != weights[i - 1][1])


def columns(timeline: Timeline) -> tuple[Column, ...]:
    """Requests a second between polls, some polls taken together where there are many."""
    stride = -(-max(len(timeline.points) - 1, 1) // _COLUMNS)
    taken = timeline.points[::stride]
    ends = taken if not timeline.points or taken[-1] == timeline.points[-1] else (*taken, timeline.points[-1])
    return tuple(_column(before, after) for before, after in pairwise(ends) if after.at > before.at)


def _column(before: Point, after: Point) -> Column:
    """What was counted between two polls, a second."""
    seconds = (after.at - before.at).total_seconds()
    stable, canary = after.stable_requests - before.stable_requests, after.canary_requests - before.canary_requests
    return Column(before.at, after.at, max(stable, 0.0) / seconds, max(canary, 0.0) / seconds)


def runs(timeline: Timeline, about: str) -> tuple[Run, ...]:
    """One criterion's findings, those that lasted taken together."""
    points = timeline.points
    # What the last poll found lasts to the end of the picture: it may be the one that convicted.
    until = [*(p.at for p in points[1:]), *(p.at + max((p.at - points[0].at) * _AFTER, timedelta(seconds=1)) for p in points[-1:])]
    asked = [(p.at, end, p.findings.get(about)) for p, end in zip(points, until, strict=True)]
    groups = [(finding, list(group)) for finding, group in groupby(asked, key=lambda a: a[2])]
    return tuple(Run(group[0][0], group[-1][1], finding) for finding, group in groups if finding is not None)


def series(timeline: Timeline, about: str) -> tuple[tuple[datetime, Interval], ...]:
    """One criterion's interval at the polls that had one, the last always among them."""
    known = tuple((p.at, p.intervals[about]) for p in timeline.points if about in p.intervals)
    stride = -(-len(known) // _SERIES) or 1
    return tuple(reversed(known[::-1][::stride]))


def asked(history: History) -> tuple[str, ...]:
    """All criteria of the timeline, in the order of the last verdict, others by name."""
    seen = {about for p in history.timeline.points for about in p.findings}
    first = [about for about in history.criteria if about in seen]
    return (*first, *sorted(seen - set(first)))


def labels(names: tuple[str, ...]) -> dict[str, str]:
    """Short names for the margin of a picture: without their first part, where they stay different."""
    short = [visible(name).partition("/")[2] or name for name in names]
    return {name: label if short.count(label) == 1 else name for name, label in zip(names, short, strict=True)}


def milestones(timeline: Timeline, most: int = 20) -> tuple[Point, ...]:
    """The polls that tell the story: the first and the last of each stage, and some between them."""
    points = timeline.points
    edges = {0, len(points) - 1} | {i for i in range(1, len(points)) if points[i].stage != points[i - 1].stage}
    between = range(0, len(points), -(-len(points) // most) or 1)
    return tuple(points[i] for i in sorted(edges | set(between)) if 0 <= i < len(points))


def findings_words(point: Point) -> str:
    """How many criteria passed, failed and so on at this poll."""
    counts = ((finding, sum(f is finding for f in point.findings.values())) for finding in reversed(Finding))
    return ", ".join(f"{count} {finding.value}" for finding, count in counts if count)
