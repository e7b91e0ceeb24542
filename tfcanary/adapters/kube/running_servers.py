"""What runs of one model, and which pool each track points at: reading only.

A pool is a Deployment with its version's number as a label; its pods are those that the Deployment selects, so that a Deployment which
was taken over, with labels of somebody else's making, is a pool like every other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tfcanary.adapters.kube import pods
from tfcanary.adapters.kube.ownership import labels
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import AUTOSCALERS, DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, Json
from tfcanary.core.domain import Pool, Scaling, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan.cluster import DISABLED
from tfcanary.core.ports import Server

STATUS_TIMEOUT = 3.0
"""Seconds for a server's GetModelStatus: it answers from memory."""
AT_ONCE = 16
"""Servers that are asked at the same time."""
OWNER = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""
REMEMBERED = 60.0
"""Seconds for which a track's servers are not listed again while they answer: a server that came with a scaling is missed for so long."""


@dataclass(frozen=True, slots=True)
class RunningServers:
    """The servers of one model in one namespace."""

    api: Api
    model: str

    def deployments(self, pool: Pool | None = None) -> dict[Pool, Json]:
        """The Deployments of the pools, or of one pool."""
        wanted = {object_names.MODEL: self.model, **({object_names.VERSION: str(pool.number)} if pool else {})}
        found = {object_names.pool_of(labels(one)): one for one in self.api.list(DEPLOYMENTS, wanted)}
        return {at: one for at, one in found.items() if at is not None and pool in (None, at)}

    def autoscalers(self) -> dict[Pool, Json]:
        """The autoscalers that were made for the pools."""
        found = {object_names.pool_of(labels(one)): one for one in self.api.list(AUTOSCALERS, {object_names.MODEL: self.model})}
        return {pool: one for pool, one in found.items() if pool is not None}

    def service(self, track: Track) -> Json | None:
        """The Service of a track."""
        return self.api.get(SERVICES, object_names.service(self.model, track))

    def services(self) -> dict[Track, Json]:
        """The Services of the tracks that are ours, by track."""
        names = {object_names.service(self.model, track): track for track in Track}
        found = self.api.list(SERVICES, {object_names.MODEL: self.model})
        return {names[one["metadata"]["name"]]: one for one in found if one["metadata"]["name"] in names}

    def servers(self, pool: Pool, deployment: Json, among: Sequence[Json] | None = None) -> tuple[Server, ...]:
        """The servers of a pool, each asked itself; `among` are the pods, where they are known already."""
        found = self._pods(deployment) if among is None else among
        return self.with_status(pool, pods.servers(deployment, found, datetime.now(UTC)))

    def all_servers(self, deployments: Mapping[Pool, Json]) -> dict[Pool, tuple[Server, ...]]:
        """The servers of several pools. The pods of those that tfcanary made are listed at once."""
        known = self.api.list(PODS, {object_names.MODEL: self.model}) if deployments else ()
        found = {}
        for pool, one in deployments.items():
            selector = selector_of(one)
            among = [pod for pod in known if selector.items() <= labels(pod).items()] if object_names.MODEL in selector else None
            found[pool] = self.servers(pool, one, among)
        return found

    def with_status(self, pool: Pool, servers: Sequence[Server]) -> tuple[Server, ...]:
        """The servers, those of which nothing is known to be wrong asked at once whether they serve this very version."""
        if not servers:
            return ()
        with ThreadPoolExecutor(min(len(servers), AT_ONCE)) as threads:
            return tuple(
                threads.map(lambda one: ask_status(one, self.model, pool.number) if one.grpc and not one.message else one, servers)
            )

    def endpoints(self, track: Track) -> set[str]:
        """The addresses to which the track's Service sends requests."""
        slices = self.api.list(ENDPOINT_SLICES, {OWNER: object_names.service(self.model, track)})
        endpoints = [one for each in slices for one in each.get("endpoints") or ()]
        return {at for one in endpoints if (one.get("conditions") or {}).get("ready") is not False for at in one["addresses"]}

    def ready_addresses(self, deployment: Json) -> set[str]:
        """The addresses of a pool's pods that are ready, by Kubernetes' own probes."""
        return {str(pod["status"]["podIP"]) for pod in self._pods(deployment) if pods.is_ready(pod)}

    def reachable(self, track: Track) -> tuple[Server, ...]:
        """The servers of a track that have an address, ready (`silent`) or not, and not asked anything; none where it points at nothing."""
        service = self.service(track)
        selector = (service["spec"].get("selector") if service else None) or {}
        if not selector or selector.get(object_names.VERSION) == object_names.NOTHING:
            return ()
        now = datetime.now(UTC)
        found = [pods.server(pod, now) for pod in self.api.list(PODS, selector) if pods.is_alive(pod)]
        return tuple(sorted((one for one in found if one.grpc), key=lambda one: one.name))

    def _pods(self, deployment: Json) -> tuple[Json, ...]:
        """The pods of a pool, ending ones included."""
        return self.api.list(PODS, selector_of(deployment))


