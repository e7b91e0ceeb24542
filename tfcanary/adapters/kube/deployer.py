"""The Deployer of a cluster: a Deployment a version, and a Service a track that selects one version's pods.

Stopping is not waited for: a TF Serving pod ignores SIGTERM and serves until it is killed at the end of its grace
period, which is the time that its last requests have. Traffic is moved by routes and Services, and never so.
"""

from __future__ import annotations

import random
import time
from datetime import timedelta

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.ownership import applied, check_ours
from tfcanary.adapters.kube.running_servers import Fleet, Json, selector_of
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES
from tfcanary.core.domain import ModelVersion, Track
from tfcanary.core.errors import GaveUp, Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Deployment, Server

IN_FORCE = timedelta(seconds=60)
"""Until a Service lists the pods it selects: it takes a second, and a few more while the control plane is busy."""
SETTLE = 2.0
"""Seconds from there until every proxy knows, too: they hear of it at the same time as we, and gather changes for a second."""


class KubeDeployer:
    """`ports.Deployer` for one model in one namespace."""

    def __init__(self, fleet: Fleet, plan: Plan) -> None:
        self._fleet = fleet
        self._api = fleet.api
        self._model = fleet.model
        self._plan = plan
        self._known: dict[int, tuple[Server, ...]] = {}
        """Servers that were all available when they were last asked."""

    def deploy(self, version: ModelVersion, capacity: Track = Track.CANARY) -> None:
        """Apply the version's ConfigMap and Deployment; returns without waiting. Of a version that a track points at only the number of pods rises.

        Raises Refused where a Deployment of that name is somebody else's, or serves other bytes under the number.
        """
        versions = self._fleet.versions()
        tracks = self._fleet.tracks(versions)
        present = versions.get(version.number)
        self._check(version, present)
        self._known.pop(version.number, None)
        there = int(present["spec"].get("replicas", 1)) if present else 0
        wanted = max(self._replicas(version.number, capacity, versions, tracks), there)
        if present is None or version.number not in tracks.values():
            config = manifests.config_map(self._model, version, self._plan.serving)
            applied(self._api, CONFIG_MAPS, config)
            applied(self._api, DEPLOYMENTS, manifests.deployment(self._model, version, self._plan, there or wanted))
        if present and wanted > there:
            # Not by apply: the number may belong to an autoscaler, which goes on from here.
            self._api.merge(DEPLOYMENTS, present["metadata"]["name"], {"spec": {"replicas": wanted}})

    def assign(self, track: Track, number: int | None) -> None:
        """Let the track's Service select a version's pods, at least one of which must be available; returns once its endpoints are those.

        Raises Unavailable where no pod is, GaveUp where the endpoints do not follow, Refused for a Service that is somebody else's.
        """
        service = self._fleet.service(track)
        check_ours(service, self._model, self._plan.adopt)
        deployment = self._available(track, number) if number is not None else None
        selector = selector_of(deployment) if deployment else object_names.selector(self._model, None)
        if service is None or service["spec"].get("selector") != selector:
            # By force: the Service is ours, and a rollback must not be stopped by who edited it by hand.
            applied(self._api, SERVICES, manifests.service(self._model, track, selector, self._plan.serving), force=True)
        self._wait_in_force(track, number, deployment)

    def remove(self, number: int) -> None:
        """Delete a version's Deployment and ConfigMaps; returns once that is accepted. Refused where a track points at it."""
        versions = self._fleet.versions()
        pointing = [track.value for track, pointed in self._fleet.tracks(versions).items() if pointed == number]
        if pointing:
            where = " and the ".join(pointing)
            raise Refused(f"version {number} of {self._model} is what the {where} track points at: point it elsewhere first")
        self._known.pop(number, None)
        if number in versions:
            self._api.delete(DEPLOYMENTS, versions[number]["metadata"]["name"])
        for config in self._api.list(CONFIG_MAPS, object_names.selector(self._model, number)):
            self._api.delete(CONFIG_MAPS, config["metadata"]["name"])

    def observe(self, number: int | None = None) -> Deployment:
        """What runs, each server asked itself. With `number` the API server is asked only where one of its servers does not say AVAILABLE."""
        if number is not None:
            return Deployment(servers={number: found} if (found := self._servers(number)) else {})
        versions = self._fleet.versions()
        servers = {each: self._fleet.servers(each, one) for each, one in versions.items()}
        return Deployment(servers=servers, tracks=self._fleet.tracks(versions))

    def _servers(self, number: int) -> tuple[Server, ...]:
        again = self._fleet.ask(number, self._known.get(number, ()))
        if again and all(one.available for one in again):
            return again
        deployment = self._fleet.versions(number).get(number)
        servers = self._fleet.servers(number, deployment) if deployment else ()
        self._known.pop(number, None)
        if servers and all(one.available for one in servers):
            self._known[number] = servers
        return servers

    def _check(self, version: ModelVersion, present: Json | None) -> None:
        name = object_names.version(self._model, version.number)
        if present is None:
            check_ours(self._api.get(DEPLOYMENTS, name), self._model)
            return
        digest = (present["metadata"].get("annotations") or {}).get(object_names.DIGEST, version.digest)
        if digest != version.digest:
            raise Refused(
                f"version {version.number} of {self._model} is deployed already as {present['metadata']['name']} with the bytes {digest}, "
                f"not {version.digest}"
            )

    def _replicas(self, number: int, capacity: Track, versions: dict[int, Json], tracks: dict[Track, int]) -> int:
        serving, stable = self._plan.serving, tracks.get(Track.STABLE)
        if capacity is Track.STABLE:
            present = versions.get(stable) if stable is not None else None
            return max(serving.replicas, int(present["spec"].get("replicas", 1)) if present else 0)
        return serving.replicas if stable in (None, number) else serving.canary_replicas

    def _available(self, track: Track, number: int) -> Json:
        """The version's Deployment. One server is enough: a rollback goes to what is left of the stable."""
        deployment = self._fleet.versions(number).get(number)
        if deployment is None:
            raise Refused(f"version {number} of {self._model} is not deployed: the {track.value} track cannot point at it")
        servers = self._fleet.servers(number, deployment)
        if not any(one.available for one in servers):
            why = "; ".join(f"{one.name}: {one.message}" for one in servers) or "it has no pods"
            raise Unavailable(f"version {number} of {self._model} has no available server for the {track.value} track: {why}")
        return deployment

    def _wait_in_force(self, track: Track, number: int | None, deployment: Json | None) -> None:
        deadline = time.monotonic() + IN_FORCE.total_seconds()
        while True:
            listed, ready = self._fleet.listed(track), self._fleet.ready(deployment) if deployment else set()
            if listed == ready and bool(ready) == bool(deployment):
                break
            if time.monotonic() > deadline:
                raise GaveUp(_not_in_force(object_names.service(self._model, track), number, listed, ready))
            time.sleep(random.uniform(0.1, 0.3))
        if deployment:
            time.sleep(SETTLE)


def _not_in_force(service: str, number: int | None, listed: set[str], ready: set[str]) -> str:
    wanted = f"version {number}, whose ready pods are {', '.join(sorted(ready)) or 'none'}" if number is not None else "nothing"
    return f"Service {service} should point at {wanted}; after {IN_FORCE} its endpoints are {', '.join(sorted(listed)) or 'none'}"
