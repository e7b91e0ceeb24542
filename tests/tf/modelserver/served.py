"""Real model servers for tests, over real sockets: `models()` exports the models once, `Nursery` starts servers."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
QUICK = (
    "--port=0",
    "--rest_api_port=0",
    "--max_num_load_retries=0",
    "--file_system_poll_wait_seconds=0",
    "--host=127.0.0.1",
    "--ports_file={folder}/ports.json",
)
METRICS = "/monitoring/prometheus/metrics"


@functools.cache
def models() -> Path:
    """The folder with all models, exported once in a test run."""
    nursery()  # imports TensorFlow meanwhile
    folder = Path(tempfile.mkdtemp(prefix="models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.tf.modelserver.export", str(folder)], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@dataclass
class Reply:
    """The response to a REST request."""

    status: int
    text: str
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        return self.json["error"]


class Running:
    """One running model server."""

    def __init__(self, nursery: Nursery, pid: int, folder: Path) -> None:
        self.nursery, self.pid, self.folder = nursery, pid, folder
        self.http = urllib3.PoolManager(maxsize=8, retries=False, timeout=20)
        self.exit_code: int | None = None

    def await_ports(self) -> Running:
        """Wait until the server serves; fail with its output where it never does."""
        until = time.monotonic() + 60
        while not (self.folder / "ports.json").exists():
            assert time.monotonic() < until, self.output()
            assert Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z", self.output()
            time.sleep(0.02)
        ports = json.loads((self.folder / "ports.json").read_text())
        self.rest, self.grpc = f"http://127.0.0.1:{ports['rest']}", f"127.0.0.1:{ports['grpc']}"
        return self

    def output(self) -> str:
        file = self.folder / "output"
        return file.read_text() if file.exists() else ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        content = body if isinstance(body, bytes | None) else json.dumps(body)
        found = self.http.request(method, self.rest + path, body=content, headers=headers)
        return Reply(found.status, found.data.decode(), found.headers)

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def predict(self, model: str, body: Any, **headers: str) -> Reply:
        return self.call("POST", f"/v1/models/{model}:predict", body, **headers)

    def page(self) -> str:
        return self.get(METRICS).text

    def metric(self, line: str) -> float:
        """The value of the line of the page that begins with this; 0 where there is none."""
        values = [text.rpartition(" ")[2] for text in self.page().splitlines() if text.startswith(line)]
        return float(values[0]) if values else 0.0

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the server's end, and return its exit code."""
        if self.exit_code is None:
            self.exit_code = self.nursery.tell(wait=self.pid)
        return self.exit_code

    def stop(self) -> None:
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.http.clear()


class Nursery:
    """Starts servers as children of one process that has TensorFlow in memory."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tf.modelserver.nursery"], env=ENVIRONMENT, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.lock = threading.Lock()

    def tell(self, **order: Any) -> int:
        assert self.process.stdin
        assert self.process.stdout
        with self.lock:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def start(self, folder: Path, *arguments: str, models: dict[str, Any] | None = None, monitored: bool = True) -> Running:
        """A server with the quick flags and these arguments; `models`: name to base path, or to the text of its whole config."""
        folder.mkdir(parents=True, exist_ok=True)
        flags = [flag.format(folder=folder) for flag in QUICK] + list(arguments)
        if models:
            (folder / "models.cfg").write_text(config(models))
            flags.append(f"--model_config_file={folder}/models.cfg")
        if monitored:
            (folder / "monitoring.cfg").write_text("prometheus_config { enable: true }")
            flags.append(f"--monitoring_config_file={folder}/monitoring.cfg")
        return Running(self, self.tell(start=flags, output=f"{folder}/output"), folder)

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def config(models: dict[str, Any]) -> str:
    """A model config in text format."""
    texts = (
        text if isinstance(text, str) else f'name: "{name}" base_path: "{text}" model_platform: "tensorflow"'
        for name, text in models.items()
    )
    return f"model_config_list {{ {' '.join(f'config {{ {text} }}' for text in texts)} }}"


@functools.cache
def nursery() -> Nursery:
    """Return the nursery that all tests of this run share."""
    made = Nursery()
    atexit.register(made.close)
    return made