class TrackServers:
    """The servers of the tracks, remembered: a watch that asks the servers at every poll must not ask the API server each time, too."""

    def __init__(self, running: RunningServers) -> None:
        self._running = running
        self._known: dict[Track, tuple[float, tuple[Server, ...]]] = {}

    def of(self, track: Track) -> tuple[Server, ...]:
        """Servers that have an address, as `RunningServers.reachable` says; listed again while one of them is not ready yet."""
        listed, servers = self._known.get(track, (0.0, ()))
        if not servers or not all(one.silent for one in servers) or time.monotonic() - listed > REMEMBERED:
            servers = self._running.reachable(track)
            self._known[track] = (time.monotonic(), servers)
        return servers

    def forget(self, *tracks: Track) -> None:
        """List the servers of these tracks, or of all, again at the next question: one did not answer, or others have come."""
        for track in tracks or Track:
            self._known.pop(track, None)


def selector_of(deployment: Json) -> dict[str, str]:
    """The labels by which a Deployment knows its pods. Raises Refused where it needs more than labels: no Service can select so."""
    selector = deployment["spec"]["selector"]
    if selector.get("matchExpressions") or not selector.get("matchLabels"):
        raise Refused(f"Deployment {deployment['metadata']['name']}: its selector has expressions; a Service selects by plain labels only")
    return dict(selector["matchLabels"])


def scaling_of(autoscaler: Json) -> Scaling:
    """What an autoscaler has been told."""
    down = (autoscaler["spec"].get("behavior") or {}).get("scaleDown") or {}
    return Scaling(int(autoscaler["spec"].get("minReplicas", 1)), held=down.get("selectPolicy") == DISABLED)


def pool_at(service: Json, deployments: Mapping[Pool, Json]) -> Pool | None:
    """The pool that a Service points at; None where it points at none that is known."""
    selector: Json = service["spec"].get("selector") or {}
    if pool := object_names.pool_of(selector):
        return pool
    return next((pool for pool, one in deployments.items() if selector and selector_of(one) == selector), None)


def tracks_at(services: Mapping[Track, Json], deployments: Mapping[Pool, Json]) -> dict[Track, Pool]:
    """The pool that each track points at; without tracks that point at none."""
    found = {track: pool_at(one, deployments) for track, one in services.items()}
    return {track: pool for track, pool in found.items() if pool is not None}


def ask_status(known: Server, model: str, number: int) -> Server:
    """The server with its own word by gRPC: a GET over REST would count as a request. It stays `silent` only where it is late."""
    from tfcanary.adapters.serving.server_client import Client

    began = time.monotonic()
    try:
        with Client(known.rest, known.grpc, model, STATUS_TIMEOUT) as client:
            status = client.status(number)
    except Unavailable as error:
        late = time.monotonic() - began >= STATUS_TIMEOUT
        return replace(known, available=False, message=str(error), silent=known.silent and late)
    if status is None:
        return replace(known, available=False, message=f"does not know version {number}", silent=False)
    if status.state == "AVAILABLE":
        return replace(known, available=True, message="", silent=False)
    message = f"{status.state} {status.code} {status.message}".strip()
    return replace(known, available=False, message=message, failed=status.state == "END" and status.code != "OK", silent=False)
