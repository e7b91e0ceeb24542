"""Counters of the user's own, for the objectives of a plan: what Prometheus is asked for them, and what its answers mean.

Each series is marked with the objective and the part that it is for: `or` takes series of different names for one where
their labels are the same. A server that lacks a part says nothing about the objective: what is not there is no zero.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tfcanary.metrics.exposition import Series
from tfcanary.metrics.queries import Labels, escaped, matchers
from tfcanary.plan import ObjectiveKind, ObjectivePlan
from tfcanary.selector import parse

MARK = "tfcanary_objective"
"""The label that holds the objective's name and the part, for example `fallbacks/events`."""

NO_OBJECTIVES = (
    "judge.objectives: metrics.source `scrape` reads the model servers' own pages only; must be `prometheus`, or without objectives"
)

Objectives = Mapping[str, ObjectivePlan]


def questions(objectives: Objectives, labels: Labels) -> Iterator[str]:
    """For each selector the question for its series on the servers with these labels."""
    for name, objective in objectives.items():
        for part, text in objective.selectors.items():
            yield marked(text, labels, f"{name}/{part}")


def marked(text: str, labels: Labels, mark: str) -> str:
    """The selector and the labels together, put together anew; each series gets the mark."""
    selector = parse(text)
    own = [f'{one.label}{one.operator}"{escaped(one.value)}"' for one in selector.matchers]
    return f'label_replace({selector.metric}{{{", ".join([*own, matchers(labels)])}}}, "{MARK}", "{escaped(mark)}", "", "")'


def counted(objectives: Objectives, series: Iterable[Series], answered: float) -> dict[str, tuple[float, ...]]:
    """Events and exposures by objective of one server, from its marked series; without those that lack a part or are no number."""
    sums: dict[str, float] = defaultdict(float)
    for one in series:
        sums[one.labels[MARK]] += one.value
    found = {
        name: (
            sums.get(f"{name}/events", math.nan),
            answered if objective.kind is ObjectiveKind.COUNTER else sums.get(f"{name}/exposures", math.nan),
        )
        for name, objective in objectives.items()
    }
    return {name: pair for name, pair in found.items() if all(map(math.isfinite, pair))}
