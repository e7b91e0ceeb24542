"""The supervisor: the one process below which everything on this machine runs, and with which everything ends.

`up` starts it detached, and short-lived steps ask it over its socket. It has one thread, so that its children are tied to its life and
each command is carried out before the next one is read: that lock is what the stamps of tracks and pools rest on (`stamps.py`). A
supervisor that comes up begins again from the records: stable versions, weight 0, and the guards of active releases.
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

from tfcanary.adapters.local.folder import Folder, checked_name, pool_of
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.logs import limit_logs
from tfcanary.adapters.local.model_processes import Model
from tfcanary.adapters.local.program import Program
from tfcanary.adapters.local.records import FileRecords
from tfcanary.adapters.local.servers import HOST
from tfcanary.adapters.local.stamps import Stamps
from tfcanary.adapters.local.supervisor_client import LINE, SOCKET
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.core.domain import NAME, Intent, Pool, Track
from tfcanary.core.errors import Conflict, Refused, TfcanaryError
from tfcanary.core.record import Record, Release, State

DEFAULT_PORT = 8600
PORT_PATIENCE = 2.0
"""Seconds that a port may still be in use by a proxy whose supervisor was killed this moment."""
PROXY_PATIENCE = 10.0
"""Seconds until a proxy takes requests, else it never will."""

Json = dict[str, Any]
log = logging.getLogger("tfcanary.local")


class Supervisor:
    """All models of a state folder."""

    def __init__(self, folder: Folder, port: int, program: Program) -> None:
        self._folder = folder
        self._program = program
        before = _read_state(folder)
        self._port = port or before.get("port") or DEFAULT_PORT
        self._ports: dict[str, int] = before.get("ports", {}) if self._port == before.get("port") else {}
        self._stamps: dict[str, Stamps] = {name: _stamps(document) for name, document in before.get("stamps", {}).items()}
        self._models: dict[str, Model] = {}
        self._forks = Forks(program.preload, folder.root / "forks.log")
        self._opening = asyncio.Lock()
        self._enough = asyncio.Event()
        self._waiting_for_end: set[asyncio.StreamWriter] = set()

    async def begin(self, asked_port: bool) -> asyncio.Server:
        """Start what the records say, and listen.

        Raises Refused where a port is in use or a record has an unknown schema, Unavailable where a file cannot be used.
        """
        if asked_port and not self._ports:
            await _await_free(self._port)
        self._forks.begin()
        for path in sorted(self._folder.records.glob("*.json")):
            if NAME.fullmatch(path.stem):
                await self._restore(path.stem)
        self._write_state()
        return await asyncio.start_unix_server(self._converse, sock=_bind(), limit=LINE)

    async def _restore(self, name: str) -> None:
        """Bring a model back: the stable version has all requests, and a release that needs its guard has it back.

        All of it is stamped with what the record wants now, so that no older command takes effect on the new processes.
        """
        stored = FileRecords(self._folder.record(name)).read()
        record = stored.record if stored else Record(model=name, writer="")
        model, stable = await self._model(name), record.stable
        if record.release:
            model.stamps.raise_all(record.release.token, Pool(stable.number) if stable else None)
        if stable:
            pool = Pool(stable.number)
            wanted = record.release.desired.pool(pool) if record.release else None
            model.run(pool, stable.uri, wanted.least if wanted else 1)
            model.point(Track.STABLE, pool)
        if record.release and _needs_guard(record.release):
            model.guard(record.release.run_id)

    async def run(self) -> None:
        """Answer until SIGTERM or `down`; then end everything, in order."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._enough.set)
        logs = asyncio.get_running_loop().create_task(limit_logs(self._folder))
        await self._enough.wait()
        logs.cancel()
        await self.end()
        for writer in self._waiting_for_end:
            await _reply(writer, {"ok": None})

    async def end(self) -> None:
        """End everything that was begun."""
        await asyncio.gather(*(model.end() for model in self._models.values()))
        await self._forks.end(0.0)
        self._models.clear()
        self._write_state()
        Path(SOCKET).unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not line:
            writer.close()
            return
        question = json.loads(line)
        if question["do"] == "down":  # answered when everything has ended
            self._waiting_for_end.add(writer)
            self._enough.set()
            return
        await _reply(writer, await self._answer(question))

    async def _answer(self, question: Json) -> Json:
        try:
            return {"ok": await self._carry_out(**question)}
        except Refused as error:
            return {"refused": str(error)}
        except Conflict as error:
            return {"conflict": str(error)}
        except (TfcanaryError, OSError) as error:
            return {"unavailable": str(error)}
        except (LookupError, ValueError) as error:
            log.error("a question is not understood: %r", question, exc_info=error)
            return {
                "refused": f"the supervisor does not understand {question['do']!r}; end it by `tfcanary down` and start the present version"
            }

    async def _carry_out(self, do: str, model: str = "", **of: Any) -> Any:
        if do == "status":
            return self._snapshot()
        if do == "release_guard" and model not in self._models:
            return None
        named = await self._model(model)
        match do:
            case "deploy":
                named.deploy(pool_of(of["pool"]), of["uri"], of["least"], _intent(of))
            case "assign":
                named.assign(Track(of["track"]), pool_of(of["pool"]) if of["pool"] else None, _intent(of))
            case "remove":
                await named.remove(pool_of(of["pool"]), _intent(of))
            case "guard":
                named.guard(of["run_id"])
            case "release_guard":
                named.release_guard(of["run_id"])
        return named.snapshot()

    async def _model(self, name: str) -> Model:
        """The model, with a proxy that takes requests or is being started again."""
        async with self._opening:
            if name not in self._models:
                self._models[name] = await self._open(checked_name(name))
        return self._models[name]

    async def _open(self, name: str) -> Model:
        stored = FileRecords(self._folder.record(name)).read()
        port = self._ports.get(name) or self._next_free()
        await _await_free(port)
        self._ports[name] = port
        stamps = self._stamps.setdefault(name, Stamps())
        intent = stored.record.release.token if stored and stored.record.release else None
        model = Model(self._folder, self._program, self._forks, name, port, stamps, intent, self._write_state)
        model.proxy.begin()
        await _await_proxy(model)
        return model

    def _next_free(self) -> int:
        for port in range(self._port, 65536):
            if port not in self._ports.values() and _is_free(port):
                return port
        raise Refused(f"no port from {self._port} to 65535 is free")

    def _snapshot(self) -> Json:
        models = {name: model.snapshot() for name, model in self._models.items()}
        return {"pid": os.getpid(), "port": self._port, "ports": self._ports, "forks": self._forks.snapshot(), "models": models}

    def _write_state(self) -> None:
        """Write down what the next supervisor needs: ports and stamps; the rest is for people."""
        stamps = {name: one.as_json() for name, one in self._stamps.items()}
        try:
            write_aside(self._folder.state, json.dumps({**self._snapshot(), "stamps": stamps}, indent=1))
        except OSError as error:
            # A full disk must not keep a rollback from happening: the stamps hold while this process lives.
            log.warning("%s is not up to date: %s", self._folder.state, error)


