"""What Prometheus is asked, to the letter, and what is said where it does not answer."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.metrics.prometheus_server import (
    AT,
    TRACKS,
    Page,
    PrometheusServer,
    answered,
    source,
)
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.adapters.metrics.queries import Pattern, literal_pattern
from tfcanary.core.domain import Counters, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import MetricsPlan


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


# What is asked


def test_a_sample_is_two_questions_to_the_letter(server: PrometheusServer) -> None:
    source(server, selectors={Track.STABLE: {"app": "m-v1"}, Track.CANARY: {"app": "m-v2"}}).sample(Track.CANARY, AT)
    scrapes, counters = server.asked
    assert (scrapes.path, scrapes.params) == ("/api/v1/query", {"query": 'up{app="m-v2"}[300s]', "time": "1767268800.000"})
    assert counters.path == "/api/v1/query"
    assert counters.params == {
        "query": ':tensorflow:serving:request_count{model_name="m", app="m-v2", status!="OK"}'
        ' or {__name__=~":tensorflow:serving:request_latency_(count|sum|bucket)", model_name="m", app="m-v2",'
        ' API=~"(?i:predict|classify|regress)"}'
        ' or up{app="m-v2"}',
        "time": "1767268800.000",
    }


def test_the_history_is_the_same_question_every_half_minute_for_two_hours(server: PrometheusServer) -> None:
    asks = source(server)
    asks.sample(Track.STABLE, AT)
    asks.history(Track.STABLE, AT)
    _, now, scrapes, counters = server.asked
    assert scrapes.params == {"query": 'up{track="stable"}[7500s]', "time": "1767268800.000"}
    assert counters.path == "/api/v1/query_range"
    assert counters.params == {"query": now.params["query"], "start": "1767261600", "end": "1767268800", "step": "30s"}


def test_the_plans_labels_select_too(server: PrometheusServer) -> None:
    plan = MetricsPlan(selectors={"namespace": "shop"})
    PrometheusSource(server.url, "m", plan, TRACKS).sample(Track.CANARY, AT)
    assert server.asked[-2].params["query"] == 'up{namespace="shop", track="canary"}[300s]'


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ('m"} or up{a="b', r'"m\"} or up{a=\"b"'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines", r'"two\nlines"'),
        ("$server ${model} $$", '"$server ${model} $$"'),  # the table's own marks mean nothing in a value
        ("ä", '"ä"'),
    ],
)
def test_a_value_stays_one_value(server: PrometheusServer, value: str, quoted: str) -> None:
    source(server, model=value, selectors={Track.STABLE: {"app": "v1"}, Track.CANARY: {"app": value}}).sample(Track.CANARY, AT)
    scrapes, counters = server.asked
    assert scrapes.params["query"] == f"up{{app={quoted}}}[300s]"
    assert counters.params["query"].startswith(f":tensorflow:serving:request_count{{model_name={quoted}, app={quoted}, ")


def test_a_pattern_stays_one_value_too(server: PrometheusServer) -> None:
    """The name of a Deployment begins the names of its pods; a dot in it matches a dot alone."""
    pods = {track: {"pod": Pattern(literal_pattern(f'm.v{number}"') + "-[a-z0-9]+")} for number, track in enumerate(Track, 1)}
    source(server, selectors=pods).sample(Track.CANARY, AT)
    assert server.asked[0].params["query"] == r"""up{pod=~"m\\.v2\\\"-[a-z0-9]+"}[300s]"""


@pytest.mark.parametrize("text", ["m-v4", "a.b*c+(d)[e]{f}|^$?\\", 'quote"', "two words", "ä"])
def test_a_text_as_a_pattern_matches_itself_alone(text: str) -> None:
    assert re.fullmatch(literal_pattern(text), text)
    assert not re.fullmatch(literal_pattern("m.v4"), "m-v4")


@pytest.mark.parametrize("name", ["", "a-b", "1a", 'a="b",c', "a b", "ä"])
def test_a_name_that_is_no_label_name_is_refused(name: str) -> None:
    for selectors, plan in (
        ({Track.STABLE: {name: "1"}, Track.CANARY: {name: "2"}}, MetricsPlan()),
        (TRACKS, MetricsPlan(pod_label=name)),
        (TRACKS, MetricsPlan(selectors={name: "1"})),
    ):
        with pytest.raises(Refused, match="metrics label"):
            PrometheusSource("http://localhost:9090", "m", plan, selectors)


@pytest.mark.parametrize(
    "selectors",
    [
        {Track.STABLE: {"track": "x"}, Track.CANARY: {"track": "x"}},
        {Track.CANARY: {"track": "canary"}},  # stable would be everything, the canary included
        {Track.STABLE: {"app": "m"}, Track.CANARY: {"app": "m", "track": "canary"}},
        {},
    ],
)
def test_labels_that_do_not_tell_the_tracks_apart_are_refused(selectors: Any) -> None:
    with pytest.raises(Refused, match="differ"):
        PrometheusSource("http://localhost:9090", "m", MetricsPlan(), selectors)


@pytest.mark.parametrize("url", ["", "localhost:9090", "ftp://host", "http://", "http://host:port", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Refused, match=r"metrics\.url"):
        PrometheusSource(url, "m", MetricsPlan(), TRACKS)


# When it cannot be asked


@pytest.mark.parametrize("failure", [500, 502, 503, 429, "cut"])
def test_a_failure_in_passing_is_not_noticed(server: PrometheusServer, failure: int | str) -> None:
    server.pages = [Page("c", "canary", series=answered(7))]
    server.failures = [failure]
    assert source(server).sample(Track.CANARY, AT).servers == {"c": Counters(7)}


@pytest.mark.parametrize("failure", [503, "cut", "silent", "<html>log in</html>", "[]", '{"data": {"result": [{"metric": {"pod": "a"}}]}}'])
def test_a_failure_that_lasts_is_unavailable_and_names_the_address(server: PrometheusServer, failure: int | str) -> None:
    server.failures = [failure] * 50
    with pytest.raises(Unavailable, match=server.url):
        source(server, timeout=timedelta(seconds=0.5)).sample(Track.CANARY, AT)


def test_nobody_at_the_address_is_unavailable_and_a_password_is_not_shown() -> None:
    asks = PrometheusSource("http://user:secret@127.0.0.1:9/prom", "m", MetricsPlan(timeout=timedelta(seconds=0.3)), TRACKS)
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9/prom: ") as raised:
        asks.sample(Track.CANARY, AT)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_question_that_is_not_taken_is_refused_and_not_repeated(server: PrometheusServer, status: int) -> None:
    server.failures = [status] * 50
    with pytest.raises(Refused, match=rf"{server.url}.*{status}.*as the test wants it"):
        source(server).sample(Track.CANARY, AT)
    assert len(server.asked) == 1


def test_the_client_is_imported_with_the_first_question() -> None:
    ask = "import sys; from tfcanary.adapters.metrics.prometheus import PrometheusSource\n"
    ask += "print([name for name in sys.modules if name.startswith(('prometheus_api_client', 'requests', 'pandas'))])"
    assert subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.strip() == "[]"
