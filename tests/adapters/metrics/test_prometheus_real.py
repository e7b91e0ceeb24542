"""A real Prometheus scrapes pages in TF Serving's format: it must give the samples that the pages themselves give."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import binaries
from tests.adapters.metrics.prometheus_server import free_port
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.adapters.metrics.scrape import ScrapeSource
from tfcanary.core.domain import COMPARED, LATENCY_BOUNDS, Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan, MetricsPlan, ObjectiveKind, ObjectivePlan

pytestmark = pytest.mark.slow

PATH = "/monitoring/prometheus/metrics"
ODD = 'm"} or up{pod="\\x'
"""A model's name that would be another question, were it pasted."""


class Exporter:
    """A server that has nothing but a metrics page, which the test may change. `close` takes it away, `open` brings it back."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.port = free_port()
        self.open()

    def open(self) -> None:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == PATH else 404)
                self.send_header("Content-Type", "text/plain")  # no version: as TF Serving says it
                self.end_headers()
                self.wfile.write(exporter.page.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def page(rest: int, grpc: int, failed: dict[str, int], fast: int, model: str = "m") -> str:
    """A page on which `fast` of 34 latency buckets are empty, with a probe's requests and another model's beside."""
    quoted = model.replace("\\", "\\\\").replace('"', '\\"')
    lines = ["# TYPE :tensorflow:serving:request_count counter"]
    lines += [f':tensorflow:serving:request_count{{model_name="{quoted}",status="OK"}} {rest + grpc + 5000}']
    lines += [f':tensorflow:serving:request_count{{model_name="{quoted}",status="{status}"}} {n}' for status, n in failed.items()]
    lines += [':tensorflow:serving:request_count{model_name="another",status="INTERNAL"} 999']
    lines += ["# TYPE :tensorflow:serving:request_latency histogram"]
    for api, entrypoint, count, name in (
        ("predict", "REST", rest, quoted),
        ("Predict", "GRPC", grpc, quoted),
        ("", "REST", 5000, quoted),
        ("predict", "REST", 888, "another"),
    ):
        lines += histogram(f'model_name="{name}",API="{api}",entrypoint="{entrypoint}"', count, fast)
    lines += ["# TYPE :tensorflow:core:graph_runs counter", ":tensorflow:core:graph_runs{} 5"]
    return "\n".join(lines) + "\n"


def histogram(labels: str, count: int, fast: int) -> list[str]:
    name = ":tensorflow:serving:request_latency"
    bounds = [*(f"{bound:.6g}" for bound in LATENCY_BOUNDS), "+Inf"]
    filled = [0 if k < fast else count * (k + 1) // len(bounds) for k in range(len(bounds))]
    lines = [f'{name}_bucket{{{labels},le="{bound}"}} {number}' for bound, number in zip(bounds, filled, strict=True)]
    return [*lines, f"{name}_sum{{{labels}}} {count * 1000}", f"{name}_count{{{labels}}} {count}"]


@pytest.fixture
def exporters() -> Iterator[dict[str, Exporter]]:
    started = {
        "stable-a": Exporter(page(1000, 70, {"INTERNAL": 3}, fast=5)),
        "stable-b": Exporter(page(2000, 0, {}, fast=6)),
        "canary-a": Exporter(page(110, 20, {"INVALID_ARGUMENT": 7, "INTERNAL": 0}, fast=12)),
    }
    yield started
    for exporter in started.values():
        exporter.close()


@pytest.fixture
def prometheus(exporters: dict[str, Exporter], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Prometheus that scrapes the exporters every half second, with each of the label sets that a test names."""
    try:
        program = binaries.find("prometheus", "prometheus")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    targets = [
        {"targets": [f"127.0.0.1:{one.port}"], "labels": {"pod": pod, "track": pod.partition("-")[0], **more}}
        for pod, one in exporters.items()
        for more in getattr(request, "param", ({},))
    ]
    jobs = [{"job_name": "serving", "metrics_path": PATH, "static_configs": targets}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}))
    port = free_port()
    places = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen([program, *places], stderr=log, stdout=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: ready(url))
            yield url
        finally:
            process.kill()


