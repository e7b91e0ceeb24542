"""The user's counters as Prometheus has them: in the same question, told apart, and never in the way of the others."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.adapters.metrics.prometheus_server import AT, TRACKS, Page, PrometheusServer, answered
from tfcanary.adapters.kube.counters import PodCounters, open_metrics
from tfcanary.adapters.kube.preflight import KubePreflight
from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.adapters.routing import ClusterRouter
from tfcanary.core.domain import Counters, ModelVersion, Pool, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, JudgePlan, MetricsPlan, ObjectiveKind, ObjectivePlan, Plan, ServingPlan
from tfcanary.core.ports import Storage
from tfcanary.core.record import Record

OBJECTIVES = {
    "fallbacks": ObjectivePlan(ObjectiveKind.COUNTER, 'falls_total{why!="test"}'),
    "clicks": ObjectivePlan(ObjectiveKind.RATIO, "clicks_total", "shown_total"),
}


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


def source(server: PrometheusServer) -> PrometheusSource:
    return PrometheusSource(server.url, "m", MetricsPlan(selectors={"job": "serving"}), TRACKS, judge=JudgePlan(objectives=OBJECTIVES))


def sample(server: PrometheusServer, *pages: Page) -> Sample:
    server.pages = list(pages)
    return source(server).sample(Track.CANARY, AT)


def marked(name: str, mark: str, number: float, more: str = "") -> dict[str, float]:
    return {f'{name}{{tfcanary_objective="{mark}"{more}}}': number}


ALL = {
    **answered(70.0),
    **marked("falls_total", "objectives.fallbacks.events", 3.0, ',why="a"'),
    **marked("falls_total", "objectives.fallbacks.events", 4.0, ',why="b"'),
    **marked("clicks_total", "objectives.clicks.events", 20.0),
    **marked("shown_total", "objectives.clicks.exposures", 200.0),
}


def test_events_add_up_over_labels_and_count_against_answers_or_exposures(server: PrometheusServer) -> None:
    counters = Counters(70.0, objectives={"fallbacks": (7.0, 70.0), "clicks": (20.0, 200.0)})
    assert sample(server, Page("c", "canary", series=ALL)) == Sample(Track.CANARY, True, {"c": counters})


def test_all_is_asked_at_once_and_each_series_is_marked(server: PrometheusServer) -> None:
    sample(server, Page("c", "canary", series=ALL))
    (question,) = [one.params["query"] for one in server.asked if "[" not in one.params["query"]]
    labels = 'job="serving", track="canary"'
    events = f'label_replace(falls_total{{why!="test", {labels}}}, "tfcanary_objective", "objectives.fallbacks.events", "", "")'
    assert f"or up{{{labels}}} or {events}" in question
    assert question.endswith(f'or label_replace(shown_total{{{labels}}}, "tfcanary_objective", "objectives.clicks.exposures", "", "")')


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None])
def test_a_part_that_is_missing_or_no_number_hides_its_objective_only(server: PrometheusServer, number: float | None) -> None:
    lost = {name: value for name, value in ALL.items() if not name.startswith("shown")}
    series = lost if number is None else {**lost, **marked("shown_total", "objectives.clicks.exposures", number)}
    counters = Counters(70.0, objectives={"fallbacks": (7.0, 70.0)})
    assert sample(server, Page("c", "canary", series=series)) == Sample(Track.CANARY, True, {"c": counters})


def test_another_exporter_of_the_pod_counts_too_and_does_not_take_the_servers_place(server: PrometheusServer) -> None:
    own = {name: value for name, value in ALL.items() if "tfcanary_objective" in name}
    beside = Page("c", "canary", series=own, instance="c:9100", age=0.1)
    gone = Page("c", "canary", series=own, instance="c:9999", age=200.0)
    found = sample(server, Page("c", "canary", series=answered(70.0)), beside, gone)
    assert found.servers["c"] == Counters(70.0, objectives={"fallbacks": (7.0, 70.0), "clicks": (20.0, 200.0)})


def test_a_dry_question_names_the_selector_that_selects_nothing(server: PrometheusServer) -> None:
    server.pages = [Page("a", "stable", series=ALL)]
    source(server).check(Track.STABLE)
    assert len(server.asked) == 1
    server.pages = [Page("a", "stable", series={name: value for name, value in ALL.items() if not name.startswith("falls")})]
    said = r"judge\.objectives\.fallbacks\.events 'falls_total.*': selects no series with .*; its servers must export it from the start"
    with pytest.raises(Refused, match=said):
        source(server).check(Track.STABLE)
    server.failures = [400]
    with pytest.raises(Refused, match="Prometheus refuses the query"):
        source(server).check(Track.STABLE)


def running() -> RunningServers:
    """A cluster on which stable runs."""
    pools = {Pool(1): {"metadata": {"name": "m-v1"}}}
    services = {Track.STABLE: {"spec": {"selector": {"tfcanary.dev/version": "1"}}}}
    there = SimpleNamespace(model="m", api=SimpleNamespace(namespace="n"), deployments=lambda: pools, services=lambda: services)
    return cast(RunningServers, there)


def opened(**metrics: Any) -> object:
    plan = Plan(judge=JudgePlan(objectives=OBJECTIVES), metrics=MetricsPlan(**metrics))
    return open_metrics(plan, running(), TrackServers(running()))


def test_the_servers_own_pages_cannot_serve_objectives() -> None:
    with pytest.raises(Refused, match=r"judge\.objectives, .*: metrics\.source `scrape` .* must be `prometheus`"):
        opened(source="scrape")


def test_on_a_cluster_they_are_asked_for_among_the_pods_of_the_track(server: PrometheusServer) -> None:
    pods = opened(url=server.url)
    assert isinstance(pods, PodCounters)
    with pytest.raises(Refused, match=r"judge\.objectives\.fallbacks\.events"):
        pods.check(Track.STABLE)
    assert 'falls_total{why!="test", namespace="n", pod=~"m\\\\-v1-' in server.asked[0].params["query"]


def test_a_release_is_refused_before_its_first_write_where_stable_does_not_count_an_objective(server: PrometheusServer) -> None:
    plan = Plan(
        judge=JudgePlan(objectives=OBJECTIVES),
        metrics=MetricsPlan(url=server.url),
        serving=ServingPlan(image=f"serving@sha256:{'0' * 64}"),
        bucket=BucketPlan(canary="gs://bucket/models"),
    )
    record = Record("m", "", stable=ModelVersion(1, "gs://bucket/models/m/1", "sha256:1"))
    with pytest.raises(Refused, match=r"judge\.objectives\.fallbacks\.events .* selects no series"):
        KubePreflight(running(), plan, cast(ClusterRouter, None), cast(Storage, None)).check(record)
    assert len(server.asked) == 1
