"""The ports of one model, bound to this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.local.deployer import LocalDeployer
from tfcanary.adapters.local.folder import Folder, checked_name, pool_of
from tfcanary.adapters.local.records import FileRecords
from tfcanary.adapters.local.supervisor_client import Down, ask, check_up
from tfcanary.adapters.notices import HttpNotices
from tfcanary.adapters.routing.envoy import EnvoyRouter, RouteTable, refuse_unsupported
from tfcanary.adapters.signing_keys import own_signer
from tfcanary.core.domain import Intent, ModelVersion, Pool, Prediction, Request, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change, Platform, Server
from tfcanary.core.record import Record

if TYPE_CHECKING:
    from tfcanary.adapters.serving.server_client import Client

PREDICT_TIMEOUT = 30.0
"""Seconds for one prediction: the time limit of the proxy."""
NOBODY = "http://127.0.0.1:0"
"""An address at which no process can listen."""


def open_local(folder: Folder, model: str, plan: Plan) -> Platform:
    """Bind the ports without asking or starting anything. Raises Refused for a plan that this machine cannot follow."""
    from tfcanary.adapters.metrics.objectives import NO_OBJECTIVES
    from tfcanary.adapters.metrics.scrape import ScrapeSource
    from tfcanary.adapters.storage import open_storage

    checked_name(model)
    if plan.metrics.source not in ("", "scrape"):
        raise Refused(f"metrics.source {plan.metrics.source!r}: on the embedded platform it must be `scrape`, the servers' own pages")
    if plan.scaling:
        raise Refused("scaling: needs a cluster's autoscaler, and the embedded platform has none; leave it out")
    if plan.judge.selectors:
        raise Refused(NO_OBJECTIVES)
    bucket = _bucket(folder, plan)
    records = FileRecords(folder.record(model))
    deployer = LocalDeployer(folder, model, records)
    servers = Servers(folder, model)
    return Platform(
        uri=folder.uri,
        model=model,
        storage=open_storage(bucket),
        bucket_uri=bucket,
        stable_storage=open_storage(plan.bucket.stable) if plan.bucket.stable else None,
        deployer=deployer,
        router=LocalRouter(folder, model),
        # A page that does not answer is asked twice within the plan's time.
        metrics=ScrapeSource(servers.pages, model, timeout=plan.metrics.timeout.total_seconds() / 2),
        predictor=TrackPredictor(servers, model),
        log=LocalLog(folder, model, servers),
        records=records,
        guards=LocalGuards(folder, model),
        preflight=LocalPreflight(folder),
        notices=HttpNotices(),
        clock=SystemClock(),
        signer=own_signer(),
    )


def _bucket(folder: Folder, plan: Plan) -> str:
    """The bucket as a path, for that is what the servers read."""
    uri = plan.bucket.canary.rstrip("/")
    path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    if path and not path.startswith("/"):
        raise Refused(f"bucket.canary {uri!r}: servers on this machine read directories only; use an absolute path such as /srv/models")
    return path or str(folder.models)


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers behind each track, as the supervisor says."""

    folder: Folder
    model: str

    def of(self, track: Track) -> tuple[Pool, tuple[Server, ...]] | None:
        """Return the pool that a track points at and its servers; None where the track points at nothing."""
        model = ask(self.folder, "status")["models"].get(self.model, {"tracks": {}, "servers": ()})
        name = model["tracks"].get(track.value)
        found = [one for one in model["servers"] if one["pool"] == name]
        return (pool_of(name), tuple(Server(one["name"], one["rest"], one["grpc"], bool(one["rest"])) for one in found)) if found else None

    def pages(self, track: Track) -> Mapping[str, str]:
        """Return base addresses by server; a server that is just being started again has an address at which nobody answers."""
        target = self.of(track)
        return {one.name: one.rest or NOBODY for one in target[1]} if target else {}


