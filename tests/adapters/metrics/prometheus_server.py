"""A server that speaks Prometheus' query API: it answers what the test put there, and records what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.web import WebAnswers, WebServer
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.core.domain import Sample, Track
from tfcanary.core.plan import MetricsPlan

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
INTERVAL = 10.0
AT = datetime.fromtimestamp(NOON, UTC)
TRACKS = {Track.STABLE: {"track": "stable"}, Track.CANARY: {"track": "canary"}}
FAILED = ":tensorflow:serving:request_count"
ANSWERED = ":tensorflow:serving:request_latency_count"
BUCKET = ":tensorflow:serving:request_latency_bucket"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Page:
    """One scrape target as Prometheus sees it."""

    pod: str
    track: str
    up: float = 1.0
    series: dict[str, float] = field(default_factory=dict)
    """`name` or `name{label="value"}` to value, without the labels of the target."""
    instance: str = ""
    job: str = "serving"
    age: float = 1.0
    """Seconds since the last scrape."""
    scrapes: int = 20
    values: Mapping[float, float] | None = None
    """For a range: what is added to each series, by instant. An instant that is missing has no value."""
    more: dict[str, str] = field(default_factory=dict)
    """Further labels of all its series, for example of a replica of Prometheus."""

    def labels(self) -> dict[str, str]:
        return {"pod": self.pod, "track": self.track, "job": self.job, "instance": self.instance or f"{self.pod}:8501", **self.more}


@dataclass
class Asked:
    path: str
    params: dict[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)


class PrometheusServer(WebServer):
    """Runs from construction to `close`. Instants of an answer are those that were asked for."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: list[Page] = []
        self.asked: list[Asked] = []
        self.failures: list[int | str] = []
        """For the next requests: a status, `silent`, `cut`, or a text that is sent with 200."""
        super().__init__(Answers, tls=tls)

    def result(self, asked: Asked) -> list[dict[str, Any]]:
        query = asked.params["query"]
        track = query.partition('track="')[2].partition('"')[0]
        pages = [page for page in self.pages if page.track == track]
        if query.endswith("]"):
            return [scrapes(page, float(asked.params["time"])) for page in pages]
        if asked.path.endswith("query_range"):
            return [over_time(page, name, value) for page in pages for name, value in all_series(page)]
        instant = float(asked.params.get("time", NOON))
        return [{"metric": labelled(page, name), "value": [instant, str(value)]} for page in pages for name, value in all_series(page)]


def all_series(page: Page) -> list[tuple[str, float]]:
    return [("up", page.up), *page.series.items()]


def scrapes(page: Page, at: float) -> dict[str, Any]:
    last = at - page.age
    instants = [last - INTERVAL * k for k in reversed(range(page.scrapes))]
    return {"metric": {"__name__": "up", **page.labels()}, "values": [[instant, "1"] for instant in instants]}


def over_time(page: Page, name: str, value: float) -> dict[str, Any]:
    values = page.values or {}
    shown = [[instant, str(value if name == "up" else value + more)] for instant, more in values.items()]
    return {"metric": labelled(page, name), "values": shown}


def labelled(page: Page, series: str) -> dict[str, str]:
    name, _, rest = series.rstrip("}").partition("{")
    own = dict(pair.split("=", 1) for pair in rest.split(",")) if rest else {}
    return {"__name__": name, **{key: value.strip('"') for key, value in own.items()}, **page.labels()}


class Answers(WebAnswers):
    server_of: PrometheusServer

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        asked = Asked(target.path, {key: values[0] for key, values in parse_qs(target.query).items()}, dict(self.headers))
        prometheus = self.server_of
        prometheus.asked.append(asked)
        failure = prometheus.failures.pop(0) if prometheus.failures else None
        if failure == "silent":
            prometheus.closing.wait()
        if failure in ("cut", "silent"):
            self.close_connection = True
        elif isinstance(failure, int):
            self._send(failure, json.dumps({"status": "error", "error": "as the test wants it"}))
        elif failure is not None:
            self._send(200, failure)
        else:
            self._send(200, json.dumps({"status": "success", "data": {"result": prometheus.result(asked)}}))

    def _send(self, status: int, text: str) -> None:
        self.send(status, text.encode(), {"Content-Type": "application/json"})


def source(server: PrometheusServer, model: str = "m", selectors: Any = TRACKS, **plan: Any) -> PrometheusSource:
    return PrometheusSource(server.url, model, MetricsPlan(**{"timeout": timedelta(seconds=3), **plan}), selectors)


def answered(number: float) -> dict[str, float]:
    return {f'{ANSWERED}{{API="predict",entrypoint="REST"}}': number}


def canary(server: PrometheusServer, *pages: Page) -> Sample:
    server.pages = list(pages)
    return source(server).sample(Track.CANARY, AT)
