"""Several Prometheus replicas that scrape the same servers into one store: their series count once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.metrics.prometheus_server import AT, NOON, Page, PrometheusServer, answered, canary, source
from tests.adapters.metrics.test_objectives import OBJECTIVES, marked
from tests.adapters.metrics.test_objectives import source as with_objectives
from tfcanary.core.domain import Counters, Sample, Track

REPLICAS = [{"prometheus_replica": "prometheus-0"}, {"prometheus_replica": "prometheus-1"}]


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    "labels",
    [
        REPLICAS,
        [{"cluster": "a", "replica": "0"}, {"cluster": "a", "replica": "1"}],
        [{}, {"receive_replica": "1"}],  # one of them has no label
        [{"replica": str(number)} for number in range(3)],
    ],
)
def test_the_series_of_each_replica_are_the_same_requests(server: PrometheusServer, labels: list[dict[str, str]]) -> None:
    pages = [Page(pod, "canary", series=answered(70), more=more) for pod in ("c", "d") for more in labels]
    assert canary(server, *pages) == Sample(Track.CANARY, True, {"c": Counters(70), "d": Counters(70)})


def test_the_replica_that_scraped_last_counts(server: PrometheusServer) -> None:
    behind = Page("c", "canary", series=answered(70), age=6, more=REPLICAS[0])
    ahead = Page("c", "canary", series=answered(73), age=1, more=REPLICAS[1])
    assert canary(server, ahead, behind) == canary(server, behind, ahead) == Sample(Track.CANARY, True, {"c": Counters(73)})


def test_a_replica_that_is_gone_takes_no_server_with_it(server: PrometheusServer) -> None:
    gone = Page("c", "canary", series=answered(70), age=60, more=REPLICAS[0])
    there = Page("c", "canary", series=answered(99), more=REPLICAS[1])
    assert canary(server, gone, there) == Sample(Track.CANARY, True, {"c": Counters(99)})


def test_a_server_that_one_replica_cannot_reach_is_not_up(server: PrometheusServer) -> None:
    """A release is not judged on what one of two observers denies."""
    reached = Page("c", "canary", series=answered(7), more=REPLICAS[0])
    not_reached = Page("c", "canary", up=0.0, more=REPLICAS[1])
    assert canary(server, reached, not_reached) == Sample(Track.CANARY, False, {})


def test_a_history_of_two_replicas_counts_once(server: PrometheusServer) -> None:
    instants = {NOON - 60.0: 0.0, NOON - 30.0: 10.0, NOON: 20.0}
    server.pages = [Page("a", "stable", series=answered(1000), values=instants, scrapes=760, more=more) for more in REPLICAS]
    assert [sample.servers["a"].ok for _, sample in source(server).history(Track.STABLE, AT)] == [1000, 1010, 1020]


def test_the_users_own_counters_count_once_too_also_from_another_exporter(server: PrometheusServer) -> None:
    own = {
        **marked("falls_total", "objectives.fallbacks.events", 3.0, ',why="a"'),
        **marked("falls_total", "objectives.fallbacks.events", 4.0, ',why="b"'),
        **marked("clicks_total", "objectives.clicks.events", 20.0),
        **marked("shown_total", "objectives.clicks.exposures", 200.0),
    }
    server.pages = [
        Page("c", "canary", series=series, instance=f"c:{port}", more=more)
        for port, series in ((8501, answered(70)), (9100, own))
        for more in REPLICAS
    ]
    counters = with_objectives(server).sample(Track.CANARY, AT).servers["c"]
    assert counters == Counters(70.0, objectives={"fallbacks": (7.0, 70.0), "clicks": (20.0, 200.0)})
    assert counters.objectives.keys() == OBJECTIVES.keys()


def test_a_pod_whose_labels_changed_when_it_came_back_counts_as_what_it_is_now(server: PrometheusServer) -> None:
    before = Page("c", "canary", series=answered(5000), age=15, more={"container_id": "1"})
    now = Page("c", "canary", series=answered(3), age=1, scrapes=1, more={"container_id": "2"})
    assert canary(server, before, now) == Sample(Track.CANARY, True, {"c": Counters(3)})


def test_a_server_that_counts_as_missing_is_named_once_with_the_reason(server: PrometheusServer, caplog: pytest.LogCaptureFixture) -> None:
    server.pages = [
        Page("a", "canary", series=answered(float("nan"))),
        Page("b", "canary", series=answered(2), up=0.0),
        Page("c", "canary", series=answered(5), age=60.0),
    ]
    asked = source(server)
    for _ in range(3):
        assert not asked.sample(Track.CANARY, AT).up
    assert [message.removeprefix(f"{server.url}: ") for message in caplog.messages] == [
        "a of canary has the value nan for :tensorflow:serving:request_latency_count: it counts as missing",
        "b of canary does not answer Prometheus' scrapes: it counts as missing",
        "c of canary is no longer scraped: it counts as missing",
    ]
