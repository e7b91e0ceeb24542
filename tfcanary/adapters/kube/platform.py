"""The ports bound to one model in one namespace. Opening asks nothing of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.kube.deployer import KubeDeployer
from tfcanary.adapters.kube.guards import KubeGuards
from tfcanary.adapters.kube.preflight import KubePreflight
from tfcanary.adapters.kube.records import KubeRecords
from tfcanary.adapters.kube.running_servers import Fleet, TrackServers
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.notices import HttpNotices
from tfcanary.core.domain import Prediction, Request, Sample, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import BucketPlan, Plan
from tfcanary.core.ports import MetricSource, Platform, Storage

if TYPE_CHECKING:
    from tfcanary.adapters.serving.server_client import Client

PREDICT_TIMEOUT = 30.0
"""Seconds for one prediction: TF Serving's own limit for REST."""
EVENTS_PATIENCE = 2.0
"""Seconds for one Event: nobody waits for it."""


def open_kube(uri: str, namespace: str, model: str, plan: Plan) -> Platform:
    """Bind the ports. Raises Refused for a plan that no cluster can follow.

    Without a plan (`Plan()`) record, deployer and router can be read; the rest refuses when it is used, naming what the plan lacks.
    """
    from tfcanary.adapters.routing import open_router
    from tfcanary.adapters.storage import open_storage

    api = Api(namespace)
    fleet = Fleet(api, object_names.check_model(model))
    servers = TrackServers(fleet)
    router = open_router(api, model, plan)
    return Platform(
        uri=uri,
        model=model,
        storage=_bucket(plan.bucket),
        bucket_uri=plan.bucket.canary.rstrip("/"),
        stable_storage=open_storage(plan.bucket.stable) if plan.bucket.stable else None,
        deployer=KubeDeployer(fleet, plan),
        router=router,
        metrics=_metrics(plan, fleet, servers),
        predictor=PodPredictor(servers, model),
        log=NoLog(),
        records=KubeRecords(api, Api(namespace, patience=EVENTS_PATIENCE), model),
        guards=KubeGuards(api, model, plan),
        preflight=KubePreflight(fleet, plan, router),
        notices=HttpNotices(),
        clock=SystemClock(),
    )


def _bucket(plan: BucketPlan) -> Storage:
    from tfcanary.adapters.storage import open_storage

    if not plan.canary:
        return Lacking("bucket.canary: is missing; on a cluster it must be gs://bucket/prefix, or a directory that steps and servers share")
    if not plan.canary.startswith(("gs://", "/")):
        raise Refused(f"bucket.canary {plan.canary!r}: must be gs://bucket/prefix or an absolute path, as the servers read it")
    return open_storage(plan.canary.rstrip("/"))


def _metrics(plan: Plan, fleet: Fleet, servers: TrackServers) -> MetricSource:
    from tfcanary.adapters.kube.counters import open_metrics

    try:
        return open_metrics(plan, fleet, servers)
    except Refused as error:
        return Lacking(str(error))


@dataclass(frozen=True, slots=True)
class Lacking:
    """A storage or metric source that the plan does not name: whoever only reads the record does not need it."""

    why: str

    def list(self, prefix: str = "") -> NoReturn:
        """Raises Refused, as every method does."""
        raise Refused(self.why)

    def read(self, name: str, into: object, generation: int | None = None) -> NoReturn:
        """Raises Refused."""
        raise Refused(self.why)

    def write(self, name: str, content: object, if_generation: int | None = None) -> NoReturn:
        """Raises Refused."""
        raise Refused(self.why)

    def delete(self, name: str, if_generation: int | None = None) -> NoReturn:
        """Raises Refused."""
        raise Refused(self.why)

    def sample(self, track: Track, at: datetime) -> Sample:
        """Raises Refused."""
        raise Refused(self.why)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Raises Refused."""
        raise Refused(self.why)


class PodPredictor:
    """Asks a pod of the track itself, past the split: each in its turn, those that are ready first. May be used by several threads."""

    def __init__(self, servers: TrackServers, model: str) -> None:
        self._servers = servers
        self._model = model
        self._clients: dict[str, Client] = {}
        self._turn = 0

    def predict(self, track: Track, request: Request) -> Prediction:
        """The track's answer. Where a pod does not answer they are listed anew, once; raises Unavailable where that does not help."""
        try:
            return self._next(track).predict(request)
        except Unavailable:
            self._servers.forget(track)
        return self._next(track).predict(request)

    def _next(self, track: Track) -> Client:
        """One client for each pod: its connections stay open."""
        from tfcanary.adapters.serving.server_client import Client

        reachable = self._servers.of(track)
        servers = [one for one in reachable if one.silent] or reachable
        if not servers:
            raise Unavailable(f"the {track.value} track of {self._model} has no pod that could answer")
        self._turn += 1
        server = servers[self._turn % len(servers)]
        if server.rest not in self._clients:
            self._clients[server.rest] = Client(server.rest, server.grpc, self._model, PREDICT_TIMEOUT)
        return self._clients[server.rest]


@dataclass(frozen=True, slots=True)
class NoLog:
    """A stock TF Serving records nothing."""

    def requests(self, limit: int) -> Iterator[Request]:
        """None."""
        return iter(())

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        """None."""
        return iter(())
