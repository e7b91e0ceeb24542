"""The Deployer of this machine: says to the supervisor what is to run, and asks the servers themselves what does."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.proxy import endpoints_in
from tfcanary.adapters.local.supervisor_client import Down, ask
from tfcanary.adapters.routing.envoy import PATIENCE, WORKERS, ask_admin, clusters
from tfcanary.core.domain import ModelVersion, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.ports import Deployment, Records, Server

STATUS_TIMEOUT = 5.0
"""Seconds for a server's GetModelStatus."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LocalDeployer:
    """One model's servers. While the platform is down nothing runs, and what would only stop something is done already."""

    folder: Folder
    model: str
    records: Records

    def deploy(self, version: ModelVersion, capacity: Track = Track.CANARY) -> None:
        """Start the version's server where it does not run; returns without waiting. One server is enough for either track."""
        ask(self.folder, "deploy", model=self.model, number=version.number, uri=version.uri)

    def assign(self, track: Track, number: int | None) -> None:
        """Point a track at a version's server, which must be available; returns once Envoy sends requests there."""
        try:
            if number is not None:
                self._check_available(number)
            ask(self.folder, "assign", model=self.model, track=track.value, number=number)
        except Down:
            if number == self._resting().get(track):
                return
            raise
        self._wait_in_force(track)

    def remove(self, number: int) -> None:
        """Stop a version's server after its last request; Refused where a track points at it."""
        try:
            ask(self.folder, "remove", model=self.model, number=number)
        except Down:
            if number in self._resting().values():
                raise Refused(f"version {number} of {self.model} is the stable version") from None

    def observe(self, number: int | None = None) -> Deployment:
        """What runs, asked of the servers by gRPC (a GET over REST would count as a request); while the platform is down, what `up` brings back."""
        try:
            shown = ask(self.folder, "status")["models"].get(self.model)
        except Down:
            return Deployment(tracks=self._resting())
        if shown is None:
            return Deployment()
        servers = {one["version"]: (self._server(one),) for one in shown["servers"] if number in (None, one["version"])}
        return Deployment(servers=servers, tracks={Track(track): number for track, number in shown["tracks"].items()})

    def _resting(self) -> Mapping[Track, int]:
        """Where the tracks will point when the platform is up again."""
        stored = self.records.read()
        return {Track.STABLE: stored.record.stable.number} if stored and stored.record.stable else {}

    def _check_available(self, number: int) -> None:
        servers = self.observe(number).servers.get(number, ())
        unready = next((s for s in servers if not s.available), None)
        if unready:
            raise Unavailable(f"server {unready.name} is not available for version {number}: {unready.message}")

    def _server(self, shown: Json) -> Server:
        from tfcanary.adapters.serving.server_client import Client

        known = Server(name=shown["name"], rest=shown["rest"], grpc=shown["grpc"], available=False)
        if not known.grpc:
            return replace(known, message=shown["message"] or shown["state"], failed=shown["failed"])
        try:
            with Client(known.rest, known.grpc, self.model, STATUS_TIMEOUT) as client:
                said = client.status(shown["version"])
        except Unavailable as error:
            return replace(known, message=str(error))
        if said is None:
            return replace(known, message=f"does not know version {shown['version']}")
        if said.state == "AVAILABLE":
            return replace(known, available=True)
        message = f"{said.state} {said.code} {said.message}".strip()
        return replace(known, message=message, failed=said.state == "END" and said.code != "OK")

    def _wait_in_force(self, track: Track) -> None:
        """Read back from Envoy, as the split is; where none runs, the next one begins with the same file."""
        deadline = time.monotonic() + PATIENCE
        while not self._in_force(track):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the proxy of {self.model} does not send the {track.value} track's requests where it should after {PATIENCE:.0f} s"
                )
            time.sleep(random.uniform(0.002, 0.01))
        time.sleep(WORKERS)

    def _in_force(self, track: Track) -> bool:
        shown = ask(self.folder, "open", model=self.model)
        number = shown["tracks"].get(track.value)
        server = next((one for one in shown["servers"] if one["version"] == number), {"rest": "", "grpc": ""})
        wanted = [{int(at.rpartition(":")[2])} if at else set() for at in (server["rest"], server["grpc"])]
        if shown["admin"] is None:
            return True
        try:
            dump = json.loads(ask_admin(shown["admin"], "/clusters?format=json"))
        except Unavailable:
            return False
        return [endpoints_in(dump, name) for name in clusters(track)] == wanted
