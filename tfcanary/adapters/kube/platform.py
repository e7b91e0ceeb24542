"""The ports bound to one model in one namespace. Opening a platform asks nothing of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.kube.deployer import KubeDeployer
from tfcanary.adapters.kube.guards import KubeGuards
from tfcanary.adapters.kube.preflight import NO_BUCKET, KubePreflight
from tfcanary.adapters.kube.records import KubeRecords
from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.notices import HttpNotices
from tfcanary.adapters.signing_keys import own_signer
from tfcanary.core.domain import Prediction, Request, Sample, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import BucketPlan, Plan
from tfcanary.core.ports import MetricSource, Platform, Storage

if TYPE_CHECKING:
    from tfcanary.adapters.serving.server_client import Client

PREDICT_TIMEOUT = 30.0
"""Seconds for one prediction: TF Serving's own limit for REST."""
EVENTS_PATIENCE = 2.0
"""Seconds for which an Event is tried to be written: nobody waits for one."""


def open_kube(uri: str, namespace: str, model: str, plan: Plan) -> Platform:
    """Bind the ports. Raises Refused for a plan that no cluster can follow, such as one with a router that is not known.

    Without a plan (`Plan()`) record, deployer and router can be read; the rest refuses when it is used, naming what the plan lacks.
    """
    from tfcanary.adapters.routing import open_router
    from tfcanary.adapters.storage import open_storage

    api = Api(namespace)
    running = RunningServers(api, object_names.valid_model(model))
    servers = TrackServers(running)
    router, storage = open_router(api, model, plan), _bucket(plan.bucket)
    return Platform(
        uri=uri,
        model=model,
        storage=storage,
        bucket_uri=plan.bucket.canary.rstrip("/"),
        stable_storage=open_storage(plan.bucket.stable) if plan.bucket.stable else None,
        deployer=KubeDeployer(running, plan, servers),
        router=router,
        metrics=_metrics(plan, running, servers),
        predictor=PodPredictor(servers, model),
        log=NoLog(),
        records=KubeRecords(api, Api(namespace, patience=EVENTS_PATIENCE), model),
        guards=KubeGuards(api, model, plan),
        preflight=KubePreflight(running, plan, router, storage),
        notices=HttpNotices(),
        clock=SystemClock(),
        signer=own_signer(),
    )


def _bucket(plan: BucketPlan) -> Storage:
    from tfcanary.adapters.storage import open_storage

    if not plan.canary:
        return Lacking(NO_BUCKET)
    if not plan.canary.startswith(("gs://", "s3://", "/")):
        raise Refused(f"bucket.canary {plan.canary!r}: must be gs://bucket/prefix, s3://bucket/prefix or an absolute path, on a cluster")
    return open_storage(plan.canary.rstrip("/"))


def _metrics(plan: Plan, running: RunningServers, servers: TrackServers) -> MetricSource:
    from tfcanary.adapters.kube.counters import open_metrics

    try:
        return open_metrics(plan, running, servers)
    except Refused as error:
        return Lacking(str(error))


@dataclass(frozen=True, slots=True)
class Lacking:
    """The place of a storage or metric source that the plan does not name: whoever only reads the record does not need one."""

    why: str

    def list(self, prefix: str = "") -> NoReturn:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)

    def read(self, name: str, into: object, generation: int | None = None) -> NoReturn:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)

    def write(self, name: str, content: object, if_generation: int | None = None) -> NoReturn:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)

    def delete(self, name: str, if_generation: int | None = None) -> NoReturn:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)

    def sample(self, track: Track, at: datetime) -> Sample:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Raises Refused, as every method of this class does."""
        raise Refused(self.why)


class PodPredictor:
    """Sends requests to the pods of a track themselves, past the router, in turn, and to those that are ready first. Several threads may use it."""

    def __init__(self, servers: TrackServers, model: str) -> None:
        self._servers = servers
        self._model = model
        self._clients: dict[str, Client] = {}
        self._turn = 0

    def predict(self, track: Track, request: Request) -> Prediction:
        """The track's answer. Where a pod does not answer, the pods are listed again, once. Raises Unavailable where that does not help."""
        try:
            return self._next(track).predict(request)
        except Unavailable:
            self._servers.forget(track)
        return self._next(track).predict(request)

    def _next(self, track: Track) -> Client:
        """The next pod's client, of which each pod has one: its connections stay open."""
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
    """The request log of a stock TF Serving, which records nothing."""

    def requests(self, limit: int) -> Iterator[Request]:
        """Yield nothing: a stock TF Serving records nothing."""
        return iter(())

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        """Yield nothing: a stock TF Serving records nothing."""
        return iter(())
