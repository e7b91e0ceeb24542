"""The Deployer of this machine: tells the supervisor what is to run, and asks the servers themselves what does.

While the platform is down nothing runs. What `tfcanary up` brings back counts as deployed then, and what would only stop something is
done already: so a release can be rolled back at any time. The supervisor that comes up stamps everything with what the record wants then.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from typing import Any

from tfcanary.adapters.local.folder import Folder, pool_name, pool_of
from tfcanary.adapters.local.proxy import endpoints_in
from tfcanary.adapters.local.supervisor_client import Down, ask
from tfcanary.adapters.routing.envoy import PATIENCE, WORKERS, ask_admin, cluster
from tfcanary.core.domain import Intent, Pool, RunningPool, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Entrance
from tfcanary.core.ports import Deployment, Records, Server

STATUS_TIMEOUT = 5.0
"""Seconds for a server's GetModelStatus."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LocalDeployer:
    """The servers of one model on this machine."""

    folder: Folder
    model: str
    records: Records

    def deploy(self, pool: RunningPool, intent: Intent) -> None:
        """Start servers of the pool where fewer than its least number run; returns without waiting."""
        try:
            self._ask("deploy", pool=pool_name(pool.pool), uri=pool.version.uri, least=pool.least, intent=intent.stamp())
        except Down:
            if pool.pool != self._restored_pool():
                raise

    def scale(self, pool: RunningPool, intent: Intent) -> None:
        """Do nothing: no pool on this machine has an autoscaler."""

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        """Point a track at a pool, of which a server must be available unless the track points at it already; returns once Envoy sends requests there."""
        try:
            if pool is not None and self._tracks().get(track) != pool:
                self._check_available(pool)
            self._ask("assign", track=track.value, pool=pool_name(pool) if pool else None, intent=intent.stamp())
        except Down:
            if pool == self.observe().tracks.get(track):
                return
            raise
        self._await_in_force(track)

    def remove(self, pool: Pool, intent: Intent) -> None:
        """Stop a pool's servers after their last request; raises Refused where a track points at it, Conflict where a newer intent deployed it."""
        try:
            self._ask("remove", pool=pool_name(pool), intent=intent.stamp())
        except Down:
            if pool == self._restored_pool():
                raise Refused(f"{pool} of {self.model} is the stable version") from None

    def observe(self, pool: Pool | None = None) -> Deployment:
        """Return what runs, asked of the servers by gRPC (a GET over REST would count as a request); while the platform is down, what `up` brings back."""
        try:
            model = self._snapshot()
        except Down as error:
            return self._observe_down(pool, str(error))
        found: dict[Pool, tuple[Server, ...]] = {}
        for one in model["servers"]:
            known = pool_of(one["pool"])
            if pool in (None, known):
                found[known] = (*found.get(known, ()), self._server(one))
        stamps = {Track(track): Intent.of_stamp(text) for track, text in model["stamps"]["tracks"].items()}
        return Deployment(
            servers=found,
            tracks={Track(track): pool_of(name) for track, name in model["tracks"].items()},
            stamps={track: stamp for track, stamp in stamps.items() if stamp is not None},
        )

    def stable_outage(self) -> Server | None:
        """Return a server of the stable version with the reason why users get no answer; None where they get one, or nothing is stable."""
        running = self.observe()
        pool = running.tracks.get(Track.STABLE)
        for server in running.servers.get(pool, ()) if pool else ():
            if not server.available:
                return server
            if not self._is_in_force(Track.STABLE):
                return replace(server, message="the proxy does not send requests there yet")
        return None

    def _observe_down(self, pool: Pool | None, message: str) -> Deployment:
        stable = self._restored_pool()
        if stable is None:
            return Deployment()
        server = Server(f"{self.model}-v{pool_name(stable)}", "", "", available=False, message=message)
        return Deployment({stable: (server,)} if pool in (None, stable) else {}, {Track.STABLE: stable})

    def _restored_pool(self) -> Pool | None:
        """The pool that `up` brings back while the platform is down."""
        stored = self.records.read()
        return Pool(stored.record.stable.number) if stored and stored.record.stable else None

    def _ask(self, do: str, **of: Any) -> Json:
        answer: Json = ask(self.folder, do, model=self.model, **of)
        return answer

    def _snapshot(self) -> Json:
        """The model's processes as the supervisor knows them; nothing for a model that it does not run."""
        nothing: Json = {"servers": (), "tracks": {}, "stamps": {"tracks": {}}, "admin": None}
        model: Json = ask(self.folder, "status")["models"].get(self.model, nothing)
        return model

    def _tracks(self) -> dict[Track, Pool]:
        return {Track(track): pool_of(name) for track, name in self._snapshot()["tracks"].items()}

    def _check_available(self, pool: Pool) -> None:
        servers = self.observe(pool).servers.get(pool, ())
        if servers and not any(one.available for one in servers):
            raise Unavailable(f"server {servers[0].name} is not available for {pool}: {servers[0].message}")

    def _server(self, snapshot: Json) -> Server:
        from tfcanary.adapters.serving.server_client import Client

        server = Server(name=snapshot["name"], rest=snapshot["rest"], grpc=snapshot["grpc"], available=False)
        if not server.grpc:
            return replace(server, message=snapshot["message"] or snapshot["state"], failed=snapshot["failed"])
        try:
            with Client(server.rest, server.grpc, self.model, STATUS_TIMEOUT) as client:
                status = client.status(snapshot["version"])
        except Unavailable as error:
            return replace(server, message=str(error))
        if status is None:
            return replace(server, message=f"does not know version {snapshot['version']}")
        if status.state == "AVAILABLE":
            return replace(server, available=True)
        message = f"{status.state} {status.code} {status.message}".strip()
        return replace(server, message=message, failed=status.state == "END" and status.code != "OK")

    def _await_in_force(self, track: Track) -> None:
        """Read the track's endpoints back from Envoy; where none runs, the next one begins with the same files."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_in_force(track):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the proxy of {self.model} does not send the {track.value} track's requests where it should after {PATIENCE:.0f} s"
                )
            time.sleep(random.uniform(0.002, 0.01))
        time.sleep(WORKERS)

    def _is_in_force(self, track: Track) -> bool:
        model = self._snapshot()
        servers = [one for one in model["servers"] if one["pool"] == model["tracks"].get(track.value)]
        wanted = [{int(one[entrance].rpartition(":")[2]) for one in servers if one[entrance]} for entrance in ("rest", "grpc")]
        if model["admin"] is None:
            return True
        try:
            dump = json.loads(ask_admin(model["admin"], "/clusters?format=json"))
        except Unavailable:
            return False
        return [endpoints_in(dump, cluster(track, entrance)) for entrance in Entrance] == wanted