@dataclass(frozen=True, slots=True)
class LocalRouter:
    """The model's Envoy. Where none runs nobody reaches the canary: while the platform is down, and before the model's first release."""

    folder: Folder
    model: str

    def traffic(self) -> Traffic:
        """Return the traffic in force, read back from Envoy."""
        return self._envoy().traffic() if self._has_proxy() else Traffic()

    def stamp(self) -> Intent | None:
        """Return the intent of the last write to the route table; None where there is none."""
        return self._table().read()[1]

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        """Return once the traffic is in force.

        Raises Refused for what this router cannot route, Conflict where a newer intent has written, Unavailable where a server whose share
        would rise does not answer: its share of the requests would fail. For weight 0 no Envoy, no server and no supervisor is needed.
        """
        refuse_unsupported(traffic)
        if traffic != Traffic():
            self._check_servers(traffic)
        elif not self.folder.table(self.model).parent.is_dir():
            return  # no Envoy of this model ever ran: there is no route
        # Written before the supervisor is asked: Envoy reads the table even where the supervisor hangs.
        stamp = self._table().write(traffic, intent)
        if self._has_proxy():
            self._envoy().await_in_force(traffic, stamp)

    def address(self) -> str:
        """Return the address of users' requests."""
        return str(ask(self.folder, "open", model=self.model)["address"])

    def _envoy(self) -> EnvoyRouter:
        return EnvoyRouter(self._table(), self._admin, self.address)

    def _table(self) -> RouteTable:
        return RouteTable(self.folder.table(self.model))

    def _has_proxy(self) -> bool:
        """Whether the supervisor keeps an Envoy for this model, which may be starting at the moment."""
        try:
            return self.model in ask(self.folder, "status")["models"]
        except Down:
            return False

    def _admin(self) -> str | None:
        admin: str | None = ask(self.folder, "status")["models"].get(self.model, {"admin": None})["admin"]
        return admin

    def _check_servers(self, traffic: Traffic) -> None:
        """Raises Unavailable where no Envoy of the model runs, or a track whose share rises has no server that answers."""
        if not self._has_proxy():
            check_up(self.folder)
            raise Unavailable(f"{self.model} gets no traffic {traffic}: nothing of it runs")
        before = self._table().read()[0] or Traffic()
        for track in (Track.CANARY, Track.BASELINE):
            if traffic.of(track) <= before.of(track):
                continue
            target = Servers(self.folder, self.model).of(track)
            if target is None or not any(one.available for one in target[1]):
                what = f"no server of {target[0]} answers" if target else "it points at no version"
                raise Unavailable(f"the {track.value} track of {self.model} gets no weight: {what}")


class TrackPredictor:
    """A Predictor that asks a track's servers themselves, past the proxy and in turn; several threads may use it."""

    def __init__(self, servers: Servers, model: str) -> None:
        self._servers = servers
        self._model = model
        self._clients: dict[str, Client] = {}
        self._turn = 0

    def predict(self, track: Track, request: Request) -> Prediction:
        """Return the track's answer; raises Unavailable where the track has no server that answers."""
        target = self._servers.of(track)
        available = [one for one in target[1] if one.available] if target else []
        if not available:
            raise Unavailable(f"the {track.value} track of {self._model} has no server that answers")
        self._turn += 1
        return self._client(available[self._turn % len(available)]).predict(request)

    def _client(self, server: Server) -> Client:
        """One client for each process, whose connections stay open."""
        from tfcanary.adapters.serving.server_client import Client

        if server.name not in self._clients:
            self._clients[server.name] = Client(server.rest, server.grpc, self._model, PREDICT_TIMEOUT)
        return self._clients[server.name]


@dataclass(frozen=True, slots=True)
class LocalLog:
    """The request logs of the model's servers, with a folder for each pool."""

    folder: Folder
    model: str
    servers: Servers

    def requests(self, limit: int) -> Iterator[Request]:
        """Yield at most `limit` requests to the stable track, oldest first; none where nothing was recorded."""
        from tfcanary.adapters.serving.requests import open_requests

        recorded = self._recorded(Track.STABLE)
        if recorded and any(not file.name.startswith(".") for file in recorded.iterdir()):
            yield from open_requests(str(recorded)).requests(limit)

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        """Yield the track's answered requests of this time as Arrow record batches."""
        from tfcanary.adapters.serving.answer_log import record_batches

        recorded = self._recorded(track)
        if recorded:
            yield from record_batches(recorded, since, until)

    def _recorded(self, track: Track) -> Path | None:
        target = self.servers.of(track)
        folder = self.folder.requests(self.model, target[0]) if target else None
        return folder if folder and folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class LocalGuards:
    """The guards of releases: processes of the supervisor, which are no part of the pipeline's run."""

    folder: Folder
    model: str

    def start(self, run_id: str) -> None:
        """Start the guard of a release where it does not run; it is started again when it dies, and ends by itself some minutes after the release."""
        ask(self.folder, "guard", model=self.model, run_id=run_id)

    def stop(self, run_id: str) -> None:
        """Let the guard of a release end, and start it no more; nothing to do where none runs. Returns without waiting, for the guard itself may call it."""
        try:
            ask(self.folder, "release_guard", model=self.model, run_id=run_id)
        except Down:
            return


@dataclass(frozen=True, slots=True)
class LocalPreflight:
    """The check before the first write: a release needs the supervisor, which owns all that a release touches."""

    folder: Folder

    def check(self, record: Record) -> None:
        """Raises Unavailable, with the command that helps, where the platform is down."""
        check_up(self.folder)

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        """Return nothing: there are no objects here, only processes."""
        return iter(())
