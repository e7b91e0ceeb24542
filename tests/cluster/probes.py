"""A container's probes, in one thread for each time that it runs.

They look more often than a kubelet while the answer is no, and count time, not looks: `failureThreshold: 3` at a period of
10 s is 20 s from the first failure on.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from tests.cluster.api import Json

EAGER = 0.2
"""Seconds between two looks at what is not good yet."""


@dataclass
class Probe:
    """One probe, and since when it fails."""

    spec: Json
    passes: Callable[[Json], bool]
    eager: bool
    due: float
    failing_since: float | None = None

    def look(self) -> bool | None:
        """True: it passes. False: it has failed for long enough. None: it fails, but not for long."""
        now = time.monotonic()
        good = self.passes(self.spec)
        self.failing_since = None if good else self.failing_since or now
        self.due = time.monotonic() + (EAGER if self.eager and not good else self.spec["periodSeconds"])
        if self.failing_since is None:
            return True
        patience = (self.spec["failureThreshold"] - 1) * self.spec["periodSeconds"]
        return False if now - self.failing_since >= patience else None


class Probes:
    """Tells `ready` whether the container is, `started` once, and `failed` when it is to be killed."""

    def __init__(
        self, container: Json, address: str, ready: Callable[[bool], None], started: Callable[[], None], failed: Callable[[], None]
    ):
        self._container, self._address = container, address
        self._ready, self._started, self._failed = ready, started, failed
        self._gone = threading.Event()
        threading.Thread(target=self._run, daemon=True, name=f"probes of {container['name']}").start()

    def stop(self) -> None:
        """The container's process has ended."""
        self._gone.set()

    def _run(self) -> None:
        if not self._startup():
            return
        self._started()
        readiness, liveness = self._probe("readinessProbe", eager=True), self._probe("livenessProbe")
        if readiness is None:
            self._ready(True)
        while probes := [probe for probe in (readiness, liveness) if probe]:
            probe = min(probes, key=lambda one: one.due)
            if self._gone.wait(probe.due - time.monotonic()):
                return
            found = probe.look()
            if self._gone.is_set():
                return
            if probe is readiness and found is not None:
                self._ready(found)
            elif found is False:
                return self._failed()

    def _startup(self) -> bool:
        probe = self._probe("startupProbe", eager=True)
        while probe and not self._gone.wait(probe.due - time.monotonic()):
            found = probe.look()
            if found is False:
                self._failed()
            if found is not None:
                return found
        return not self._gone.is_set()

    def _probe(self, kind: str, eager: bool = False) -> Probe | None:
        spec = self._container.get(kind)
        return spec and Probe(spec, self._passes, eager, due=time.monotonic() + spec.get("initialDelaySeconds", 0))

    def _passes(self, spec: Json) -> bool:
        timeout = spec.get("timeoutSeconds", 1)
        try:
            if "httpGet" in spec:
                return self._gets(spec["httpGet"], timeout)
            asked = spec.get("tcpSocket") or spec["grpc"]  # that it answers in gRPC is not looked at
            socket.create_connection((self._address, self._port(asked["port"])), timeout).close()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _gets(self, asked: Json, timeout: float) -> bool:
        with closing(
            http.client.HTTPConnection(asked.get("host", self._address), self._port(asked["port"]), timeout=timeout)
        ) as connection:
            headers = {header["name"]: header["value"] for header in asked.get("httpHeaders", [])}
            connection.request("GET", asked.get("path", "/"), headers=headers)
            return 200 <= connection.getresponse().status < 400

    def _port(self, port: int | str) -> int:
        named = {one.get("name"): one["containerPort"] for one in self._container.get("ports", [])}
        return int(named.get(port, port))
