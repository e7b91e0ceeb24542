"""The supervisor's side of the fork parent, a process that starts others faster than anybody else can."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.processes import Process, RestartingProcess, start
from tfcanary.adapters.local.program import python

IMPORT = 120.0
"""Seconds until the fork parent must have forked: TensorFlow's import from a cold disk is most of it."""
RESTART = 5.0
"""Seconds that a fork parent which has just ended may take until it answers again."""


class Forks(RestartingProcess):
    """The fork parent; the processes that it forked end with it."""

    def __init__(self, preload: Sequence[str], log: Path) -> None:
        super().__init__("fork parent")
        self._preload = preload
        self._log = log
        self._numbers = count(1)
        self._line: asyncio.StreamWriter | None = None
        self._listens = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Process | None]] = {}
        self._forked: dict[int, Process] = {}

    async def launch(self) -> Process:
        """Start the fork parent, with one end of a socket pair."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = python("tfcanary.adapters.local.fork_parent", str(theirs.fileno()), *self._preload)
            process = start(command, self._log, pass_fds=[theirs.fileno()])
        self._answers, self._line = await asyncio.open_connection(sock=ours)
        self._listens.set()
        return process

    async def settle(self, process: Process) -> None:
        """Read what the fork parent says, for as long as it lives."""
        self.state = "running"
        while line := await self._answers.readline():
            self._receive(json.loads(line))

    def on_exit(self, code: int) -> bool:
        """Note that the fork parent and with it all of its children have ended; it is started again."""
        if self._line:
            self._line.close()
        self._line = None
        self._listens.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        for process in list(self._forked.values()):
            process.set_exit(-signal.SIGKILL)
        self._waiting.clear()
        self._forked.clear()
        return True

    async def fork(self, module: str, arguments: Sequence[str], log: Path) -> Process | None:
        """Run a module in a forked process; None where the fork parent does not answer in time."""
        try:
            await asyncio.wait_for(self._listens.wait(), RESTART)
            number = next(self._numbers)
            forked = self._waiting[number] = asyncio.get_running_loop().create_future()
            self._send({"id": number, "module": module, "arguments": list(arguments), "log": str(log)})
            return await asyncio.wait_for(forked, IMPORT)
        except TimeoutError:
            return None

    def _receive(self, message: dict[str, Any]) -> None:
        pid = message["pid"]
        if "code" in message:
            self._forked.pop(pid).set_exit(message["code"])
            return
        self._forked[pid] = process = Process(pid, partial(self._signal, pid))
        waiting = self._waiting.pop(message["id"])
        if waiting.cancelled():  # nobody waits for it any more
            process.signal(signal.SIGKILL)
        else:
            waiting.set_result(process)

    def _signal(self, pid: int, number: int) -> None:
        self._send({"kill": pid, "signal": number})

    def _send(self, message: dict[str, Any]) -> None:
        if self._line:
            self._line.write(json.dumps(message).encode() + b"\n")
