"""Children of the supervisor: started tied to its life, and started again when they end.

    starting ── settle ──▶ running ── ends ──▶ ended ── after a pause ──▶ starting
                                        └── that was all, or let go ──▶ over

All of them start from the supervisor's only thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tfcanary.adapters.local.die_with_parent import die_with
from tfcanary.adapters.local.program import environment

log = logging.getLogger("tfcanary.local")

FIRST_PAUSE = 0.2
"""Seconds before the first new start; doubled with each that follows soon, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds after which a process has come up well, and its next end is its first again."""


class Process:
    """One process: who it is, and how it ended."""

    def __init__(self, pid: int, send: Callable[[int], None]) -> None:
        self.pid = pid
        self.gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code, negative for a signal."""
        self._send = send

    def ended(self, code: int) -> None:
        """Told by whoever waits for it."""
        if not self.gone.done():
            self.gone.set_result(code)

    def signal(self, number: int) -> None:
        """Send a signal; nothing to do where it has ended."""
        if not self.gone.done():
            self._send(number)

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it is gone."""
        self.signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self.gone], timeout=grace)
        if not done:
            self.signal(signal.SIGKILL)
            await self.gone


def start(command: Sequence[str], output: Path, pass_fds: Sequence[int] = ()) -> Process:
    """Start a child that dies with this process, its output appended to a file. Raises OSError where it cannot be started."""
    with output.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment(),
            pass_fds=pass_fds,
            preexec_fn=partial(die_with, os.getpid()),
        )
    process = Process(child.pid, child.send_signal)
    _tell_end(child, process)
    return process


def _tell_end(child: subprocess.Popen[bytes], process: Process) -> None:
    loop = asyncio.get_running_loop()
    handle = os.pidfd_open(child.pid)

    def ended() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        process.ended(child.wait())

    loop.add_reader(handle, ended)


def words(code: int) -> str:
    """How a process ended, for people."""
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"


def last_words(output: Path, limit: int = 300) -> str:
    """The last line of a log, cut; nothing where there is none."""
    if not output.exists():
        return ""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:limit] for line in reversed(lines) if line.strip()), "")


class Kept(ABC):
    """A process that is started again when it ends, with a growing pause, until it is let go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "starting"
        self.message = ""
        """How it last ended."""
        self.process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def launch(self) -> Process:
        """Start it."""

    async def settle(self, process: Process) -> None:
        """What to wait for while it comes up; cancelled when it ends."""
        self.state = "running"

    def ended(self, code: int) -> bool:
        """Told at once; whether it is to be started again."""
        return True

    def begin(self) -> None:
        """Start it and keep it."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=self.name)

    async def end(self, grace: float) -> None:
        """Let it go: SIGTERM, and SIGKILL after `grace` seconds."""
        if self._task:
            self._task.cancel()
        if self.process:
            await self.process.stop(grace)
        self.state = "over"

    def shown(self) -> dict[str, object]:
        """How it stands, as plain values."""
        return {"state": self.state, "pid": self.process.pid if self.process else None, "message": self.message}

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            if not self._again(await self._once()):
                return
            pause = FIRST_PAUSE if clock() - began > STEADY else pause
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self) -> int | None:
        """One life, from start to end; None where it could not be started."""
        self.state = "starting"
        try:
            process = self.process = await self.launch()
        except OSError as error:
            self.message = f"could not be started ({error})"
            return None
        settling = asyncio.get_running_loop().create_task(self.settle(process))
        settling.add_done_callback(partial(self._settled, process))
        try:
            return await asyncio.shield(process.gone)
        finally:
            settling.cancel()

    def _settled(self, process: Process, settling: asyncio.Task[None]) -> None:
        """What could not come up (a full disk, say) is started again."""
        error = None if settling.cancelled() else settling.exception()
        if error:
            log.error("%s: does not come up", self.name, exc_info=error)
            process.signal(signal.SIGKILL)

    def _again(self, code: int | None) -> bool:
        try:
            again = code is None or self.ended(code)
        except OSError as error:
            again, self.message = True, f"{self.message}; {error}"
        self.state = "ended" if again else "over"
        log.warning("%s: %s", self.name, self.message or (words(code) if code is not None else ""))
        return again
