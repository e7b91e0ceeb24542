"""The source of the counters of a cluster's model servers: a Prometheus, in which the pods' names tell servers apart, or the pods' own pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers, tracks_at
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.metrics.objectives import NO_OBJECTIVES
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.adapters.metrics.queries import Pattern, literal_pattern
from tfcanary.adapters.metrics.scrape import ScrapeSource
from tfcanary.core.domain import Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan, MetricsPlan, Plan

SUFFIXES = "[a-z0-9]+(-[a-z0-9]{5})?"
"""What follows the Deployment's name in a pod's name: the ReplicaSet's part and the pod's own; the hyphen is lost where the name is cut."""
LONGEST = 56
"""Characters of the longest Deployment's name that is not cut in its pods' names: 58 are left there, hyphen included."""


def open_metrics(plan: Plan, running: RunningServers, servers: TrackServers) -> PodCounters | PodPages:
    """The source that the plan names; asks nothing yet. Raises Refused where there is no such source, or the plan lacks what it needs."""
    metrics = plan.metrics
    source = metrics.source or "prometheus"
    if source == "scrape":
        if plan.judge.selectors:
            raise Refused(NO_OBJECTIVES)
        return PodPages(running.model, metrics, servers)
    if source != "prometheus":
        raise Refused(f"metrics.source {source!r}: must be `prometheus` or `scrape`")
    if not metrics.url:
        raise Refused(
            "metrics.url: is missing; give Prometheus' address, for example http://prometheus.monitoring:9090, or `source: scrape`"
        )
    return PodCounters(running, metrics, plan.judge)


class PodCounters:
    """`ports.MetricSource` by Prometheus. The pools of the tracks are read once for each track that has one: no track changes in a watch."""

    def __init__(self, running: RunningServers, plan: MetricsPlan, judge: JudgePlan | None = None) -> None:
        self._running = running
        self._plan = plan
        self._judge = judge
        self._source: PrometheusSource | None = None
        self._bound: frozenset[Track] = frozenset()
        """The tracks whose pods the source knows."""

    def sample(self, track: Track, at: datetime) -> Sample:
        """The counters of the track's pods, as the port says; a track that points at nothing is not `up`."""
        return self._source_of(track).sample(track, at)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """The counters of the track's pods in the past, as the port says."""
        return self._source_of(track).history(track, at)

    def check(self, track: Track) -> None:
        """Raises Refused where a counter that the plan names selects nothing on the track, or is none to Prometheus."""
        self._source_of(track).check(track)

    def intervals(self, track: Track, at: datetime) -> dict[str, float]:
        """Seconds between two scrapes of each pod of the track."""
        return self._source_of(track).intervals(track, at)

    def _source_of(self, track: Track) -> PrometheusSource:
        if self._source and track in self._bound:
            return self._source
        pools = self._running.deployments()
        tracks = tracks_at(self._running.services(), pools)
        deployments = {at: str(pools[pool]["metadata"]["name"]) for at, pool in tracks.items() if pool in pools}
        chosen = {at: self._labels(deployments.get(at)) for at in Track}
        self._source = PrometheusSource(self._plan.url, self._running.model, self._plan, chosen, judge=self._judge)
        # While there is no canary, its pods may come at any time.
        self._bound = frozenset(deployments) if {Track.STABLE, Track.CANARY} <= deployments.keys() else frozenset()
        return self._source

    def _labels(self, deployment: str | None) -> Mapping[str, str | Pattern]:
        place = {self._plan.namespace_label: self._running.api.namespace} if self._plan.namespace_label else {}
        return {**place, self._plan.pod_label: pods_of(deployment) if deployment else object_names.NOTHING}


def pods_of(deployment: str) -> Pattern:
    """The pattern of the names of a Deployment's pods. Raises Refused where the names are cut so that they no longer tell pods apart."""
    if len(deployment) > LONGEST:
        raise Refused(
            f"Deployment {deployment}: its name has {len(deployment)} characters; above {LONGEST} its pods' names are cut, and Prometheus "
            "cannot tell versions apart: use a shorter model name, or `metrics.source: scrape`"
        )
    return Pattern(f"{literal_pattern(deployment)}-{SUFFIXES}")


class PodPages:
    """`ports.MetricSource` by the pods' own pages. After a page that does not answer, the track's pods are listed again."""

    def __init__(self, model: str, plan: MetricsPlan, servers: TrackServers) -> None:
        self._servers = servers
        # A page that does not answer is asked twice.
        self._source = ScrapeSource(self._pages, model, timeout=plan.timeout.total_seconds() / 2)

    def sample(self, track: Track, at: datetime) -> Sample:
        """The counters of the track's pages, as the port says."""
        found = self._source.sample(track, at)
        if not found.up:
            self._servers.forget(track)
        return found

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Yield nothing: a page keeps no history."""
        return iter(())

    def _pages(self, track: Track) -> Mapping[str, str]:
        """The pages of the pods that get requests: one that still loads has counted none, and says nothing of the others."""
        reachable = self._servers.of(track)
        return {one.name: one.rest for one in [one for one in reachable if one.silent] or reachable}
