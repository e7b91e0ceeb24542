"""Counters of the user's own, for objectives, quality and classes: their queries to Prometheus, and the meaning of the answers.

Each series is marked with the place in the plan that it belongs to, since `or` merges series of different names whose labels are
equal. A server without one part of an objective has no value for that objective: a missing series is not zero. Classes are the
exception: a class that was never predicted has no series, so a server that has any class has the others at 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tfcanary.adapters.metrics.exposition import Series
from tfcanary.adapters.metrics.queries import Labels, escape, matchers
from tfcanary.core.domain import Counters
from tfcanary.core.plan import ClassesPlan, JudgePlan, MeanPlan, ObjectiveKind, ObjectivePlan
from tfcanary.core.selector import parse

MARK = "tfcanary_objective"
"""The label that holds the place in the plan, for example `objectives.fallbacks.events`."""

NO_OBJECTIVES = (
    "judge.objectives, judge.quality.metric, judge.classes.metric: metrics.source `scrape` reads the model servers' own pages only; must be "
    "`prometheus`, or without them"
)


def own_queries(judge: JudgePlan, labels: Labels) -> Iterator[str]:
    """Yield, for each selector of the plan, the query for its series on the servers with these labels."""
    for place, text in judge.selectors.items():
        yield marked_query(text, labels, place)


def marked_query(text: str, labels: Labels, mark: str) -> str:
    """The query for a selector's series with these labels; each series gets the label MARK with the value `mark`."""
    selector = parse(text)
    own = [f'{one.label}{one.operator}"{escape(one.value)}"' for one in selector.matchers]
    return f'label_replace({selector.metric}{{{", ".join([*own, matchers(labels)])}}}, "{MARK}", "{escape(mark)}", "", "")'


def with_own_counters(judge: JudgePlan, series: Iterable[Series], counters: Counters) -> Counters:
    """The counters of a server with those of its marked series, without those that lack a part or are not finite."""
    marked = _MarkedSeries(series)
    numbers = {name: marked.objective(name, one, counters.ok) for name, one in (judge.objectives or {}).items()}
    result = replace(counters, objectives={name: one for name, one in numbers.items() if one and all(map(math.isfinite, one))})
    if judge.quality and judge.quality.metric:
        result = replace(result, quality=_quality(marked.mean("quality.metric", judge.quality.metric)))
    if judge.classes and judge.classes.metric:
        result = replace(result, classes=marked.classes(judge.classes))
    return result


def contradictions(judge: JudgePlan, series: Iterable[Series]) -> Iterator[str]:
    """Yield a sentence for each claim of the plan that a track's marked series contradict."""
    marked = _MarkedSeries(series)
    for place, metric in judge.means.items():
        total, number, *squares = marked.mean(place, metric)
        if metric.buckets and not all(map(math.isfinite, squares)):
            yield f"judge.{place}.buckets {metric.buckets!r}: must be a histogram's, with a bound above its largest value, or with `within`"
        if metric.within and number > 0 and not metric.within[0] <= total / number <= metric.within[1]:
            yield f"judge.{place}.within {list(metric.within)}: the mean of {number:,.0f} values is {total / number:.4g}"
    if judge.classes and judge.classes.metric and not marked.has_label("classes.metric", judge.classes.label):
        yield f"judge.classes.label {judge.classes.label!r}: {judge.classes.metric} has no such label"


def _quality(mean: Sequence[float]) -> tuple[float, float, float] | None:
    if not all(map(math.isfinite, mean)):
        return None
    total, number, *squares = mean
    return total, squares[0] if squares else math.nan, number


class _MarkedSeries:
    """The marked series of one server, by their place in the plan."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series: dict[str, list[Series]] = defaultdict(list)
        for one in series:
            self._series[one.labels.get(MARK, "")].append(one)

    def objective(self, name: str, objective: ObjectivePlan, answered: float) -> tuple[float, ...]:
        """Events and exposures of an objective, or as `mean`; NaN for a part that is missing. `answered` is the number of answered requests."""
        place = f"objectives.{name}"
        if objective.metric:
            return self.mean(f"{place}.metric", objective.metric)
        return self._sum(f"{place}.events"), answered if objective.kind is ObjectiveKind.COUNTER else self._sum(f"{place}.exposures")

    def mean(self, place: str, metric: MeanPlan) -> tuple[float, ...]:
        """Sum and number of the values, and the largest possible sum of their squares where the plan names it; NaN for a part that is missing."""
        mean = self._sum(f"{place}.sum"), self._sum(f"{place}.count")
        if metric.squares:
            return *mean, self._sum(f"{place}.squares")
        return (*mean, largest_sum_of_squares(self._by(f"{place}.buckets", "le"), metric.within)) if metric.buckets else mean

    def classes(self, classes: ClassesPlan) -> tuple[float, ...]:
        """Predictions by class in the order of the plan, then of all others together; empty where a number is not finite."""
        counts = self._by("classes.metric", classes.label)
        by_name = [counts.get(name, 0.0) for name in classes.names]
        others = sum(value for name, value in counts.items() if name not in classes.names)
        return (*by_name, others) if counts and all(map(math.isfinite, counts.values())) else ()

    def has_label(self, place: str, label: str) -> bool:
        """Whether every series of a place has the label."""
        return all(label in one.labels for one in self._series[place])

    def _sum(self, place: str) -> float:
        return sum((one.value for one in self._series[place]), 0.0) if self._series[place] else math.nan

    def _by(self, place: str, label: str) -> dict[str, float]:
        sums: dict[str, float] = defaultdict(float)
        for one in self._series[place]:
            sums[one.labels.get(label, "")] += one.value
        return sums


@dataclass(frozen=True, slots=True)
class _Bound:
    """An upper bound of a histogram's bucket, and the number of values below it."""

    value: float
    below: float


def largest_sum_of_squares(buckets: Mapping[str, float], within: tuple[float, float] | None) -> float:
    """The largest possible sum of squares of a histogram's values: each value is as large as its bucket allows.

    It rises with every value, so that the difference of two sums is a bound too. Infinite where a value lies above the last finite bound,
    unless `within` bounds it; NaN where the buckets are not a histogram's.
    """
    try:
        bounds = sorted((_Bound(float(le), count) for le, count in buckets.items()), key=lambda bound: bound.value)
    except ValueError:
        return math.nan
    largest = within[1] if within else math.inf
    counts = [(min(high.value, largest), high.below - low.below) for low, high in pairwise([_Bound(0.0, 0.0), *bounds])]
    whole = bool(bounds) and math.isinf(bounds[-1].value) and all(bound.value > 0 for bound in bounds)
    return sum(value**2 * count for value, count in counts if count > 0) if whole and all(math.isfinite(n) for _, n in counts) else math.nan
