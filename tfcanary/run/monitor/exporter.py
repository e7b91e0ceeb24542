"""The page of metrics over HTTP: cheap to read, and harmless to the process that serves it beside its other work.

The guard and the watching step both export what they read in the record, because either may be dead. Rules and dashboard
take the largest value, because instants only grow. A record that cannot be read now is left out of the page, and not
shown as it was.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tfcanary import adapters
from tfcanary.act import checkpoint, ledger
from tfcanary.adapters.kubeclient.object_names import METRICS
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.run.monitor.families import ModelReading, families
from tfcanary.run.monitor.recent import RecentRecords

log = logging.getLogger("tfcanary.run.monitor")

CACHED = 5.0
"""Seconds for which a page is served again: the API server and the bucket are asked no more often, however often the page is read."""
EVERYWHERE = ("::", "0.0.0.0")  # noqa: S104 in a pod, where a NetworkPolicy says who may ask
"""The addresses of a pod; the second one is used where the machine has no IPv6."""
HERE = ("127.0.0.1",)
PORT = "TFCANARY_METRICS_PORT"
"""The environment variable with the port at which a watching step exports; 0 means nowhere. It is no field of the plan, because it
decides nothing about a release."""
IN_A_POD = "KUBERNETES_SERVICE_HOST"


@dataclass(eq=False)
class Exporter(Collector):
    """Reads the records of a platform's models when the page is read, at most every CACHED seconds, and none that `recent` has."""

    uri: str
    models: Callable[[], Sequence[str]]
    recent: RecentRecords = field(default_factory=RecentRecords)
    """What the process has read for its other work."""
    clock: Callable[[], float] = time.monotonic
    _page: tuple[Metric, ...] = field(default_factory=lambda: families(()))
    _page_time: float | None = None
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _readings: dict[str, ModelReading] = field(default_factory=dict)
    _opened: dict[tuple[str, str], Platform] = field(default_factory=dict)
    _warnings: dict[str, str] = field(default_factory=dict)

    def collect(self) -> Iterable[Metric]:
        """Return the metric families; a caller that comes while another one is reading the records gets the page before."""
        if self._reading.acquire(blocking=False):
            try:
                if self._page_time is None or self.clock() - self._page_time >= CACHED:
                    self._page = families(self._read_all())
                    self._page_time = self.clock()
            finally:
                self._reading.release()
        return self._page

    def _read_all(self) -> tuple[ModelReading, ...]:
        try:
            models = self.models()
        except TfcanaryError as error:
            self._warn(self.uri, str(error))
            models = tuple(self._readings)
        else:
            self._warnings.pop(self.uri, None)
        self._readings = {model: self._read_model(model) for model in models}
        return tuple(self._readings.values())

    def _read_model(self, model: str) -> ModelReading:
        namespace = self.uri.removeprefix("kube://") if self.uri.startswith("kube://") else ""
        before = self._readings.get(model)
        try:
            platform = self._platform(model, Plan(), "")
            now = platform.clock.now()
            read, record = self.recent.of(model, now) or (now, ledger.read(platform))
        except TfcanaryError as error:
            self._warn(model, str(error))
            return ModelReading(namespace, model, before.read if before else None)
        reading = ModelReading(namespace, model, read, record)
        if record.active is None:
            self._warnings.pop(model, None)
            return reading
        try:
            last = checkpoint.load(self._platform(model, record.active.plan, record.active.plan_digest), record.active)
        except TfcanaryError as error:
            self._warn(model, str(error))
            return reading
        self._warnings.pop(model, None)
        return ModelReading(namespace, model, read, record, last)

    def _platform(self, model: str, plan: Plan, digest: str) -> Platform:
        """The platform of one model and plan; the plan says where the bucket is. For each model only the last plan's platform is kept."""
        if (model, digest) not in self._opened:
            self._opened = {key: one for key, one in self._opened.items() if key[0] != model or key[1] == ""}
            self._opened[model, digest] = adapters.open_platform(self.uri, model, plan)
        return self._opened[model, digest]

    def _warn(self, about: str, what: str) -> None:
        """Log a problem once, and not again at every scrape."""
        if self._warnings.get(about) != what:
            log.warning("%s: %s; its metrics are incomplete", about, what)
            self._warnings[about] = what


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """A page of metrics that is served until `close`, or until the process ends."""

    port: int
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Stop serving; the port is free when this returns."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, collect: Collector, addresses: Sequence[str] = EVERYWHERE) -> MetricsServer | None:
    """Serve the page at the first address that can be bound; port 0 means any free port.

    Returns None, after a warning in the log, where no address can be bound: monitoring must not stop a release.
    """
    registry = CollectorRegistry()
    registry.register(collect)
    problem: OSError | None = None
    for address in addresses:
        try:
            server, thread = start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            problem = error
        else:
            log.info("metrics are served at port %d", server.server_port)
            return MetricsServer(server.server_port, server, thread)
    log.warning("metrics are not served: port %d cannot be bound (%s)", port, problem)
    return None


def page(collect: Collector) -> str:
    """Return the page in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(collect)
    return generate_latest(registry).decode()


def models_exporter(uri: str, *models: str, recent: RecentRecords | None = None) -> Exporter:
    """Return the exporter of the named models; without names, of every model of the platform that has a record."""
    return Exporter(uri, lambda: models or adapters.models(uri), recent or RecentRecords())


def serve_beside_watch(uri: str, model: str) -> MetricsServer | None:
    """Serve the metrics of a model from the step that watches it. The record is read for them: it must show a guard that is dead.

    In a pod the port is the one of the PodMonitors; elsewhere nothing is served unless TFCANARY_METRICS_PORT names a port.
    """
    setting = os.environ.get(PORT, "")
    default = METRICS if uri.startswith("kube://") and IN_A_POD in os.environ else 0
    port = int(setting) if setting.isdecimal() and int(setting) < 2**16 else default
    return serve(port, models_exporter(uri, model)) if port else None
