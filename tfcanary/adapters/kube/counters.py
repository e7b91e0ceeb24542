"""Where the counters of a cluster's model servers come from: a Prometheus, told apart by the pods' names, or the pods' own pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from tfcanary.adapters.kube.running_servers import Fleet, TrackServers
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.metrics.objectives import NO_OBJECTIVES
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.adapters.metrics.queries import Pattern, literal_pattern
from tfcanary.adapters.metrics.scrape import ScrapeSource
from tfcanary.core.domain import Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan, MetricsPlan, Plan

SUFFIXES = "[a-z0-9]+(-[a-z0-9]{5})?"
"""Of a pod's name, after its Deployment's: that of the ReplicaSet and its own; the hyphen is lost where the name is cut."""
LONGEST = 56
"""Characters of a Deployment's name of which nothing is cut in its pods' names: 58 are left there, hyphen included."""


def open_metrics(whole: Plan, fleet: Fleet, servers: TrackServers) -> PodCounters | PodPages:
    """The source that the plan names; asks nothing yet. Raises Refused where there is no such source, or it lacks what it needs."""
    plan = whole.metrics
    source = plan.source or "prometheus"
    if source == "scrape":
        if whole.judge.selectors:
            raise Refused(NO_OBJECTIVES)
        return PodPages(fleet.model, plan, servers)
    if source != "prometheus":
        raise Refused(f"metrics.source {source!r}: must be `prometheus` or `scrape`")
    if not plan.url:
        raise Refused(
            "metrics.url: is missing; give Prometheus' address, for example http://prometheus.monitoring:9090, or `source: scrape`"
        )
    return PodCounters(fleet, plan, whole.judge)


class PodCounters:
    """`ports.MetricSource` by Prometheus. Which version each track has is asked once, when both have one: no track changes in a watch."""

    def __init__(self, fleet: Fleet, plan: MetricsPlan, judge: JudgePlan | None = None) -> None:
        self._fleet = fleet
        self._plan = plan
        self._judge = judge
        self._source: PrometheusSource | None = None

    def sample(self, track: Track, at: datetime) -> Sample:
        """As promised by the port; a track that points at nothing is not `up`."""
        return self._bound().sample(track, at)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """As promised by the port: what the pods of the track's version have counted."""
        return self._bound().history(track, at)

    def check(self, track: Track) -> None:
        """Raises Refused where a counter that the plan names selects nothing on the track, or is none to Prometheus."""
        self._bound().check(track)

    def intervals(self, track: Track, at: datetime) -> dict[str, float]:
        """Seconds between two scrapes of each pod of the track."""
        return self._bound().intervals(track, at)

    def _bound(self) -> PrometheusSource:
        if self._source:
            return self._source
        versions = self._fleet.versions()
        tracks = self._fleet.tracks(versions)
        deployments = {track: str(versions[number]["metadata"]["name"]) for track, number in tracks.items() if number in versions}
        chosen = {track: self._labels(deployments.get(track)) for track in Track}
        source = PrometheusSource(self._plan.url, self._fleet.model, self._plan, chosen, judge=self._judge)
        if len(deployments) == len(Track):
            self._source = source
        return source

    def _labels(self, deployment: str | None) -> Mapping[str, str | Pattern]:
        place = {self._plan.namespace_label: self._fleet.api.namespace} if self._plan.namespace_label else {}
        return {**place, self._plan.pod_label: pods_of(deployment) if deployment else object_names.NOTHING}


def pods_of(deployment: str) -> Pattern:
    """The names of a Deployment's pods. Raises Refused where they are cut so that they no longer tell."""
    if len(deployment) > LONGEST:
        raise Refused(
            f"Deployment {deployment}: its name has {len(deployment)} characters; above {LONGEST} its pods' names are cut, and Prometheus "
            "cannot tell versions apart: use a shorter model name, or `metrics.source: scrape`"
        )
    return Pattern(f"{literal_pattern(deployment)}-{SUFFIXES}")


class PodPages:
    """`ports.MetricSource` by the pods' own pages. After a page that does not answer, the track's pods are listed anew."""

    def __init__(self, model: str, plan: MetricsPlan, servers: TrackServers) -> None:
        self._servers = servers
        # A page that does not answer is asked twice.
        self._source = ScrapeSource(self._pages, model, timeout=plan.timeout.total_seconds() / 2)

    def sample(self, track: Track, at: datetime) -> Sample:
        """As promised by the port."""
        found = self._source.sample(track, at)
        if not found.up:
            self._servers.forget(track)
        return found

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Nothing: a page keeps none."""
        return iter(())

    def _pages(self, track: Track) -> Mapping[str, str]:
        return {one.name: one.rest for one in self._servers.of(track)}
