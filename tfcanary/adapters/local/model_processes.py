"""What runs for one model: its proxy, a server for each version, and the guard of its release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.processes import Kept, Process, start, words
from tfcanary.adapters.local.program import Program, python
from tfcanary.adapters.local.proxy import Proxy
from tfcanary.adapters.local.servers import HOST, LAST_REQUEST, ModelServer
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable

DRAIN = 10.0
"""Seconds that a proxy gets for the requests under way when the platform goes down."""
GRACE = 5.0
"""Seconds that everything else gets to end by itself."""

Json = dict[str, Any]


class Guard(Kept):
    """Keeps the guard of a release running until it ends by itself, with exit code 0."""

    def __init__(self, folder: Folder, program: Program, model: str, run_id: str) -> None:
        super().__init__(f"guard of {model}")
        self.run_id = run_id
        arguments = ("--platform", folder.uri, "--model", model, f"--run-id={run_id}")
        self._command = python(program.guard, "guard", *arguments)
        self._output = folder.run(model) / "guard.log"

    async def launch(self) -> Process:
        """Start it."""
        return start(self._command, self._output)

    def ended(self, code: int) -> bool:
        """Only exit code 0 says that the release has ended."""
        self.message = f"ended with {words(code)}"
        return code != 0


class Model:
    """The processes of one model, and which version's server each track's requests go to."""

    def __init__(self, folder: Folder, program: Program, forks: Forks, name: str, port: int, changed: Callable[[], None]) -> None:
        self.name = name
        self.proxy = Proxy(folder, name, port)
        self.servers: dict[int, ModelServer] = {}
        self.tracks: dict[Track, int] = {}
        self.guards: dict[str, Guard] = {}
        self._folder, self._program, self._forks, self._changed = folder, program, forks, changed

    def deploy(self, number: int, uri: str) -> None:
        """Start a version's server where it does not run."""
        uri = _checked_uri(uri, number)
        running = self.servers.get(number)
        if running and running.uri != uri:
            raise Refused(f"version {number} of {self.name} runs from {running.uri} already, not from {uri}: remove it first")
        if running is None:
            self.servers[number] = ModelServer(self._folder, self._program, self._forks, self.name, number, uri, self.publish)
            self.servers[number].begin()
        self._changed()

    def assign(self, track: Track, number: int | None) -> None:
        """Send a track's requests to a version's server, which must answer; None: to nobody."""
        server = self.servers.get(number) if number is not None else None
        if number is not None and server is None:
            raise Refused(f"version {number} of {self.name} is not deployed: the {track.value} track cannot point at it")
        if server and server.ports is None:
            raise Unavailable(f"the server of version {number} of {self.name} does not answer yet ({server.message or server.state})")
        self.point(track, number)

    def point(self, track: Track, number: int | None) -> None:
        """The same for a server that may come up later."""
        if number is None:
            self.tracks.pop(track, None)
        else:
            self.tracks[track] = number
        self.publish()

    def publish(self) -> None:
        """Tell the proxy where each track's server answers at this moment."""
        for track in Track:
            server = self.servers.get(self.tracks.get(track, 0))
            self.proxy.point(track, server.ports if server else None)
        self._changed()

    async def remove(self, number: int) -> None:
        """Stop a version's server after its last request."""
        pointing = [track.value for track, pointed in self.tracks.items() if pointed == number]
        if pointing:
            raise Refused(
                f"version {number} of {self.name} is what the {' and the '.join(pointing)} track points at: point it elsewhere first"
            )
        server = self.servers.pop(number, None)
        if server:
            await server.end(LAST_REQUEST + GRACE)
        self._changed()

    def guard(self, run_id: str) -> None:
        """Start the guard of a release where it does not run."""
        if not 0 < len(run_id) <= 200 or not run_id.isprintable():
            raise Refused(f"run id {run_id[:200]!r}: must be 1 to 200 printable characters")
        self.guards = {known: guard for known, guard in self.guards.items() if guard.state != "over"}
        if run_id not in self.guards:
            self.guards[run_id] = Guard(self._folder, self._program, self.name, run_id)
            self.guards[run_id].begin()
        self._changed()

    async def end(self) -> None:
        """Everything down: guards first, for they would take what follows for a failure; servers last, after the proxy's last request."""
        await asyncio.gather(*(guard.end(GRACE) for guard in self.guards.values()))
        await self.proxy.drain(DRAIN)
        await self.proxy.end(GRACE)
        await asyncio.gather(*(server.end(LAST_REQUEST + GRACE) for server in self.servers.values()))

    def shown(self) -> Json:
        """All of it as plain values."""
        return {
            "port": self.proxy.port,
            "address": f"http://{HOST}:{self.proxy.port}",
            "admin": self.proxy.admin,
            "proxy": self.proxy.shown(),
            "tracks": {track.value: number for track, number in self.tracks.items()},
            "servers": [_shown_server(number, server) for number, server in sorted(self.servers.items())],
            "guards": [{"run_id": run_id, **guard.shown()} for run_id, guard in self.guards.items()],
        }


def _checked_uri(uri: str, number: int) -> str:
    base, _, last = uri.rpartition("/")
    if not base.startswith("/") or last != str(number) or not uri.isprintable():
        raise Refused(f"version uri {uri!r}: must be the absolute path of a directory and end in /{number}")
    return uri


def _shown_server(number: int, server: ModelServer) -> Json:
    ports = (
        {"rest": f"http://{HOST}:{server.ports.rest}", "grpc": f"{HOST}:{server.ports.grpc}"} if server.ports else {"rest": "", "grpc": ""}
    )
    # The process id makes a server that was started again another one: its counters begin at 0.
    name = f"{server.name}-{server.process.pid}" if server.process else server.name
    return {"version": number, "name": name, "uri": server.uri, "failed": server.failed, **ports, **server.shown()}
