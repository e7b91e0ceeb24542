"""A real Prometheus that finds the model servers' pods through the API server, as a cluster's own does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests import binaries
from tests.cluster.controlplane import HERE, free_ports
from tfcanary.adapters.local.die_with_parent import die_with
from tfcanary.run.monitor.monitors import SCRAPE_TARGETS

PAGE = "/monitoring/prometheus/metrics"
PORT = 8501
START = 30.0
"""Seconds that it may take."""
KEEP = {"__meta_kubernetes_pod_label_app_kubernetes_io_component": "server", "__meta_kubernetes_pod_container_init": "false"}
"""Which pods are scraped."""
LABELS = {"__meta_kubernetes_namespace": "namespace", "__meta_kubernetes_pod_name": "pod"}
"""What a series says of its pod."""


class Prometheus:
    """Runs from construction to `stop`, and again from `start`, on the same port and with the same data."""

    def __init__(self, kubeconfig: Path, folder: Path, interval: str = "500ms") -> None:
        self._folder = folder
        (port,) = free_ports(1)
        self.url = f"http://{HERE}:{port}"
        (folder / "prometheus.yml").write_text(json.dumps(configuration(kubeconfig, interval)))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Until it answers."""
        program = str(binaries.find("prometheus", "prometheus"))
        files = [f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data"]
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *files, f"--web.listen-address={self.url.removeprefix('http://')}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with, os.getpid()),
            )
        deadline = time.monotonic() + START
        while not self._ready():
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"Prometheus is not ready after {START:.0f} s"
            time.sleep(0.05)

    def stop(self) -> None:
        """Nobody answers at its address any more."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, text: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def _ready(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def scraping(kubeconfig: Path, folder: Path) -> Iterator[Prometheus]:
    """For as long as it is wanted. Raises FileNotFoundError where there is no program."""
    found = Prometheus(kubeconfig, folder)
    try:
        yield found
    finally:
        found.stop()


def configuration(kubeconfig: Path, interval: str) -> dict[str, Any]:
    """Every pod of a model server, at its REST port."""
    keep = [{"action": "keep", "source_labels": [label], "regex": value} for label, value in KEEP.items()]
    address = {"source_labels": ["__meta_kubernetes_pod_ip"], "target_label": "__address__", "replacement": f"$1:{PORT}"}
    named = [{"source_labels": [label], "target_label": name} for label, name in LABELS.items()]
    # One target for each port of a pod is found; as all of them become the same, it is scraped once.
    job = {
        "job_name": "model-servers",
        "metrics_path": PAGE,
        "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(kubeconfig)}],
        "relabel_configs": [*keep, address, *named],
    }
    return {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": [job, guards(kubeconfig, interval)]}


def guards(kubeconfig: Path, interval: str) -> dict[str, Any]:
    """As deploy/monitoring ships it, but for where the API server is and how often."""
    shipped = next(one for one in SCRAPE_TARGETS if one.name == "tfcanary-guards").scrape_config()
    found = [{**one, "kubeconfig_file": str(kubeconfig)} for one in shipped["kubernetes_sd_configs"]]
    return {**shipped, "kubernetes_sd_configs": found, "scrape_interval": interval, "scrape_timeout": interval}
