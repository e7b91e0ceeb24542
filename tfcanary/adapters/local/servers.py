"""A model server of one version: forked where that works, its ports taken from the file in which it writes them.

The ports are the kernel's choice at each start, so that two versions never fight for one; whoever sends requests
is told at once when they change or go.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.processes import Kept, Process, last_words, start, words
from tfcanary.adapters.local.program import Program, python

LOOK = 0.02
"""Seconds between two looks for the file with the ports."""
LAST_REQUEST = 30.0
"""Seconds that a server gets for the requests that it has: none lasts longer behind the proxy."""
SAMPLE = 1.0
"""The share of requests that a server writes to its request log, which is kept short instead: a canary at 5 % sees few."""
HOST = "127.0.0.1"
MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server answers, on this machine only."""

    rest: int
    grpc: int


def model_config(model: str, base: str, number: int) -> str:
    """TF Serving's model configuration for exactly one version, as text protobuf."""
    return f"""model_config_list {{
  config {{
    name: {json.dumps(model)}
    base_path: {json.dumps(base, ensure_ascii=False)}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {number} }} }}
  }}
}}
"""


class ModelServer(Kept):
    """Keeps the server of one version running."""

    _starts = count(1)

    def __init__(
        self, folder: Folder, program: Program, forks: Forks, model: str, number: int, uri: str, changed: Callable[[], None]
    ) -> None:
        super().__init__(f"{model}-v{number}")
        self.uri = uri
        self.ports: Ports | None = None
        self.failed = False
        """It ended before it ever opened its ports."""
        self._program = program
        self._forks = forks
        self._changed = changed
        self._run = folder.run(model)
        self._output = self._run / f"{self.name}.log"
        self._config = self._run / f"{self.name}.config"
        self._requests = folder.requests(model, number)
        self._monitoring = self._run / "monitoring.config"
        self._monitoring.write_text(MONITORING, encoding="utf-8")
        self._config.write_text(model_config(model, uri.rpartition("/")[0], number), encoding="utf-8")
        self._forked = self._plain = False

    async def launch(self) -> Process:
        """Fork it, or start a process of its own where no fork parent answers or a fork hung before."""
        self._ports_file = self._run / f"{self.name}-{next(self._starts)}.ports"
        self._requests.mkdir(parents=True, exist_ok=True)
        forked = None if self._plain else await self._forks.fork(self._program.server, self._flags(), self._output)
        self._forked = forked is not None
        return forked or start(python(self._program.server, *self._flags()), self._output)

    async def settle(self, process: Process) -> None:
        """Wait for its ports; a fork that does not answer in time hangs and is started again as a process of its own."""
        waited = 0.0
        while not self._ports_file.exists():
            await asyncio.sleep(LOOK)
            waited += LOOK
            if self._forked and waited > self._program.answer_within:
                self._plain = True
                process.signal(signal.SIGKILL)
                return
        self.ports = read_ports(self._ports_file)
        self._ports_file.unlink()
        self.state, self.failed, self.message = "running", False, ""
        self._changed()

    def ended(self, code: int) -> bool:
        """Nobody sends a request to its ports from here on: another process may get them."""
        loading, hung = self.ports is None, self._forked and self._plain
        self.ports = None
        self.failed = self.failed or (loading and not hung)
        self._changed()
        self.message = f"ended with {words(code)}{' while loading' if loading else ''}: {last_words(self._output)}"
        if hung:
            self.message = f"did not answer {self._program.answer_within:g} s after it was forked; it is started as a process of its own"
        return True

    def _flags(self) -> list[str]:
        return [
            f"--host={HOST}",
            "--port=0",
            "--rest_api_port=0",
            f"--ports_file={self._ports_file}",
            f"--model_config_file={self._config}",
            f"--monitoring_config_file={self._monitoring}",
            f"--drain_seconds={LAST_REQUEST:g}",
            # A version that does not load is the release's end: it says so in seconds, not after TF Serving's five minutes.
            "--max_num_load_retries=0",
            f"--request_log_dir={self._requests}",
            f"--request_log_sample={SAMPLE}",
        ]


def read_ports(path: Path) -> Ports:
    """What the server wrote."""
    said = json.loads(path.read_text(encoding="utf-8"))
    return Ports(rest=said["rest"], grpc=said["grpc"])
