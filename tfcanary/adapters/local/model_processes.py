"""The processes of one model: its proxy, the servers of each pool, and the guards of its releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tfcanary.adapters.local.folder import Folder, pool_name
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.processes import Process, RestartingProcess, exit_text, start
from tfcanary.adapters.local.program import Program, python
from tfcanary.adapters.local.proxy import Proxy
from tfcanary.adapters.local.servers import HOST, LAST_REQUEST, ModelServer
from tfcanary.adapters.local.stamps import Stamps
from tfcanary.core.domain import Intent, Pool, Track
from tfcanary.core.errors import Refused, Unavailable

DRAIN = 10.0
"""Seconds that a proxy has for the requests under way when the platform goes down."""
GRACE = 5.0
"""Seconds that everything else has to end by itself."""

Json = dict[str, Any]


class Guard(RestartingProcess):
    """The guard of a release, started again until it ends by itself with exit code 0, or nobody needs it any more."""

    def __init__(self, folder: Folder, program: Program, model: str, run_id: str) -> None:
        super().__init__(f"guard of {model}")
        self.run_id = run_id
        self.needed = True
        """Whether the guard is started again when it fails."""
        arguments = ("--platform", folder.uri, "--model", model, f"--run-id={run_id}")
        self._command = python(program.guard, "guard", *arguments)
        self._output = folder.run(model) / "guard.log"

    async def launch(self) -> Process:
        """Start the guard's process."""
        return start(self._command, self._output)

    def on_exit(self, code: int) -> bool:
        """Note how the guard ended; exit code 0 says that its release needs no guard any more."""
        self.message = f"ended with {exit_text(code)}"
        return code != 0 and self.needed

    async def release(self, grace: float) -> None:
        """Let the guard end by itself within `grace` seconds, and end it then. The guard itself may have asked for it, as its last act."""
        self.needed = False
        if self.process:
            await asyncio.wait([self.process.gone], timeout=grace)
        await self.end(grace)


