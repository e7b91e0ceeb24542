"""Child processes of the supervisor, which are started tied to its life and started again when they end.

    starting ── settle ──▶ running ── ends ──▶ ended ── after a pause ──▶ starting
                                        └── no further start ──▶ over

All of them are started from the supervisor's only thread.
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
"""Seconds before the first new start; doubled with each one that follows soon, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds after which a process counts as stable: the pause after its next end is the first one again."""


class Process:
    """One running process, and how it ended."""

    def __init__(self, pid: int, send: Callable[[int], None]) -> None:
        self.pid = pid
        self.gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code, negative for a signal."""
        self._send = send

    def set_exit(self, code: int) -> None:
        """Note the exit code; called by whoever waits for the process."""
        if not self.gone.done():
            self.gone.set_result(code)

    def signal(self, number: int) -> None:
        """Send a signal; nothing to do where the process has ended."""
        if not self.gone.done():
            self._send(number)

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns when the process is gone."""
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
    _watch_exit(child, process)
    return process


def _watch_exit(child: subprocess.Popen[bytes], process: Process) -> None:
    loop = asyncio.get_running_loop()
    handle = os.pidfd_open(child.pid)

    def on_exit() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        process.set_exit(child.wait())

    loop.add_reader(handle, on_exit)


def exit_text(code: int) -> str:
    """Return how a process ended, in words for people."""
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"


def last_line(output: Path, limit: int = 300) -> str:
    """Return the last line of a log that is not empty, cut to `limit` characters; an empty text where there is none."""
    if not output.exists():
        return ""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:limit] for line in reversed(lines) if line.strip()), "")


class RestartingProcess(ABC):
    """A process that is started again when it ends, after a growing pause, until `end` is called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "starting"
        self.message = ""
        """How the process ended last."""
        self.process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def launch(self) -> Process:
        """Start the process once."""

    async def settle(self, process: Process) -> None:
        """Wait until the process is up; cancelled when the process ends."""
        self.state = "running"

    def on_exit(self, code: int) -> bool:
        """Note that the process has ended, and return whether it is started again."""
        return True

    def begin(self) -> None:
        """Start the process, and start it again whenever it ends."""
        self._task = asyncio.get_running_loop().create_task(self._keep_running(), name=self.name)

    async def end(self, grace: float) -> None:
        """End the process for good: SIGTERM, and SIGKILL after `grace` seconds."""
        if self._task:
            self._task.cancel()
        if self.process:
            await self.process.stop(grace)
        self.state = "over"

    def snapshot(self) -> dict[str, object]:
        """Return state, process id and last end as plain values."""
        return {"state": self.state, "pid": self.process.pid if self.process else None, "message": self.message}

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            if not self._starts_again(await self._run_once()):
                return
            pause = FIRST_PAUSE if clock() - began > STEADY else pause
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self) -> int | None:
        """Run the process from its start to its end; None where it could not be started."""
        self.state = "starting"
        try:
            process = self.process = await self.launch()
        except OSError as error:
            self.message = f"could not be started ({error})"
            return None
        settling = asyncio.get_running_loop().create_task(self.settle(process))
        settling.add_done_callback(partial(self._kill_unsettled, process))
        try:
            return await asyncio.shield(process.gone)
        finally:
            settling.cancel()

    def _kill_unsettled(self, process: Process, settling: asyncio.Task[None]) -> None:
        """Kill a process that could not come up (because of a full disk, say): it is started again."""
        error = None if settling.cancelled() else settling.exception()
        if error:
            log.error("%s: does not come up", self.name, exc_info=error)
            process.signal(signal.SIGKILL)

    def _starts_again(self, code: int | None) -> bool:
        try:
            again = code is None or self.on_exit(code)
        except OSError as error:
            again, self.message = True, f"{self.message}; {error}"
        self.state = "ended" if again else "over"
        log.warning("%s: %s", self.name, self.message or (exit_text(code) if code is not None else ""))
        return again
