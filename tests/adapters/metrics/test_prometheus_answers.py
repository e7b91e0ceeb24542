"""What Prometheus' answers are taken to mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.adapters.metrics.prometheus_server import (
    ANSWERED,
    AT,
    BUCKET,
    FAILED,
    INTERVAL,
    NOON,
    TRACKS,
    Page,
    PrometheusServer,
    answered,
    canary,
    source,
)
from tfcanary.adapters.metrics.prometheus import LOADS, PrometheusSource
from tfcanary.core.domain import COMPARED, LATENCY_BOUNDS, Counters, Sample, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import MetricsPlan


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


def test_each_track_has_its_own_servers(server: PrometheusServer) -> None:
    server.pages = [
        Page("a", "stable", series=answered(900)),
        Page("b", "stable", series=answered(800)),
        Page("c", "canary", series=answered(70)),
    ]
    stable, canary = (source(server).sample(track, AT) for track in COMPARED)
    assert stable == Sample(Track.STABLE, True, {"a": Counters(900), "b": Counters(800)})
    assert canary == Sample(Track.CANARY, True, {"c": Counters(70)})
    assert stable.every == canary.every == INTERVAL, "looks in between tell nothing new"


def test_entry_points_and_verbs_add_up_and_errors_go_by_status(server: PrometheusServer) -> None:
    series = {
        f'{ANSWERED}{{API="predict",entrypoint="REST"}}': 3.0,
        f'{ANSWERED}{{API="Predict",entrypoint="GRPC"}}': 40.0,
        f'{ANSWERED}{{API="Classify",entrypoint="GRPC"}}': 500.0,
        f'{FAILED}{{status="INVALID_ARGUMENT"}}': 7.0,
        f'{FAILED}{{status="INTERNAL"}}': 0.0,
    }
    sample = canary(server, Page("c", "canary", series=series))
    assert sample.servers == {"c": Counters(543.0, {"INVALID_ARGUMENT": 7.0, "INTERNAL": 0.0})}


@pytest.mark.parametrize("form", ["{:.6g}", "{!r}", "{:f}"])
@pytest.mark.parametrize("entrypoint", ["REST", "GRPC", None])
def test_the_latency_of_an_entry_point_has_34_numbers_however_its_bounds_are_written(
    server: PrometheusServer, form: str, entrypoint: str | None
) -> None:
    """Six digits on TF Serving's page; Prometheus 3 writes 10 as 10.0."""
    bounds = [*(form.format(bound) for bound in LATENCY_BOUNDS), "+Inf"]
    rest = {f'{BUCKET}{{API="predict",entrypoint="REST",le="{bound}"}}': float(k) for k, bound in enumerate(bounds)}
    grpc = {f'{BUCKET}{{API="Predict",entrypoint="GRPC",le="{bound}"}}': 100.0 for bound in bounds}
    server.pages = [Page("c", "canary", series={**answered(133), **rest, **grpc})]
    asks = PrometheusSource(server.url, "m", MetricsPlan(), TRACKS, entrypoint)
    expected = {"REST": [float(k) for k in range(34)], "GRPC": [100.0] * 34, None: [100.0 + k for k in range(34)]}[entrypoint]
    assert asks.sample(Track.CANARY, AT).servers == {"c": Counters(133, {}, tuple(expected))}


def test_a_model_that_is_asked_by_grpc_alone_has_a_latency(server: PrometheusServer) -> None:
    bounds = [*(f"{bound:.6g}" for bound in LATENCY_BOUNDS), "+Inf"]
    buckets = {f'{BUCKET}{{API="Predict",entrypoint="GRPC",le="{bound}"}}': 100.0 for bound in bounds}
    assert canary(server, Page("c", "canary", series={**answered(100), **buckets})).servers == {"c": Counters(100, {}, (100.0,) * 34)}