class Model:
    """The processes of one model, the pool that each track points at, and the stamps of both."""

    def __init__(
        self,
        folder: Folder,
        program: Program,
        forks: Forks,
        name: str,
        port: int,
        stamps: Stamps,
        intent: Intent | None,
        on_change: Callable[[], None],
    ) -> None:
        """`intent` is what the model's record wants now."""
        self.name = name
        self.stamps = stamps
        self.proxy = Proxy(folder, name, port, intent)
        self.servers: dict[Pool, list[ModelServer]] = {}
        self.tracks: dict[Track, Pool] = {}
        self.guards: dict[str, Guard] = {}
        self._folder, self._program, self._forks, self._on_change = folder, program, forks, on_change
        self._releasing: set[asyncio.Task[None]] = set()

    def deploy(self, pool: Pool, uri: str, least: int, intent: Intent) -> None:
        """Start servers of a pool where fewer than `least` run, and stamp the pool. Raises Conflict where a newer intent wrote it."""
        uri = _checked_uri(uri, pool.number)
        running = next(iter(self.servers.get(pool, ())), None)
        if running and running.uri != uri:
            raise Refused(f"{pool} of {self.name} runs from {running.uri} already, not from {uri}: remove it first")
        self.stamps.put_pool(pool, intent)
        self.run(pool, uri, least)

    def run(self, pool: Pool, uri: str, least: int) -> None:
        """Start servers of a pool where fewer than `least` run."""
        servers = self.servers.setdefault(pool, [])
        for number in range(len(servers) + 1, least + 1):
            servers.append(ModelServer(self._folder, self._program, self._forks, self.name, pool, number, uri, self.publish))
            servers[-1].begin()
        self._on_change()

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        """Send a track's requests to a pool's servers, one of which must answer; None: to nobody. Raises Conflict where a newer intent wrote the track.

        A track that points at the pool already is stamped only, whether a server answers or not.
        """
        self.stamps.put_track(track, intent)
        if pool is not None and self.tracks.get(track) != pool:
            servers = self.servers.get(pool)
            if not servers:
                raise Refused(f"{pool} of {self.name} is not deployed: the {track.value} track cannot point at it")
            if all(one.ports is None for one in servers):
                raise Unavailable(f"no server of {pool} of {self.name} answers yet ({servers[0].message or servers[0].state})")
        self.point(track, pool)

    def point(self, track: Track, pool: Pool | None) -> None:
        """Send a track's requests to a pool's servers, which may come up later; None: to nobody."""
        if pool is None:
            self.tracks.pop(track, None)
        else:
            self.tracks[track] = pool
        self.publish()

    def publish(self) -> None:
        """Tell the proxy where each track's servers answer at this moment."""
        self.proxy.point(
            {track: tuple(one.ports for one in self.servers.get(pool, ()) if one.ports) for track, pool in self.tracks.items()}
        )
        self._on_change()

    async def remove(self, pool: Pool, intent: Intent) -> None:
        """Stop a pool's servers after their last request. Raises Conflict where a newer intent deployed the pool, Refused where a track points at it."""
        self.stamps.put_pool(pool, intent)
        tracks = [track.value for track, target in self.tracks.items() if target == pool]
        if tracks:
            raise Refused(f"{pool} of {self.name} is what the {' and the '.join(tracks)} track points at: point it elsewhere first")
        servers = self.servers.pop(pool, [])
        self.stamps.forget(running=self.servers)
        self._on_change()
        await asyncio.gather(*(one.end(LAST_REQUEST + GRACE) for one in servers))

    def guard(self, run_id: str) -> None:
        """Start the guard of a release where it does not run."""
        if not 0 < len(run_id) <= 200 or not run_id.isprintable():
            raise Refused(f"run id {run_id[:200]!r}: must be 1 to 200 printable characters")
        self.guards = {known: guard for known, guard in self.guards.items() if guard.state != "over"}
        if run_id not in self.guards or not self.guards[run_id].needed:
            self.guards[run_id] = Guard(self._folder, self._program, self.name, run_id)
            self.guards[run_id].begin()
        self._on_change()

    def release_guard(self, run_id: str) -> None:
        """Let the guard of a release end, and start it no more; returns without waiting. Nothing to do where there is none."""
        guard = self.guards.get(run_id)
        if guard and guard.needed:
            task = asyncio.get_running_loop().create_task(guard.release(GRACE))
            self._releasing.add(task)  # the event loop itself keeps no task alive
            task.add_done_callback(self._releasing.discard)

    async def end(self) -> None:
        """End everything: guards first, for they would take what follows for a failure; servers last, after the proxy's last request."""
        await asyncio.gather(*(guard.end(GRACE) for guard in self.guards.values()))
        await self.proxy.drain(DRAIN)
        await self.proxy.end(GRACE)
        await asyncio.gather(*(one.end(LAST_REQUEST + GRACE) for servers in self.servers.values() for one in servers))

    def snapshot(self) -> Json:
        """Return all of it as plain values."""
        return {
            "port": self.proxy.port,
            "address": f"http://{HOST}:{self.proxy.port}",
            "admin": self.proxy.admin,
            "proxy": self.proxy.snapshot(),
            "tracks": {track.value: pool_name(pool) for track, pool in self.tracks.items()},
            "stamps": self.stamps.as_json(),
            "servers": [_server_snapshot(pool, one) for pool, servers in sorted(self.servers.items()) for one in servers],
            "guards": [{"run_id": run_id, **guard.snapshot()} for run_id, guard in self.guards.items()],
        }


def _checked_uri(uri: str, number: int) -> str:
    base, _, last = uri.rpartition("/")
    if not base.startswith("/") or last != str(number) or not uri.isprintable():
        raise Refused(f"version uri {uri!r}: must be the absolute path of a directory and end in /{number}")
    return uri


def _server_snapshot(pool: Pool, server: ModelServer) -> Json:
    ports = (
        {"rest": f"http://{HOST}:{server.ports.rest}", "grpc": f"{HOST}:{server.ports.grpc}"} if server.ports else {"rest": "", "grpc": ""}
    )
    # The process id makes a server that was started again another one: its counters begin at 0.
    name = f"{server.name}-{server.process.pid}" if server.process else server.name
    known = {"pool": pool_name(pool), "version": pool.number, "role": pool.role.value, "name": name, "uri": server.uri}
    return {**known, "failed": server.failed, **ports, **server.snapshot()}
