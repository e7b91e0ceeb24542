"""What runs of one model, and which version each track points at: reading only.

A version is a Deployment with its number as a label; its pods are those that the Deployment selects, so that one which
was taken over, with labels of somebody else's making, is a version like every other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tfcanary.adapters.kube import pods
from tfcanary.adapters.kube.ownership import labels
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.ports import Server

STATUS_TIMEOUT = 3.0
"""Seconds for a server's GetModelStatus: it answers from memory."""
AT_ONCE = 16
"""Servers that are asked at the same time."""
OWNER = "kubernetes.io/service-name"
"""The label that says whose an EndpointSlice is."""
REMEMBERED = 60.0
"""Seconds for which a track's servers are not listed anew while they answer: one that came with a scaling is missed for so long."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One model in one namespace."""

    api: Api
    model: str

    def versions(self, number: int | None = None) -> dict[int, Json]:
        """The Deployments, by version."""
        wanted = {object_names.MODEL: self.model} if number is None else object_names.selector(self.model, number)
        found = [one for one in self.api.list(DEPLOYMENTS, wanted) if labels(one).get(object_names.VERSION, "").isdecimal()]
        return {int(labels(one)[object_names.VERSION]): one for one in found}

    def service(self, track: Track) -> Json | None:
        """The Service of a track."""
        return self.api.get(SERVICES, object_names.service(self.model, track))

    def tracks(self, versions: Mapping[int, Json]) -> dict[Track, int]:
        """Which version each track's Service selects."""
        services = {track: self.service(track) for track in Track}
        pointed = {track: number_of(found["spec"].get("selector") or {}, versions) for track, found in services.items() if found}
        return {track: number for track, number in pointed.items() if number is not None}

    def pods(self, deployment: Json) -> tuple[Json, ...]:
        """The pods of a version, ending ones included."""
        return self.api.list(PODS, selector_of(deployment))

    def servers(self, number: int, deployment: Json) -> tuple[Server, ...]:
        """The servers of a version, each asked itself."""
        return self.ask(number, pods.servers(deployment, self.pods(deployment), datetime.now(UTC)))

    def ask(self, number: int, servers: Sequence[Server]) -> tuple[Server, ...]:
        """Those of which nothing is known to be wrong, asked all at once whether they serve this very version."""
        if not servers:
            return ()
        with ThreadPoolExecutor(min(len(servers), AT_ONCE)) as threads:
            return tuple(threads.map(lambda one: asked(one, self.model, number) if one.grpc and not one.message else one, servers))

    def listed(self, track: Track) -> set[str]:
        """The addresses that the track's Service sends requests to."""
        slices = self.api.list(ENDPOINT_SLICES, {OWNER: object_names.service(self.model, track)})
        endpoints = [one for each in slices for one in each.get("endpoints") or ()]
        return {at for one in endpoints if (one.get("conditions") or {}).get("ready") is not False for at in one["addresses"]}

    def ready(self, deployment: Json) -> set[str]:
        """The addresses of a version's pods that are ready, by Kubernetes' own probes."""
        return {str(pod["status"]["podIP"]) for pod in self.pods(deployment) if pods.is_ready(pod)}

    def reachable(self, track: Track) -> tuple[Server, ...]:
        """The servers of a track that have an address, ready (`silent`) or not, and not asked anything; none where it points at nothing."""
        versions = self.versions()
        number = self.tracks(versions).get(track)
        deployment = versions.get(number) if number is not None else None
        if deployment is None:
            return ()
        found = pods.servers(deployment, self.pods(deployment), datetime.now(UTC))
        return tuple(one for one in found if one.grpc)


class TrackServers:
    """The servers of the tracks, remembered: a watch that asks the servers at every poll must not ask the API server each time, too."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._known: dict[Track, tuple[float, tuple[Server, ...]]] = {}

    def of(self, track: Track) -> tuple[Server, ...]:
        """Servers that have an address, as `Fleet.reachable` says."""
        listed, servers = self._known.get(track, (0.0, ()))
        if not servers or time.monotonic() - listed > REMEMBERED:
            servers = self._fleet.reachable(track)
            self._known[track] = (time.monotonic(), servers)
        return servers

    def forget(self, track: Track) -> None:
        """One of them did not answer."""
        self._known.pop(track, None)


def selector_of(deployment: Json) -> dict[str, str]:
    """The labels by which a Deployment knows its pods. Raises Refused where it needs more than labels: no Service can select so."""
    selector = deployment["spec"]["selector"]
    if selector.get("matchExpressions") or not selector.get("matchLabels"):
        raise Refused(f"Deployment {deployment['metadata']['name']}: its selector has expressions; a Service selects by plain labels only")
    return dict(selector["matchLabels"])


def number_of(selector: Mapping[str, str], versions: Mapping[int, Json]) -> int | None:
    """The version that a Service with this selector points at; None: at none that is known."""
    if selector.get(object_names.VERSION, "").isdecimal():
        return int(selector[object_names.VERSION])
    return next((number for number, one in versions.items() if selector and selector_of(one) == dict(selector)), None)


def asked(known: Server, model: str, number: int) -> Server:
    """The server's own word, by gRPC: a GET over REST would count as a request. It stays `silent` only where it let us wait."""
    from tfcanary.adapters.serving.server_client import Client

    began = time.monotonic()
    try:
        with Client(known.rest, known.grpc, model, STATUS_TIMEOUT) as client:
            said = client.status(number)
    except Unavailable as error:
        late = time.monotonic() - began >= STATUS_TIMEOUT
        return replace(known, available=False, message=str(error), silent=known.silent and late)
    if said is None:
        return replace(known, available=False, message=f"does not know version {number}", silent=False)
    if said.state == "AVAILABLE":
        return replace(known, available=True, message="", silent=False)
    message = f"{said.state} {said.code} {said.message}".strip()
    return replace(known, available=False, message=message, failed=said.state == "END" and said.code != "OK", silent=False)