def _needs_guard(release: Release) -> bool:
    """Whether a release is active, or was promoted and is not published yet, which its guard does otherwise."""
    return not release.state.ended or (release.state is State.PROMOTED and not release.published)


def _intent(of: Json) -> Intent:
    intent = Intent.of_stamp(of["intent"])
    if intent is None:
        raise ValueError(f"{of['intent']!r} is no stamp")
    return intent


def _bind() -> socket.socket:
    """The supervisor's socket, for its owner only; by its bare name from the state folder, for a socket's path has at most 107 bytes."""
    Path(SOCKET).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    others = os.umask(0o177)
    try:
        listening.bind(SOCKET)
    finally:
        os.umask(others)
    return listening


async def _reply(writer: asyncio.StreamWriter, answer: Json) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    try:
        await writer.drain()
        writer.close()
    except ConnectionError:
        log.warning("the process that asked did not wait for the answer")


async def _await_proxy(model: Model) -> None:
    deadline = asyncio.get_running_loop().time() + PROXY_PATIENCE
    while model.proxy.admin is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)


async def _await_free(port: int) -> None:
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


def _read_state(folder: Folder) -> Json:
    """What an earlier supervisor has written down: its ports, for users know them, and the stamps; nothing where there is no such file."""
    try:
        before = json.loads(folder.state.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return before if isinstance(before, dict) else {}


def _stamps(document: Json) -> Stamps:
    try:
        return Stamps.of_json(document)
    except (LookupError, ValueError, TypeError, AttributeError):
        return Stamps()