@pytest.mark.parametrize("bounds", [["5", "+Inf"], ["10", "18"], ["nonsense", "+Inf"], [*(f"{bound:.6g}" for bound in LATENCY_BOUNDS)]])
def test_a_histogram_that_is_not_tf_servings_makes_its_server_missing(server: PrometheusServer, bounds: list[str]) -> None:
    buckets = {f'{BUCKET}{{API="predict",entrypoint="REST",le="{bound}"}}': 1.0 for bound in bounds}
    assert canary(server, Page("c", "canary", series={**answered(1), **buckets})) == Sample(Track.CANARY, False, {})


def test_a_server_that_is_up_without_series_has_counted_nothing_yet(server: PrometheusServer) -> None:
    assert canary(server, Page("c", "canary")) == Sample(Track.CANARY, True, {"c": Counters(0)})


def test_a_track_that_nobody_scrapes_is_not_up(server: PrometheusServer) -> None:
    assert canary(server, Page("a", "stable")) == Sample(Track.CANARY, False, {})


def test_series_without_any_scrape_are_nothing_to_go_by(server: PrometheusServer) -> None:
    """For example where somebody drops `up`."""
    page = Page("c", "canary", series=answered(5), scrapes=0)
    assert canary(server, page) == Sample(Track.CANARY, False, {})


def test_a_server_that_does_not_answer_any_more_is_missing_and_the_track_is_not_up(server: PrometheusServer) -> None:
    sample = canary(server, Page("a", "canary", series=answered(5)), Page("b", "canary", series=answered(6), up=0.0))
    assert sample == Sample(Track.CANARY, False, {"a": Counters(5)})


def test_a_new_server_beside_others_may_load_for_a_while(server: PrometheusServer) -> None:
    server.pages = [Page("a", "canary", series=answered(5)), Page("b", "canary", up=0.0)]
    asked = source(server)
    assert asked.sample(Track.CANARY, AT) == Sample(Track.CANARY, True, {"a": Counters(5)})
    asked._first_seen["b"] -= LOADS.total_seconds()
    assert asked.sample(Track.CANARY, AT) == Sample(Track.CANARY, False, {"a": Counters(5)})


def test_where_no_server_answers_the_track_is_not_up(server: PrometheusServer) -> None:
    assert canary(server, Page("a", "canary", up=0.0), Page("b", "canary", up=0.0)) == Sample(Track.CANARY, False)


@pytest.mark.parametrize(("age", "up"), [(2 * INTERVAL, True), (2 * INTERVAL + 1, False)])
def test_two_missed_scrapes_make_a_server_missing(server: PrometheusServer, age: float, up: bool) -> None:
    """Prometheus would go on answering with the last value for five minutes."""
    sample = canary(server, Page("a", "canary", series=answered(5)), Page("b", "canary", series=answered(6), age=age))
    assert (sample.up, "b" in sample.servers) == (up, up)


@pytest.mark.parametrize(("age", "up"), [(120.0, True), (121.0, False)])
def test_of_a_server_scraped_once_the_usual_interval_is_taken(server: PrometheusServer, age: float, up: bool) -> None:
    assert canary(server, Page("c", "canary", series=answered(5), age=age, scrapes=1)).up is up


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [ANSWERED, BUCKET, FAILED])
def test_a_value_that_is_no_number_makes_its_server_missing(server: PrometheusServer, name: str, value: float) -> None:
    bad = Page("b", "canary", series={**answered(1), f'{name}{{API="regress",le="10",status="UNKNOWN"}}': value})
    assert canary(server, Page("a", "canary", series=answered(5)), bad) == Sample(Track.CANARY, False, {"a": Counters(5)})


# Several targets of one pod


def test_a_pod_that_came_back_under_its_name_counts_once_as_what_it_is_now(server: PrometheusServer) -> None:
    old = Page("c", "canary", series=answered(5000), instance="10.0.0.9:8501", age=15)
    new = Page("c", "canary", series=answered(3), instance="10.0.0.2:8501", age=1, scrapes=1)
    assert canary(server, old, new) == canary(server, new, old) == Sample(Track.CANARY, True, {"c": Counters(3)})


