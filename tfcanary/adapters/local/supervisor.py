"""The supervisor: the one process below which everything on this machine runs, and with which everything ends.

Started detached by `up`; asked over its socket by short-lived steps; one thread, so that its children are tied to
its life. It begins again from the records: stable versions, at weight 0, whatever an old table says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.folder import Folder, checked_name
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.logs import keep_short
from tfcanary.adapters.local.model_processes import Model
from tfcanary.adapters.local.program import Program
from tfcanary.adapters.local.records import FileRecords
from tfcanary.adapters.local.servers import HOST
from tfcanary.adapters.local.supervisor_client import LINE, SOCKET
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.core.domain import NAME, Track
from tfcanary.core.errors import Refused, TfcanaryError

DEFAULT_PORT = 8600
PORT_PATIENCE = 2.0
"""Seconds that a port may still be held by a proxy whose supervisor was killed this moment."""
PROXY_UP = 10.0
"""Seconds until a proxy takes requests, else it never will."""

Json = dict[str, Any]
log = logging.getLogger("tfcanary.local")


class Supervisor:
    """All models of a state folder."""

    def __init__(self, folder: Folder, port: int, program: Program) -> None:
        self._folder = folder
        self._program = program
        before = _remembered(folder)
        self._port = port or before.get("port") or DEFAULT_PORT
        self._ports: dict[str, int] = before.get("ports", {}) if self._port == before.get("port") else {}
        self._models: dict[str, Model] = {}
        self._forks = Forks(program.preload, folder.root / "forks.log")
        self._opening = asyncio.Lock()
        self._enough = asyncio.Event()
        self._asked: set[asyncio.StreamWriter] = set()

    async def begin(self, asked_port: bool) -> asyncio.Server:
        """Start again what the records say, and listen. Raises Refused where a port is in use or a record is another version's."""
        if asked_port and not self._ports:
            await _free(self._port)
        self._forks.begin()
        for path in sorted(self._folder.records.glob("*.json")):
            if NAME.fullmatch(path.stem):
                await self._again(path.stem)
        self._changed()
        return await asyncio.start_unix_server(self._conversation, sock=_bound(), limit=LINE)

    async def _again(self, name: str) -> None:
        """A model as its record has it: the stable version gets all requests; a release on the road gets its guard back."""
        stored = FileRecords(self._folder.record(name)).read()
        model = await self._model(name)
        if stored and stored.record.stable:
            model.deploy(stored.record.stable.number, stored.record.stable.uri)
            model.point(Track.STABLE, stored.record.stable.number)
        release = stored.record.active if stored else None
        if release and release.guard_seen:
            model.guard(release.run_id)

    async def run(self) -> None:
        """Until SIGTERM or `down`; then everything is ended, in order."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._enough.set)
        logs = asyncio.get_running_loop().create_task(keep_short(self._folder))
        await self._enough.wait()
        logs.cancel()
        await self.end()
        for writer in self._asked:
            await _reply(writer, {"ok": None})

    async def end(self) -> None:
        """End everything that was begun."""
        await asyncio.gather(*(model.end() for model in self._models.values()))
        await self._forks.end(0.0)
        self._models.clear()
        self._changed()
        Path(SOCKET).unlink(missing_ok=True)

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not line:
            writer.close()
            return
        question = json.loads(line)
        if question["do"] == "down":  # answered when everything has ended
            self._asked.add(writer)
            self._enough.set()
            return
        await _reply(writer, await self._answer(question))

    async def _answer(self, question: Json) -> Json:
        try:
            return {"ok": await self._done(**question)}
        except Refused as error:
            return {"refused": str(error)}
        except (TfcanaryError, OSError) as error:
            return {"unavailable": str(error)}

    async def _done(self, do: str, model: str = "", **of: Any) -> Any:
        if do == "status":
            return self._shown()
        asked = await self._model(model)
        match do:
            case "deploy":
                asked.deploy(of["number"], of["uri"])
            case "assign":
                asked.assign(Track(of["track"]), of["number"])
            case "remove":
                await asked.remove(of["number"])
            case "guard":
                asked.guard(of["run_id"])
        return asked.shown()

    async def _model(self, name: str) -> Model:
        """The model, with a proxy that takes requests or is being started again."""
        async with self._opening:
            if name not in self._models:
                self._models[name] = await self._opened(checked_name(name))
        return self._models[name]

    async def _opened(self, name: str) -> Model:
        port = self._ports.get(name) or self._next_free()
        await _free(port)
        self._ports[name] = port
        model = Model(self._folder, self._program, self._forks, name, port, self._changed)
        model.proxy.begin()
        await _up(model)
        return model

    def _next_free(self) -> int:
        for port in range(self._port, 65536):
            if port not in self._ports.values() and _is_free(port):
                return port
        raise Refused(f"no port from {self._port} to 65535 is free")

    def _shown(self) -> Json:
        models = {name: model.shown() for name, model in self._models.items()}
        return {"pid": os.getpid(), "port": self._port, "ports": self._ports, "forks": self._forks.shown(), "models": models}

    def _changed(self) -> None:
        try:
            write_aside(self._folder.state, json.dumps(self._shown(), indent=1))
        except OSError as error:  # a note for people and for the next supervisor; what runs does not depend on it
            log.warning("%s is not up to date: %s", self._folder.state, error)


def _bound() -> socket.socket:
    """The socket, for its owner only; by its bare name from the state folder, for a socket's path has at most 107 bytes."""
    Path(SOCKET).unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    others = os.umask(0o177)
    try:
        bound.bind(SOCKET)
    finally:
        os.umask(others)
    return bound


async def _reply(writer: asyncio.StreamWriter, answer: Json) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    try:
        await writer.drain()
        writer.close()
    except ConnectionError:
        log.warning("who asked did not wait for the answer")


async def _up(model: Model) -> None:
    deadline = asyncio.get_running_loop().time() + PROXY_UP
    while model.proxy.admin is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)


async def _free(port: int) -> None:
    deadline = asyncio.get_running_loop().time() + PORT_PATIENCE
    while not _is_free(port):
        if asyncio.get_running_loop().time() > deadline:
            raise Refused(f"port {port} is in use by another process: free it, or name another one with --port")
        await asyncio.sleep(0.05)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _remembered(folder: Folder) -> Json:
    """What an earlier supervisor wrote: only its ports are taken over, for users know them."""
    try:
        before = json.loads(Path(folder.state).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {name: before[name] for name in ("port", "ports")}
