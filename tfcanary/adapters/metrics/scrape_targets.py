"""Assigns Prometheus' series to the servers that they were scraped from: pure, for `prometheus`, which fetches them.

The rules:

* A server is a pod, told by the label `plan.MetricsPlan.pod_label`. A pod may have several scrape targets: a restarted pod that kept
  its name, a second job, or several Prometheus replicas whose series lie in one store. Of these, the target that has the model's
  series counts, then the one that was scraped last. So no request is counted twice.
* A pod is up where each of its targets that is still scraped is up. A target that was not scraped for twice its interval is gone; a
  pod without any other is missing, and the track is not up. A new pod that has not answered yet, beside others that do, still loads.
* A pod that is up and has no series has counted nothing yet: TF Serving shows a series from its first request on.
* A value that is not a finite number, or a histogram that is not TF Serving's, makes its pod missing.
* Series of the user's own counters may come from another target of the pod than TF Serving's. Of replicas of one target, one counts.
  They never make a pod missing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from tfcanary.adapters.metrics.exposition import BOUNDS, PREFIX, Series, latency_sum
from tfcanary.adapters.metrics.objectives import MARK
from tfcanary.core.domain import Counters
from tfcanary.core.errors import Refused

USUAL_INTERVAL = 60.0
"""Seconds between two scrapes of a server that was scraped only once so far: Prometheus' default, on the safe side."""


class LabelledValues(NamedTuple):
    """One series of a query's answer."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]
    """Seconds since the epoch, and the value then."""


class Target(NamedTuple):
    """What Prometheus scrapes, and which Prometheus does."""

    pod: str
    job: str
    instance: str
    replica: tuple[str, ...] = ()
    """The values of the labels that tell the Prometheus replicas apart; empty where there is one Prometheus."""


Instant = Mapping[Target, Sequence[Series]]
"""What Prometheus knows at one instant."""
Scrapes = Mapping[Target, Sequence[float]]
"""When each target was scraped, in seconds since the epoch, rising."""


@dataclass(frozen=True, slots=True)
class TargetLabels:
    """The labels of series that name their target."""

    source: str
    """Prometheus' address, for sentences."""
    pod: str
    """The label that tells servers apart."""
    replica: tuple[str, ...] = ()
    """The labels that tell Prometheus replicas apart."""

    def with_replicas(self, *answers: Iterable[LabelledValues]) -> TargetLabels:
        """The labels with those that differ between the `up` series of one target: each replica of Prometheus has one of its own."""
        series: dict[Target, list[Mapping[str, str]]] = defaultdict(list)
        for answer in answers:
            for one in answer:
                if one.labels.get("__name__") == "up":
                    series[self.target(one.labels)].append(one.labels)
        differing = {
            name for group in series.values() for name in set().union(*group) if len({labels.get(name, "") for labels in group}) > 1
        }
        return TargetLabels(self.source, self.pod, tuple(sorted(differing)))

    def target(self, labels: Mapping[str, str]) -> Target:
        """The target of a series. Raises Refused where the series has no pod label, naming the labels that it has."""
        pod = labels.get(self.pod)
        if not pod:
            right = f"metrics.pod_label must name the label that tells servers apart; it has {', '.join(sorted(labels))}"
            raise Refused(f"{self.source}: {labels.get('__name__', 'a series')} has no label {self.pod!r}; {right}")
        replica = tuple(labels.get(name, "") for name in self.replica)
        return Target(pod, labels.get("job", ""), labels.get("instance", ""), replica)

    def instants(self, answer: Iterable[LabelledValues]) -> dict[float, Instant]:
        """The series of a query's answer, by instant and by target."""
        instants: dict[float, dict[Target, list[Series]]] = defaultdict(lambda: defaultdict(list))
        for labels, values in answer:
            for when, value in values:
                instants[when][self.target(labels)].append(Series(labels.get("__name__", ""), labels, value))
        return {when: dict(targets) for when, targets in instants.items()}

    def scrapes(self, answer: Iterable[LabelledValues]) -> Scrapes:
        """When each target was scraped, from the raw values of `up`."""
        scrapes: dict[Target, set[float]] = defaultdict(set)
        for labels, values in answer:
            scrapes[self.target(labels)].update(when for when, _ in values)
        return {target: sorted(times) for target, times in scrapes.items()}


