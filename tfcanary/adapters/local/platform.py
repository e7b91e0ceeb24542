"""The ports bound to one model on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.local.deployer import LocalDeployer
from tfcanary.adapters.local.folder import Folder, checked_name
from tfcanary.adapters.local.records import FileRecords
from tfcanary.adapters.local.supervisor_client import ask, is_up
from tfcanary.adapters.notices import HttpNotices
from tfcanary.adapters.routing.envoy import EnvoyRouter
from tfcanary.core.domain import ModelVersion, Prediction, Request, Track, TrafficSplit
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change, Platform, Server
from tfcanary.core.record import Record

if TYPE_CHECKING:
    from tfcanary.adapters.serving.server_client import Client

PREDICT_TIMEOUT = 30.0
"""Seconds for one prediction: as long as the proxy gives it."""
NOBODY = "http://127.0.0.1:0"
"""No process can listen there."""


def open_local(folder: Folder, model: str, plan: Plan) -> Platform:
    """Bind the ports; nothing is asked or started yet. Raises Refused for a plan that this machine cannot follow."""
    from tfcanary.adapters.metrics.objectives import NO_OBJECTIVES
    from tfcanary.adapters.metrics.scrape import ScrapeSource
    from tfcanary.adapters.storage import open_storage

    checked_name(model)
    if plan.metrics.source not in ("", "scrape"):
        raise Refused(f"metrics.source {plan.metrics.source!r}: on the embedded platform it must be `scrape`, the servers' own pages")
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
        # A page that does not answer is asked twice.
        metrics=ScrapeSource(servers.pages, model, timeout=plan.metrics.timeout.total_seconds() / 2),
        predictor=TrackPredictor(servers, model),
        log=LocalLog(folder, model, servers),
        records=records,
        guards=LocalGuards(folder, model),
        preflight=LocalPreflight(),
        notices=HttpNotices(),
        clock=SystemClock(),
    )


def _bucket(folder: Folder, plan: Plan) -> str:
    """A directory as a path, for the servers read it so."""
    asked = plan.bucket.canary.rstrip("/")
    path = unquote(asked.removeprefix("file://")) if asked.startswith("file://") else asked
    if path and not path.startswith("/"):
        raise Refused(f"bucket.canary {asked!r}: servers on this machine read directories only; use an absolute path such as /srv/models")
    return path or str(folder.models)


@dataclass(frozen=True, slots=True)
class Servers:
    """Which server each track's requests go to, as the supervisor says."""

    folder: Folder
    model: str

    def of(self, track: Track) -> tuple[int, Server] | None:
        """The version and its server; None where the track points at nothing."""
        shown = ask(self.folder, "status")["models"].get(self.model, {"tracks": {}, "servers": ()})
        number = shown["tracks"].get(track.value)
        server = next((one for one in shown["servers"] if one["version"] == number), None)
        return (number, Server(server["name"], server["rest"], server["grpc"], available=bool(server["rest"]))) if server else None

    def pages(self, track: Track) -> Mapping[str, str]:
        """Base addresses by server; one where nobody answers while it is being started again."""
        found = self.of(track)
        return {found[1].name: found[1].rest or NOBODY} if found else {}


@dataclass(frozen=True, slots=True)
class LocalRouter:
    """The model's Envoy. While the platform is down nobody gets to the canary, and `up` begins at weight 0."""

    folder: Folder
    model: str

    def split(self) -> TrafficSplit:
        """Read back from Envoy."""
        return self._envoy().split() if is_up(self.folder) else TrafficSplit(canary=0)

    def set_split(self, split: TrafficSplit) -> None:
        """Returns once in force. Raises Unavailable where the canary's server does not answer: its share of the requests would fail."""
        if split.canary:
            self._check_canary()
        elif not is_up(self.folder):
            return
        self._envoy().set_split(split)

    def address(self) -> str:
        """Where users' requests go."""
        return str(ask(self.folder, "open", model=self.model)["address"])

    def _envoy(self) -> EnvoyRouter:
        return EnvoyRouter(self.folder.table(self.model), self._admin, self.address)

    def _admin(self) -> str | None:
        admin: str | None = ask(self.folder, "open", model=self.model)["admin"]
        return admin

    def _check_canary(self) -> None:
        found = Servers(self.folder, self.model).of(Track.CANARY)
        if found is None or not found[1].available:
            what = f"its server for version {found[0]} does not answer" if found else "it points at no version"
            raise Unavailable(f"the canary track of {self.model} gets no weight: {what}")


class TrackPredictor:
    """Asks a track's server itself, past the split; may be used by several threads."""

    def __init__(self, servers: Servers, model: str) -> None:
        self._servers = servers
        self._model = model
        self._clients: dict[str, Client] = {}

    def predict(self, track: Track, request: Request) -> Prediction:
        """The track's answer; raises Unavailable where it has no server that answers."""
        found = self._servers.of(track)
        if found is None or not found[1].available:
            raise Unavailable(f"the {track.value} track of {self._model} has no server that answers")
        return self._client(found[1]).predict(request)

    def _client(self, server: Server) -> Client:
        """One for each process: its connections stay open."""
        from tfcanary.adapters.serving.server_client import Client

        if server.name not in self._clients:
            self._clients[server.name] = Client(server.rest, server.grpc, self._model, PREDICT_TIMEOUT)
        return self._clients[server.name]


@dataclass(frozen=True, slots=True)
class LocalLog:
    """What the model's servers recorded, each in a folder of its own."""

    folder: Folder
    model: str
    servers: Servers

    def requests(self, limit: int) -> Iterator[Request]:
        """At most `limit` requests to the stable track, oldest first; none where nothing was recorded."""
        from tfcanary.adapters.serving.requests import open_requests

        recorded = self._recorded(Track.STABLE)
        if recorded and any(not file.name.startswith(".") for file in recorded.iterdir()):
            yield from open_requests(str(recorded)).requests(limit)

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        """The track's answered requests of these minutes, as Arrow record batches."""
        from tfcanary.adapters.serving.answer_log import record_batches

        recorded = self._recorded(track)
        if recorded:
            yield from record_batches(recorded, since, until)

    def _recorded(self, track: Track) -> Path | None:
        found = self.servers.of(track)
        folder = self.folder.requests(self.model, found[0]) if found else None
        return folder if folder and folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class LocalGuards:
    """Guards below the supervisor: no part of the pipeline's run."""

    folder: Folder
    model: str

    def start(self, run_id: str) -> None:
        """Start the guard of a release where it does not run; it is started again when it dies, and ends with the release."""
        ask(self.folder, "guard", model=self.model, run_id=run_id)

    def stop(self, run_id: str) -> None:
        """Nothing to do: the guard ends with the release, and its supervisor does not start it again after exit code 0."""


@dataclass(frozen=True, slots=True)
class LocalPreflight:
    """Nothing to check or to show: the supervisor owns all that a release touches, and its Envoy can do every weight."""

    def check(self, record: Record) -> None:
        """Nothing here stops a release later."""

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        """Nothing: there are no objects, only processes."""
        return iter(())
