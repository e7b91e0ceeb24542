"""A model server of a pool: forked where that works; it writes its ports into a file, from which they are read.

The kernel chooses the ports at each start, so that two servers never fight for one. The proxy learns at once when they change or are
gone.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tfcanary.adapters.local.folder import Folder, pool_name
from tfcanary.adapters.local.forks import Forks
from tfcanary.adapters.local.processes import Process, RestartingProcess, exit_text, last_line, start
from tfcanary.adapters.local.program import Program, python
from tfcanary.core.domain import Pool

LOOK = 0.02
"""Seconds between two looks for the file with the ports."""
LAST_REQUEST = 30.0
"""Seconds that a server has for its last requests: no request lasts longer behind the proxy."""
SAMPLE = 1.0
"""The share of requests that a server writes to its request log; the log's size is limited instead, for a canary at 5 % gets few requests."""
HOST = "127.0.0.1"
MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a server, on this machine only."""

    rest: int
    grpc: int


def model_config(model: str, base: str, number: int) -> str:
    """Return TF Serving's model configuration for exactly one version, as text protobuf."""
    return f"""model_config_list {{
  config {{
    name: {json.dumps(model)}
    base_path: {json.dumps(base, ensure_ascii=False)}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {number} }} }}
  }}
}}
"""


class ModelServer(RestartingProcess):
    """One server of a pool, which is started again when it ends."""

    _starts = count(1)

    def __init__(
        self, folder: Folder, program: Program, forks: Forks, model: str, pool: Pool, number: int, uri: str, on_change: Callable[[], None]
    ) -> None:
        """`number` counts the servers of the pool from 1."""
        super().__init__(f"{model}-v{pool_name(pool)}" + (f"-{number}" if number > 1 else ""))
        self.uri = uri
        self.ports: Ports | None = None
        self.failed = False
        """Whether the server ended before it had ever opened its ports."""
        self._program = program
        self._forks = forks
        self._on_change = on_change
        self._run = folder.run(model)
        self._output = self._run / f"{self.name}.log"
        self._config = self._run / f"{self.name}.config"
        self._requests = folder.requests(model, pool)
        self._monitoring = self._run / "monitoring.config"
        self._monitoring.write_text(MONITORING, encoding="utf-8")
        self._config.write_text(model_config(model, uri.rpartition("/")[0], pool.number), encoding="utf-8")
        self._forked = self._plain = False

    async def launch(self) -> Process:
        """Fork the server, or start a plain process where no fork parent answers, or a fork of this server hung before."""
        self._ports_file = self._run / f"{self.name}-{next(self._starts)}.ports"
        self._requests.mkdir(parents=True, exist_ok=True)
        forked = None if self._plain else await self._forks.fork(self._program.server, self._flags(), self._output)
        self._forked = forked is not None
        return forked or start(python(self._program.server, *self._flags()), self._output)

    async def settle(self, process: Process) -> None:
        """Wait for the server's ports; a fork that does not answer in time hangs, and is started again as a plain process."""
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
        self._on_change()

    def on_exit(self, code: int) -> bool:
        """Take the ports away from the proxy, for another process may get them; the server is started again."""
        loading, hung = self.ports is None, self._forked and self._plain
        self.ports = None
        self.failed = self.failed or (loading and not hung)
        self._on_change()
        self.message = f"ended with {exit_text(code)}{' while loading' if loading else ''}: {last_line(self._output)}"
        if hung:
            self.message = f"did not answer {self._program.answer_within:g} s after it was forked; it is started as a plain process"
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
            # A version that does not load ends the release: within seconds, not after TF Serving's five minutes.
            "--max_num_load_retries=0",
            f"--request_log_dir={self._requests}",
            f"--request_log_sample={SAMPLE}",
        ]


def read_ports(path: Path) -> Ports:
    """Read the file into which a server has written its ports."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Ports(rest=document["rest"], grpc=document["grpc"])
