"""The page of metrics over HTTP: cheap to ask, and of no consequence for whoever serves it beside its own work.

The record is the truth, and the guard and the watching step both export what they read in it: either may be dead. Rules
and dashboard take the largest, for instants only grow. A model's record that cannot be read now is not shown as it was.
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
from tfcanary.run.monitor.families import Seen, families

log = logging.getLogger("tfcanary.run.monitor")

CACHED = 5.0
"""Seconds that a page is good for: however often it is asked for, the API server and the bucket are asked no oftener."""
EVERYWHERE = ("::", "0.0.0.0")  # noqa: S104 in a pod, where a NetworkPolicy says who may ask
"""A pod's addresses; the second where the machine knows no IPv6."""
HERE = ("127.0.0.1",)
PORT = "TFCANARY_METRICS_PORT"
"""Where a watching step exports; 0: nowhere. A variable of the process, not a field of the plan: it decides nothing about a release."""
IN_A_POD = "KUBERNETES_SERVICE_HOST"


@dataclass(eq=False)
class Exporter(Collector):
    """Reads the records of a platform's models when it is asked, at most every CACHED seconds."""

    uri: str
    models: Callable[[], Sequence[str]]
    clock: Callable[[], float] = time.monotonic
    _page: tuple[Metric, ...] = field(default_factory=lambda: families(()))
    _asked: float | None = None
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _seen: dict[str, Seen] = field(default_factory=dict)
    _opened: dict[tuple[str, str], Platform] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def collect(self) -> Iterable[Metric]:
        """The families; who asks while another one's question is under way gets the page before."""
        if self._reading.acquire(blocking=False):
            try:
                if self._asked is None or self.clock() - self._asked >= CACHED:
                    self._page = families(self._look())
                    self._asked = self.clock()
            finally:
                self._reading.release()
        return self._page

    def _look(self) -> tuple[Seen, ...]:
        try:
            models = self.models()
        except TfcanaryError as error:
            self._tell(self.uri, str(error))
            models = tuple(self._seen)
        else:
            self._said.pop(self.uri, None)
        self._seen = {model: self._look_at(model) for model in models}
        return tuple(self._seen.values())

    def _look_at(self, model: str) -> Seen:
        namespace = self.uri.removeprefix("kube://") if self.uri.startswith("kube://") else ""
        before = self._seen.get(model)
        try:
            platform = self._platform(model, Plan(), "")
            record = ledger.read(platform)
        except TfcanaryError as error:
            self._tell(model, str(error))
            return Seen(namespace, model, before.read if before else None)
        seen = Seen(namespace, model, platform.clock.now(), record)
        if record.active is None:
            self._said.pop(model, None)
            return seen
        try:
            kept = checkpoint.load(self._platform(model, record.active.plan, record.active.plan_digest), record.active)
        except TfcanaryError as error:
            self._tell(model, str(error))
            return seen
        self._said.pop(model, None)
        return Seen(namespace, model, seen.read, record, kept)

    def _platform(self, model: str, plan: Plan, digest: str) -> Platform:
        """The plan says where the bucket is. Of a model only the last plan's is kept."""
        if (model, digest) not in self._opened:
            self._opened = {key: one for key, one in self._opened.items() if key[0] != model or key[1] == ""}
            self._opened[model, digest] = adapters.open_platform(self.uri, model, plan)
        return self._opened[model, digest]

    def _tell(self, about: str, what: str) -> None:
        """Once, not at every scrape."""
        if self._said.get(about) != what:
            log.warning("%s: %s; its metrics are incomplete", about, what)
            self._said[about] = what


@dataclass(frozen=True, slots=True)
class Served:
    """A page that is served until `close`, or the end of the process."""

    port: int
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """The port is free when this returns."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, collect: Collector, addresses: Sequence[str] = EVERYWHERE) -> Served | None:
    """Serve at the first address that can be bound, 0 being any free port; None, and a warning, where none can."""
    registry = CollectorRegistry()
    registry.register(collect)
    failed: OSError | None = None
    for address in addresses:
        try:
            server, thread = start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            failed = error
        else:
            log.info("metrics are served at port %d", server.server_port)
            return Served(server.server_port, server, thread)
    log.warning("metrics are not served: port %d cannot be bound (%s)", port, failed)
    return None


def page(collect: Collector) -> str:
    """The page as text."""
    registry = CollectorRegistry()
    registry.register(collect)
    return generate_latest(registry).decode()


def of_models(uri: str, *models: str) -> Exporter:
    """Of these models, or of every one that has a record where none is named."""
    return Exporter(uri, lambda: models or adapters.models(uri))


def beside_a_watch(uri: str, model: str) -> Served | None:
    """For the step that watches: in a pod at the port that PodMonitors know, elsewhere only where TFCANARY_METRICS_PORT says so."""
    told = os.environ.get(PORT, "")
    default = METRICS if uri.startswith("kube://") and IN_A_POD in os.environ else 0
    port = int(told) if told.isdecimal() and int(told) < 2**16 else default
    return serve(port, of_models(uri, model)) if port else None