def latest_scrapes(scrapes: Scrapes, at: float) -> dict[Target, float]:
    """When each target was scraped last before `at`, without the targets that have missed two scrapes."""
    last = {target: times[bisect_right(times, at) - 1] for target, times in scrapes.items() if times and times[0] <= at}
    return {target: when for target, when in last.items() if at - when <= 2 * interval(scrapes[target])}


def interval(times: Sequence[float]) -> float:
    """Seconds between two scrapes of one target."""
    return median(later - sooner for sooner, later in pairwise(times)) if len(times) > 1 else USUAL_INTERVAL


def longest_interval(scrapes: Scrapes) -> float:
    """Seconds between two scrapes of the targets that are scraped most rarely; 0 where none was scraped twice."""
    return max((interval(times) for times in scrapes.values() if len(times) > 1), default=0.0)


def servers_of(instant: Instant, latest: Mapping[Target, float]) -> dict[str, Sequence[Series] | str]:
    """TF Serving's series of each pod, or why the pod is missing, by the rules above. `latest` are the targets that are still scraped."""
    pods: dict[str, dict[Target, Sequence[Series]]] = defaultdict(dict)
    for target, series in instant.items():
        if own := [one for one in series if MARK not in one.labels]:
            pods[target.pod][target] = own
    return {pod: _series_of_pod(pods[pod], latest) for pod in sorted(pods)}


def own_counters_of(instant: Instant, latest: Mapping[Target, float]) -> dict[str, list[Series]]:
    """The marked series of the user's own counters, by pod, from each target that is still scraped."""
    replicas: dict[Target, Target] = {}
    for target in sorted(latest, key=lambda target: (latest[target], target)):
        if any(MARK in one.labels for one in instant.get(target, ())):
            replicas[target._replace(replica=())] = target
    marked: dict[str, list[Series]] = defaultdict(list)
    for target in replicas.values():
        marked[target.pod] += [one for one in instant[target] if MARK in one.labels]
    return marked


def _series_of_pod(targets: Mapping[Target, Sequence[Series]], latest: Mapping[Target, float]) -> Sequence[Series] | str:
    alive = {target: series for target, series in targets.items() if target in latest}
    if not alive:
        return "is no longer scraped"
    if not all(_is_up(series) for series in alive.values()):
        return "does not answer Prometheus' scrapes"
    return alive[max(alive, key=lambda target: (len(alive[target]) > 1, latest[target], target))]


def _is_up(series: Iterable[Series]) -> bool:
    answers = [one.value for one in series if one.name == "up"]
    return bool(answers) and all(answer == 1 for answer in answers)


def counters_of(series: Sequence[Series], entrypoint: str | None) -> Counters | str:
    """The counters of one server, or why its series are none. `entrypoint` is the one whose latency counts, None for all."""
    if bad := next((one for one in series if not math.isfinite(one.value)), None):
        return f"has the value {bad.value} for {bad.name}"
    errors: dict[str, float] = defaultdict(float)
    for one in series:
        if one.name == f"{PREFIX}request_count":
            errors[one.labels.get("status", "")] += one.value
    ok = sum(one.value for one in series if one.name == f"{PREFIX}request_latency_count")
    timed = [one for one in series if entrypoint in (None, one.labels.get("entrypoint"))]
    latency = _latency(timed)
    if latency is None:
        return f"has buckets of {PREFIX}request_latency that are not TF Serving's"
    return Counters(ok, dict(errors), latency, latency_sum=latency_sum(timed))


def _latency(timed: Iterable[Series]) -> tuple[float, ...] | None:
    """The cumulative buckets, empty where there are none; None where they are not TF Serving's."""
    counts: dict[str, float] = defaultdict(float)
    for one in timed:
        if one.name == f"{PREFIX}request_latency_bucket":
            counts[_bound(one.labels.get("le", ""))] += one.value
    if counts and counts.keys() != set(BOUNDS):
        return None
    return tuple(counts[bound] for bound in BOUNDS) if counts else ()


def _bound(text: str) -> str:
    """A bucket's bound as TF Serving prints it; Prometheus 3 writes 10 as 10.0."""
    try:
        bound = float(text)
    except ValueError:
        return text
    return f"{bound:.6g}" if math.isfinite(bound) else "+Inf"