def test_a_pod_that_came_back_and_has_no_series_yet_is_not_what_it_was(server: PrometheusServer) -> None:
    old = Page("c", "canary", series=answered(5000), instance="10.0.0.1:8501", age=40)
    new = Page("c", "canary", instance="10.0.0.2:8501", scrapes=1)
    assert canary(server, old, new) == Sample(Track.CANARY, True, {"c": Counters(0)})


def test_two_jobs_that_scrape_one_pod_do_not_count_it_twice(server: PrometheusServer) -> None:
    jobs = [Page("c", "canary", series=answered(7), job=job, age=age) for job, age in (("one", 4), ("two", 2), ("three", 9))]
    assert canary(server, *jobs) == Sample(Track.CANARY, True, {"c": Counters(7)})


def test_a_sidecar_that_was_scraped_later_does_not_hide_the_servers_counters(server: PrometheusServer) -> None:
    serving = Page("c", "canary", series=answered(7), instance="10.0.0.1:8501", age=9)
    sidecar = Page("c", "canary", instance="10.0.0.1:15020", age=1)
    assert canary(server, serving, sidecar) == Sample(Track.CANARY, True, {"c": Counters(7)})


def test_a_server_that_is_down_beside_its_sidecar_is_not_a_server_that_counted_nothing(server: PrometheusServer) -> None:
    serving = Page("c", "canary", up=0.0, instance="10.0.0.1:8501")
    sidecar = Page("c", "canary", instance="10.0.0.1:15020", age=1)
    assert canary(server, serving, sidecar) == Sample(Track.CANARY, False, {})


def test_another_label_may_tell_the_servers_apart(server: PrometheusServer) -> None:
    server.pages = [Page("c", "canary", series=answered(7), instance="10.0.0.1:8501")]
    assert set(source(server, pod_label="instance").sample(Track.CANARY, AT).servers) == {"10.0.0.1:8501"}


def test_series_that_lack_the_label_are_refused_with_those_they_have(server: PrometheusServer) -> None:
    server.pages = [Page("c", "canary", series=answered(7))]
    with pytest.raises(Refused, match=r"'replica'.*metrics\.pod_label.*instance, job, pod, track"):
        source(server, pod_label="replica").sample(Track.CANARY, AT)


# The history


def test_the_history_is_seconds_and_samples_oldest_first(server: PrometheusServer) -> None:
    instants = {NOON - 7200.0: 0.0, NOON - 7170.0: 10.0, NOON: 500.0}
    server.pages = [
        Page("a", "stable", series=answered(1000), values=instants, scrapes=760),
        Page("b", "stable", series=answered(2000), values=dict(list(instants.items())[1:]), scrapes=760),
        Page("c", "canary", series=answered(1), values=instants, scrapes=760),
    ]
    assert list(source(server).history(Track.STABLE, AT)) == [
        (0.0, Sample(Track.STABLE, True, {"a": Counters(1000)})),
        (30.0, Sample(Track.STABLE, True, {"a": Counters(1010), "b": Counters(2010)})),
        (7200.0, Sample(Track.STABLE, True, {"a": Counters(1500), "b": Counters(2500)})),
    ]


def test_an_instant_that_repeats_an_old_scrape_is_not_up(server: PrometheusServer) -> None:
    """Prometheus answers with the last value for five minutes: to the calibration that would be silence, then a flood."""
    instants = {NOON - 60.0: 0.0, NOON - 30.0: 5.0, NOON: 5.0}
    server.pages = [Page("a", "stable", series=answered(1), values=instants, age=25)]
    assert [sample.up for _, sample in source(server).history(Track.STABLE, AT)] == [True, True, False]


def test_a_server_that_keeps_nothing_has_no_history(server: PrometheusServer) -> None:
    assert list(source(server).history(Track.STABLE, AT)) == []


def test_a_history_that_cannot_be_asked_for_says_so_at_once(server: PrometheusServer) -> None:
    """Not to the judge, who would come to read it later."""
    server.failures = [503] * 20
    with pytest.raises(Unavailable):
        source(server, timeout=timedelta(seconds=0.3)).history(Track.STABLE, AT)
