"""A real Prometheus scrapes two real exporters of one release, and servers: every query that is shipped runs, and says something."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import binaries
from tests.act.conftest import RUN, deployed, held_by_the_dead, model, pushed
from tests.adapters.metrics.prometheus_server import free_port
from tests.adapters.metrics.test_prometheus_real import PATH, Exporter, page, ready
from tests.fakes import World
from tests.run.monitor.running import opens, running
from tests.run.monitor.test_rules import RULES
from tfcanary.act import ledger
from tfcanary.core.domain import ModelVersion
from tfcanary.run import monitor
from tfcanary.run.monitor.dashboard import dashboard
from tfcanary.run.monitor.recordings import OURS, RECORDINGS, SERVERS
from tfcanary.run.monitor.rules import ALERTS

__all__ = ["deployed", "model", "pushed"]

pytestmark = pytest.mark.slow

CHOSEN = {"$namespace": "serving", "$model": "digits", "$criterion": ".*", "$__rate_interval": "1m"}
"""What Grafana puts in the place of its variables."""
MAY_BE_EMPTY = ("ALERTS{", "tfcanary_release_over_timestamp_seconds")
"""Nothing fires, and the release is not over."""


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Raises AssertionError, with Prometheus' words, where it is no query."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}\n{error.read().decode()}") from error
        return found


@pytest.fixture
def program() -> Path:
    try:
        return binaries.find("prometheus", "prometheus")
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def world(program: Path) -> World:
    """On the clock of this machine, and a few minutes back, for a release that lies behind; read after Prometheus was built."""
    world = World()
    world.clock.time = datetime.now(UTC) - timedelta(seconds=150)
    world.has_stable()
    world.clock.sleep(30)
    return world


@pytest.fixture
def prometheus(
    program: Path, world: World, deployed: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prometheus]:
    """As a cluster's own: the rules are those of deploy/, and guard and step export what both read."""
    running(world)
    alive(world)
    opens(monkeypatch, world)
    exporting = [monitor.serve(0, monitor.models_exporter("kube://serving", "digits"), monitor.HERE) for _ in range(2)]
    servers = {version: Exporter(page(100, 10, {"INTERNAL": 0}, fast=5 + version, model="digits")) for version in (1, 2)}
    assert all(exporting)
    ours = [
        {"targets": [f"127.0.0.1:{one.port}"], "labels": {"pod": f"p{i}", "namespace": f"n{i}"}} for i, one in enumerate(exporting) if one
    ]
    targets = [
        {
            "targets": [f"127.0.0.1:{one.port}"],
            "labels": {"namespace": "serving", "pod": f"digits-v{version}-x", "model": "digits", "version": str(version)},
        }
        for version, one in servers.items()
    ]
    jobs = [
        {"job_name": OURS, "honor_labels": True, "static_configs": ours},
        {"job_name": SERVERS, "metrics_path": PATH, "static_configs": targets},
    ]
    every = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"global": every, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    port = free_port()
    places = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen([program, *places], stderr=log, stdout=log) as process:
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            until(lambda: ready(found.url))
            serve_until(servers, lambda: len(found.ask("tfcanary:error_ratio:rate5m")) == 2)
            yield found
        finally:
            process.kill()
            for server in servers.values():
                server.close()
            for exporter in exporting:
                assert exporter is not None
                exporter.close()


def alive(world: World) -> None:
    """Guard and step renew what they hold, now."""
    world.clock.time = datetime.now(UTC)
    held_by_the_dead(world.platform(), "watch stage 1")
    beat = ledger.read_release(world.platform(), RUN).beat
    assert beat is not None
    world.records.beat(RUN, replace(beat, number=beat.number + 1, at=world.clock.time))


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)


def serve_until(servers: dict[int, Exporter], holds: Callable[[], object]) -> None:
    """The servers count on; of a thousand requests as many fail as the version's number says."""
    served = [0]

    def more() -> bool:
        served[0] += 1000
        for version, one in servers.items():
            one.page = page(100 + served[0], 10, {"INTERNAL": version * served[0] // 1000}, fast=5 + version, model="digits")
        return bool(holds())

    until(more)


def chosen(query: str) -> str:
    for variable, value in CHOSEN.items():
        query = query.replace(variable, value)
    assert "$" not in query.replace('"$1"', ""), query
    return query


def queries() -> Iterator[str]:
    """Of all panels, annotations and variables."""
    whole = dashboard()
    yield from (target["expr"] for panel in whole["panels"] for target in panel.get("targets", ()))
    yield from (one["expr"] for one in whole["annotations"]["list"] if "expr" in one)
    for variable in whole["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"].removeprefix("label_values(").rpartition(",")[0]


def test_every_query_of_the_dashboard_and_every_rule_runs_and_says_something(prometheus: Prometheus) -> None:
    for query in queries():
        found = prometheus.ask(chosen(query))
        assert found or any(one in query for one in MAY_BE_EMPTY), f"no data: {query}"
    for recording in RECORDINGS:
        assert prometheus.ask(recording.record), recording.record
    for alert in ALERTS:
        assert prometheus.ask(alert.expr) == [], f"{alert.alert} would fire on a release as it should be"
    assert prometheus.ask("ALERTS") == []
    assert_two_exporters_are_one_release(prometheus)


def assert_two_exporters_are_one_release(prometheus: Prometheus) -> None:
    """The namespace is the model's, not the pods', and no query counts the release twice."""
    exported = prometheus.ask("tfcanary_weight_asked_ratio")
    assert {(one["metric"]["namespace"], one["metric"]["pod"]) for one in exported} == {("serving", "p0"), ("serving", "p1")}
    by_title = {panel["title"]: panel for panel in dashboard()["panels"]}
    for title, series in {"State": 1, "Weight asked": 1, "Decision": 1, "Requests by track": 2, "Error ratio by track": 2}.items():
        assert len(prometheus.ask(chosen(by_title[title]["targets"][0]["expr"]))) == series, title
    ratio = {one["metric"]["track"]: float(one["value"][1]) for one in prometheus.ask("tfcanary:error_ratio:rate5m")}
    assert 0 < ratio["stable"] < ratio["canary"] < 0.01
    quantiles = prometheus.ask(chosen(by_title["Latency by track"]["targets"][0]["expr"]))
    assert {one["metric"]["track"] for one in quantiles} == {"stable", "canary"}


def test_the_page_obeys_promtool(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        promtool = binaries.find("promtool", "prometheus")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    running(world)
    opens(monkeypatch, world)
    page = monitor.page(monitor.models_exporter("kube://serving"))
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
