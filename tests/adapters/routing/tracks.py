"""A model `m` in a namespace: versions whose pods answer with their number, and the Services of the tracks."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.manifests import answering, available
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing.entrances import SERVICE_PORTS
from tfcanary.core import codec
from tfcanary.core.domain import Intent, Pool, Track, Traffic
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Router

MODEL = "m"
NUMBERS = count(1)


def shift(router: Router, canary: int, number: int | None = None, run: str = "run-1") -> None:
    """The canary's share in percent, by the next intent of a release, or by one of this number."""
    router.set_traffic(Traffic(canary=canary), Intent(run, next(NUMBERS) if number is None else number))


def stages(*weights: int) -> tuple[Traffic, ...]:
    return tuple(Traffic(canary=weight) for weight in weights)


def plan(router: str, adopt: bool = False, **traffic: Any) -> Plan:
    found: Plan = codec.decode(Plan, {"traffic": {"router": router, **traffic}, "adopt": adopt})
    return found


def serving(number: int, replicas: int = 1, grpc: bool = False) -> Json:
    """The Deployment of a version; `grpc`: its pods answer gRPC, too."""
    labels = {**object_names.labels(MODEL, "server"), **object_names.selector(MODEL, Pool(number))}
    pod = {"containers": [answering(f'{{"predictions": [{number}]}}', grpc)], "terminationGracePeriodSeconds": 2}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": object_names.selector(MODEL, Pool(number))},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": object_names.deployment(MODEL, Pool(number)), "labels": labels},
        "spec": spec,
    }


def service(track: Track, number: int | None) -> Json:
    """The Service of a track; None: it points at nothing."""
    spec = {
        "selector": object_names.selector(MODEL, None if number is None else Pool(number)),
        "ports": [*SERVICE_PORTS],
    }
    metadata = {"name": object_names.service(MODEL, track), "labels": object_names.labels(MODEL, "server")}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def tracks(cluster: Cluster, api: Api, stable: int | None = 1, canary: int | None = 2) -> None:
    """Both Services."""
    cluster.apply([service(Track.STABLE, stable), service(Track.CANARY, canary)], api.namespace)


def running(cluster: Cluster, api: Api, grpc: bool = False, **replicas: int) -> None:
    """Versions by `v1=3`: available."""
    for name, wanted in replicas.items():
        cluster.apply([serving(int(name[1:]), wanted, grpc)], api.namespace)
    for name, wanted in replicas.items():
        at = object_names.deployment(MODEL, Pool(int(name[1:])))
        until(lambda at=at: available(cluster.api, api.namespace, at), lambda ready, wanted=wanted: ready == wanted, 60)  # type: ignore[misc]
