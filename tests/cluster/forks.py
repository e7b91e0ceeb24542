"""Starts the processes of pods: forked by a kept process that does nothing else, so that any thread may ask for them.

Whoever is forked dies with that process, and that process with the test run. It is the one of the platform on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.program import environment, python

IMPORT = 120.0
"""Seconds until the first process must have been forked: the import of TensorFlow is most of it."""


class Process:
    """One process, the leader of a group of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: Future[int] = Future()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, negative for a signal; None where it still runs after so many seconds."""
        try:
            return self._code.result(seconds)
        except TimeoutError:
            return None

    def signal(self, number: int) -> None:
        """Of the whole group; nothing to do where it has ended."""
        if not self._code.done():
            # Before it has its group, which takes it a millisecond, it has no children either.
            with contextlib.suppress(ProcessLookupError):
                try:
                    os.killpg(self.pid, number)
                except ProcessLookupError:
                    os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        """Told by whoever waits for it; what it has left behind goes, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._code.set_result(code)


class Forks:
    """The kept process, with these modules imported."""

    def __init__(self, log: Path, *preload: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as out:
            command = python("tfcanary.adapters.local.fork_parent", str(theirs.fileno()), *preload)
            quiet = {**environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=quiet, pass_fds=[theirs.fileno()]
            )
        self._line = ours
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._waiting: dict[int, Future[Process]] = {}
        self._alive: dict[int, Process] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True, name="forks")
        self._thread.start()

    def fork(self, module: str, arguments: Sequence[str], log: Path) -> Process:
        """Run a module as `python -m` does; raises OSError where that cannot be."""
        forked: Future[Process] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = forked
            job = {"id": number, "module": module, "arguments": list(arguments), "log": str(log)}
            self._line.sendall(json.dumps(job).encode() + b"\n")
        try:
            return forked.result(IMPORT)
        except TimeoutError as error:
            raise OSError(f"{module}: was not started within {IMPORT:.0f} s") from error

    def stop(self) -> None:
        """And all that it has forked."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._line.close()

    def _listen(self) -> None:
        with self._line.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                self._heard(json.loads(line))
        for process in self._alive.values():
            process.ended(-signal.SIGKILL)
        for forked in self._waiting.values():
            forked.set_exception(OSError("the process that starts others has ended"))

    def _heard(self, message: dict[str, Any]) -> None:
        pid = message["pid"]
        if "code" in message:
            self._alive.pop(pid).ended(message["code"])
        else:
            self._alive[pid] = Process(pid)
            self._waiting.pop(message["id"]).set_result(self._alive[pid])