def ready(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()
    except OSError:
        return False
    return True


def until(satisfied: Callable[[], Any]) -> None:
    """Wait for something that takes a moment; pytest's own timeout ends it where it never comes."""
    while not satisfied():
        time.sleep(0.1)


def asking(url: str, model: str = "m", entrypoint: str | None = "REST") -> Callable[[Track], Sample]:
    selectors = {track: {"track": track.value} for track in COMPARED}
    source = PrometheusSource(url, model, MetricsPlan(selectors={"job": "serving"}), selectors, entrypoint)
    return lambda track: source.sample(track, datetime.now(UTC))


def from_the_pages(exporters: dict[str, Exporter], track: Track, model: str = "m", entrypoint: str | None = "REST") -> Sample:
    servers = {pod: f"http://127.0.0.1:{one.port}" for pod, one in exporters.items() if pod.startswith(track.value)}
    return ScrapeSource(lambda _: servers, model, entrypoint).sample(track, datetime.now(UTC))


@pytest.mark.parametrize("entrypoint", ["REST", "GRPC", None])
def test_prometheus_and_the_pages_give_the_same_samples(prometheus: str, exporters: dict[str, Exporter], entrypoint: str | None) -> None:
    ask = asking(prometheus, entrypoint=entrypoint)
    for track in COMPARED:
        until(lambda track=track: ask(track).up and len(ask(track).servers) == len(from_the_pages(exporters, track).servers))
        assert ask(track) == from_the_pages(exporters, track, entrypoint=entrypoint)
    canary = ask(Track.CANARY).servers["canary-a"]
    assert (canary.ok, dict(canary.errors)) == (130, {"INVALID_ARGUMENT": 7, "INTERNAL": 0})
    assert ask(Track.STABLE) != ask(Track.CANARY)


@pytest.mark.parametrize("prometheus", [[{"prometheus_replica": "0"}, {"prometheus_replica": "1"}]], indirect=True)
def test_series_of_two_replicas_in_one_store_count_once(prometheus: str, exporters: dict[str, Exporter]) -> None:
    for one in exporters.values():
        one.page += OWN
    source = with_objectives(prometheus, {"fallbacks": objective('falls_total{why!="test"}')})
    until(lambda: (server := source.sample(Track.CANARY, datetime.now(UTC)).servers.get("canary-a")) and server.objectives)
    time.sleep(1)  # both replicas have scraped
    assert source.sample(Track.CANARY, datetime.now(UTC)).servers["canary-a"].objectives == {"fallbacks": (7, 130)}
    for track in COMPARED:
        assert asking(prometheus)(track) == from_the_pages(exporters, track)


def test_counters_that_move_are_seen_whole(prometheus: str, exporters: dict[str, Exporter]) -> None:
    """Answers, errors and latency of one scrape: never half of the old and half of the new page."""
    ask = asking(prometheus)
    until(lambda: ask(Track.CANARY).up)
    for number in range(100, 4000, 100):
        exporters["canary-a"].page = page(number, 0, {"INTERNAL": number}, fast=3)
        seen = ask(Track.CANARY).servers["canary-a"]
        if seen.errors.keys() == {"INTERNAL"}:
            assert seen.ok == seen.failed == seen.latency[-1]
        time.sleep(0.05)
    until(lambda: ask(Track.CANARY).servers["canary-a"].ok == 3900)


def test_a_server_that_goes_is_missing_and_one_that_comes_back_counts_from_the_start(
    prometheus: str, exporters: dict[str, Exporter]
) -> None:
    ask = asking(prometheus)
    until(lambda: len(ask(Track.STABLE).servers) == 2)
    exporters["stable-b"].close()
    until(lambda: not ask(Track.STABLE).up)
    assert set(ask(Track.STABLE).servers) == {"stable-a"}
    exporters["stable-b"].page = "# TYPE :tensorflow:serving:request_count counter\n"  # before its first request
    exporters["stable-b"].open()
    until(lambda: ask(Track.STABLE).up)
    assert ask(Track.STABLE).servers["stable-b"] == Counters(0)


def test_a_models_name_is_never_part_of_the_question(prometheus: str, exporters: dict[str, Exporter]) -> None:
    exporters["canary-a"].page = page(11, 2, {"INTERNAL": 1}, fast=4, model=ODD)
    ask = asking(prometheus, model=ODD)
    until(lambda: ask(Track.CANARY).servers.get("canary-a", Counters(0)).ok)
    assert ask(Track.CANARY) == from_the_pages(exporters, Track.CANARY, model=ODD)


def test_the_history_ends_with_what_is_known_now(prometheus: str, exporters: dict[str, Exporter]) -> None:
    source = PrometheusSource(prometheus, "m", MetricsPlan(), {track: {"track": track.value} for track in COMPARED})
    ask = asking(prometheus)
    until(lambda: len(ask(Track.STABLE).servers) == 2)
    time.sleep(1)  # the history ends with a whole second
    ((seconds, sample),) = source.history(Track.STABLE, datetime.now(UTC))
    assert seconds == 7200
    assert sample == from_the_pages(exporters, Track.STABLE, entrypoint=None)


def objective(events: str, exposures: str = "") -> ObjectivePlan:
    return ObjectivePlan(ObjectiveKind.RATIO if exposures else ObjectiveKind.COUNTER, events, exposures)


def test_counters_of_the_users_own_come_with_the_same_answer_though_their_labels_are_all_alike(
    prometheus: str, exporters: dict[str, Exporter]
) -> None:
    for one in exporters.values():
        one.page += OWN
    objectives = {
        "clicks": objective("clicks_total", 'shown_total{job=~"serv.*"}'),
        "fallbacks": objective(r"""falls_total{why!="test", why!='"} or up{a="\\'}"""),
        "quoted": objective("""falls_total{why='b"'}"""),
    }
    counted = {"clicks": (20, 400), "fallbacks": (7, 130), "quoted": (4, 130)}
    source = with_objectives(prometheus, objectives)
    until(lambda: (server := source.sample(Track.CANARY, datetime.now(UTC)).servers.get("canary-a")) and server.objectives)
    sample = source.sample(Track.CANARY, datetime.now(UTC))
    assert (sample.up, sample.servers["canary-a"].objectives) == (True, counted)
    time.sleep(1)  # the history ends with a whole second
    *_, (_, last) = source.history(Track.CANARY, datetime.now(UTC))
    assert last.servers["canary-a"].objectives == counted
    source.check(Track.STABLE)
    with pytest.raises(Refused, match=r"judge\.objectives\.a\.events .* selects no series"):
        with_objectives(prometheus, {"a": objective('falls_total{why="c"}')}).check(Track.STABLE)
    with pytest.raises(Refused, match="Prometheus refuses the query"):
        with_objectives(prometheus, {"a": objective('falls_total{why=~"("}')}).check(Track.STABLE)


OWN = r"""# TYPE shown_total counter
shown_total 400
# TYPE clicks_total counter
clicks_total 20
# TYPE falls_total counter
falls_total{why="a"} 3
falls_total{why="b\""} 4
falls_total{why="test"} 50
"""


def with_objectives(url: str, objectives: dict[str, ObjectivePlan]) -> PrometheusSource:
    return PrometheusSource(
        url, "m", MetricsPlan(), {track: {"track": track.value} for track in COMPARED}, judge=JudgePlan(objectives=objectives)
    )
