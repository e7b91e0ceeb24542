"""Counters of the user's own, for objectives, quality and classes: what Prometheus is asked for them, and what its answers mean.

Each series is marked with the place in the plan that it is for: `or` takes series of different names for one where
their labels are the same. A server that lacks a part says nothing about that objective: what is not there is no zero.
Classes are the exception: a class that was never predicted has no series, and one that has any counts them all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tfcanary.adapters.metrics.exposition import Series
from tfcanary.adapters.metrics.queries import Labels, escaped, matchers
from tfcanary.core.domain import Counters
from tfcanary.core.plan import ClassesPlan, JudgePlan, MeanPlan, ObjectiveKind, ObjectivePlan
from tfcanary.core.selector import parse

MARK = "tfcanary_objective"
"""The label that holds the place in the plan, for example `objectives.fallbacks.events`."""

NO_OBJECTIVES = (
    "judge.objectives, judge.quality.metric, judge.classes.metric: metrics.source `scrape` reads the model servers' own pages only; must be "
    "`prometheus`, or without them"
)


def questions(judge: JudgePlan, labels: Labels) -> Iterator[str]:
    """For each selector the question for its series on the servers with these labels."""
    for place, text in judge.selectors.items():
        yield marked(text, labels, place)


def marked(text: str, labels: Labels, mark: str) -> str:
    """The selector and the labels together, put together anew; each series gets the mark."""
    selector = parse(text)
    own = [f'{one.label}{one.operator}"{escaped(one.value)}"' for one in selector.matchers]
    return f'label_replace({selector.metric}{{{", ".join([*own, matchers(labels)])}}}, "{MARK}", "{escaped(mark)}", "", "")'


def counted(judge: JudgePlan, series: Iterable[Series], counters: Counters) -> Counters:
    """The counters of a server with what its marked series say; without what lacks a part or is no number."""
    told = _Told(judge, series)
    numbers = {name: told.objective(name, one, counters.ok) for name, one in (judge.objectives or {}).items()}
    found = replace(counters, objectives={name: one for name, one in numbers.items() if one and all(map(math.isfinite, one))})
    if judge.quality and judge.quality.metric:
        found = replace(found, quality=_quality(told.mean("quality.metric", judge.quality.metric)))
    if judge.classes and judge.classes.metric:
        found = replace(found, classes=told.classes(judge.classes))
    return found


def unsound(judge: JudgePlan, series: Iterable[Series]) -> Iterator[str]:
    """A sentence for each of the plan's claims that a track's marked series contradict."""
    told = _Told(judge, series)
    for place, metric in judge.means.items():
        total, number, *squares = told.mean(place, metric)
        if metric.buckets and not all(map(math.isfinite, squares)):
            yield f"judge.{place}.buckets {metric.buckets!r}: must be a histogram's, with a bound above its largest value, or with `within`"
        if metric.within and number > 0 and not metric.within[0] <= total / number <= metric.within[1]:
            yield f"judge.{place}.within {list(metric.within)}: the mean of {number:,.0f} values is {total / number:.4g}"
    if judge.classes and judge.classes.metric and not told.has_label("classes.metric", judge.classes.label):
        yield f"judge.classes.label {judge.classes.label!r}: {judge.classes.metric} has no such label"


def _quality(mean: Sequence[float]) -> tuple[float, float, float] | None:
    if not all(map(math.isfinite, mean)):
        return None
    total, number, *squares = mean
    return total, squares[0] if squares else math.nan, number


class _Told:
    """What the marked series of one server say."""

    def __init__(self, judge: JudgePlan, series: Iterable[Series]) -> None:
        self._series: dict[str, list[Series]] = defaultdict(list)
        for one in series:
            self._series[one.labels.get(MARK, "")].append(one)

    def objective(self, name: str, objective: ObjectivePlan, answered: float) -> tuple[float, ...]:
        """Events and exposures, or as of `mean`; NaN for what is not there."""
        place = f"objectives.{name}"
        if objective.metric:
            return self.mean(f"{place}.metric", objective.metric)
        return self._sum(f"{place}.events"), answered if objective.kind is ObjectiveKind.COUNTER else self._sum(f"{place}.exposures")

    def mean(self, place: str, metric: MeanPlan) -> tuple[float, ...]:
        """Sum, number and, if they are told of, squares of the values, at most; NaN for what is not there."""
        told = self._sum(f"{place}.sum"), self._sum(f"{place}.count")
        if metric.squares:
            return *told, self._sum(f"{place}.squares")
        return (*told, most_squares(self._by(f"{place}.buckets", "le"), metric.within)) if metric.buckets else told

    def classes(self, classes: ClassesPlan) -> tuple[float, ...]:
        """Predictions by class in the order of the plan, then of all others; none where a number is none."""
        found = self._by("classes.metric", classes.label)
        named = [found.get(name, 0.0) for name in classes.names]
        others = sum(value for name, value in found.items() if name not in classes.names)
        return (*named, others) if found and all(map(math.isfinite, found.values())) else ()

    def has_label(self, place: str, label: str) -> bool:
        """Whether every series has it."""
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
    """An upper bound of a histogram, and how many values lie below it."""

    value: float
    below: float


def most_squares(buckets: Mapping[str, float], within: tuple[float, float] | None) -> float:
    """The sum of squares that a histogram's values have at most: each is as large as its bucket allows.

    It rises with every value, so that differences of it are bounds, too. Infinite where a value lies beyond the last bound, unless
    `within` bounds it; NaN where the buckets are none.
    """
    try:
        bounds = sorted((_Bound(float(le), count) for le, count in buckets.items()), key=lambda bound: bound.value)
    except ValueError:
        return math.nan
    largest = within[1] if within else math.inf
    counts = [(min(high.value, largest), high.below - low.below) for low, high in pairwise([_Bound(0.0, 0.0), *bounds])]
    whole = bool(bounds) and math.isinf(bounds[-1].value) and all(bound.value > 0 for bound in bounds)
    return sum(value**2 * count for value, count in counts if count > 0) if whole and all(math.isfinite(n) for _, n in counts) else math.nan
