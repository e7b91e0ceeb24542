"""The ports bound to a namespace: requests to the pods themselves, and what they have counted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place, plan_for
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import missing
from tests.cluster.prometheus import Prometheus
from tests.cluster.waiting import until
from tfcanary import adapters
from tfcanary.adapters.kube.counters import pods_of
from tfcanary.adapters.kubeclient.resources import PODS
from tfcanary.core.domain import Request, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import BucketPlan, MetricsPlan, Plan
from tfcanary.core.ports import Platform

ONE = Request({"instances": [1.0]})


# Without a cluster


@pytest.mark.parametrize(
    "uri", ["kube://", "kube://A", "kube://a/b", "kube://-a", "kube://a.b", "kube://a?x", f"kube://{'a' * 64}", "kube:a"]
)
def test_a_namespace_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="is no platform"):
        adapters.open_platform(uri, "m", Plan())


@pytest.mark.parametrize("model", ["", "M", "1a", "a_b", "a" * 51, "-a"])
def test_a_model_that_names_no_objects_is_refused(model: str) -> None:
    with pytest.raises(Refused, match="model"):
        adapters.open_platform("kube://models", model, Plan())


@pytest.mark.parametrize("bucket", ["models", "./models", "http://bucket", "file:///srv"])
def test_a_bucket_that_servers_cannot_read_is_refused(bucket: str) -> None:
    with pytest.raises(Refused, match=r"bucket\.canary"):
        adapters.open_platform("kube://models", "m", Plan(bucket=BucketPlan(canary=bucket)))


@pytest.mark.parametrize(
    ("metrics", "said"), [(MetricsPlan(), r"metrics\.url"), (MetricsPlan(source="statsd"), r"metrics\.source 'statsd'")]
)
def test_a_source_that_is_none_is_refused_when_it_is_asked(metrics: MetricsPlan, said: str) -> None:
    """Not before: whoever aborts a release must not be stopped by its plan."""
    bound = adapters.open_platform("kube://models", "m", Plan(metrics=metrics))
    with pytest.raises(Refused, match=said):
        bound.metrics.sample(Track.STABLE, datetime.now(UTC))


def test_a_stock_server_records_nothing() -> None:
    bound = adapters.open_platform("kube://models", "m", Plan())
    assert list(bound.log.requests(5)) == []
    assert list(bound.log.answered(Track.STABLE, datetime.now(UTC), datetime.now(UTC))) == []


def test_opening_imports_no_client() -> None:
    code = (
        "import sys; from tfcanary import adapters; from tfcanary.core.plan import Plan; adapters.open_platform('kube://n', 'm', Plan()); "
    )
    code += "print({'kubernetes', 'prometheus_api_client', 'grpc', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("deployment", "pod", "its"),
    [
        ("m-v4", "m-v4-68fd998bc6-fnl44", True),
        ("m-v4", "m-v42-68fd998bc6-fnl44", False),
        ("m-v4", "m-v4", False),
        ("m-v4", "xm-v4-68fd998bc6-fnl44", False),
        ("m-v4", "m-v4-guard-68fd998bc6-fnl44", False),
        ("a.b", "a.b-68fd998bc6-fnl44", True),
        ("a.b", "axb-68fd998bc6-fnl44", False),
        ("m" * 50 + "-v1", "m" * 50 + "-v1-68fdfnl44", True),  # cut by Kubernetes
    ],
)
def test_the_pods_of_a_deployment_are_known_by_their_names(deployment: str, pod: str, its: bool) -> None:
    assert bool(re.fullmatch(pods_of(deployment).text, pod)) is its


def test_a_name_whose_pods_could_not_be_told_apart_is_refused() -> None:
    with pytest.raises(Refused, match=r"use a shorter model name, or `metrics\.source: scrape`"):
        pods_of("m" * 50 + "-v123456")


# With one


@pytest.fixture(scope="session")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    try:
        found = Prometheus(cluster.kubeconfig, tmp_path_factory.mktemp("prometheus"))
    except FileNotFoundError as error:
        missing(error)
    yield found
    found.stop()


@pytest.fixture
def place(make: MakePlace) -> Place:
    return make()


def bound(place: Place, **metrics: Any) -> Platform:
    plan = replace(plan_for(place.models), metrics=MetricsPlan(timeout=timedelta(seconds=5), **metrics))
    return adapters.open_platform(f"kube://{place.api.namespace}", "m", plan)


def serve_both(place: Place) -> None:
    place.serve(1)
    place.up(2)
    place.assign(Track.CANARY, 2)


@pytest.mark.slow
def test_both_sources_count_each_tracks_requests(place: Place, prometheus: Prometheus) -> None:
    serve_both(place)
    pages, counters = bound(place, source="scrape"), bound(place, url=prometheus.url)
    for number, (track, answer) in enumerate(((Track.STABLE, 2.0), (Track.CANARY, 3.0)), 2):
        for _ in range(number):
            assert pages.predictor.predict(track, ONE).body == {"predictions": [answer]}
        (pod,) = place.api.list(PODS, {"tfcanary.dev/version": str(number - 1)})
        page = pages.metrics.sample(track, datetime.now(UTC))
        assert page.up
        assert {name: one.ok for name, one in page.servers.items()} == {pod["metadata"]["name"]: number}
        until(lambda track=track, page=page: counters.metrics.sample(track, datetime.now(UTC)) == page)  # type: ignore[misc]


@pytest.mark.slow
def test_a_track_that_points_at_nothing_is_not_up(place: Place, prometheus: Prometheus) -> None:
    place.serve(1)
    for source in (bound(place, source="scrape"), bound(place, url=prometheus.url)):
        assert not source.metrics.sample(Track.CANARY, datetime.now(UTC)).up
        with pytest.raises(Unavailable, match="the canary track of m has no pod"):
            source.predictor.predict(Track.CANARY, ONE)


@pytest.mark.slow
def test_a_watch_asks_the_api_server_no_more_once_it_knows_the_pods(
    place: Place, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfcanary.adapters.kubeclient.connect import Connection

    serve_both(place)
    tracks = (Track.STABLE, Track.CANARY)
    watched = bound(place, source="scrape"), bound(place, url=prometheus.url)
    for one in watched:
        until(lambda one=one: all(one.metrics.sample(track, datetime.now(UTC)).up for track in tracks))  # type: ignore[misc]
    asked = []
    send = Connection.send
    monkeypatch.setattr(Connection, "send", lambda self, request: asked.append(request) or send(self, request))
    for one in watched:
        assert all(one.metrics.sample(track, datetime.now(UTC)).up for track in tracks)
    assert asked == []


@pytest.mark.slow
def test_a_pod_that_is_replaced_is_found_again(place: Place) -> None:
    place.serve(1)
    platform = bound(place, source="scrape")
    assert platform.predictor.predict(Track.STABLE, ONE).status == 200
    (pod,) = place.api.list(PODS, {"tfcanary.dev/version": "1"})
    place.api.delete(PODS, pod["metadata"]["name"])
    until(lambda: pod["metadata"]["name"] not in {one["metadata"]["name"] for one in place.api.list(PODS)})
    until(lambda: place.servers(1)[0].available, seconds=60)
    assert platform.predictor.predict(Track.STABLE, ONE).status == 200
    until(lambda: platform.metrics.sample(Track.STABLE, datetime.now(UTC)).up)
