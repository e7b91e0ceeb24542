"""A pod whose containers are processes of this machine. It has an address and a folder of its own, and nothing else is its own."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import volumes
from tests.cluster.api import ApiError, Json
from tests.cluster.container import BACKOFF, Container, now

if TYPE_CHECKING:
    from tests.cluster.node import Node

GONE = (404, 409)
"""The pod is no more, or another one has its name."""


class Pod:
    """Runs from `start` until `end` or `abandon`."""

    def __init__(self, node: Node, document: Json, address: str) -> None:
        self.node, self.address = node, address
        self.metadata, self.spec = document["metadata"], document["spec"]
        self.namespace, self.name = self.metadata["namespace"], self.metadata["name"]
        self.folder = node.folder / f"{self.namespace}_{self.name}_{self.metadata['uid'][:8]}"
        self.lock = threading.Lock()
        self.ending = threading.Event()
        """Nothing is started any more."""
        self.volumes: dict[str, Path] = {}
        before = {one["name"]: one for one in document["status"].get("containerStatuses", [])}
        self._init = [Container(self, spec) for spec in self.spec.get("initContainers", [])]
        self.containers = [Container(self, spec, before.get(spec["name"])) for spec in self.spec["containers"]]
        self._document = document
        self._began, self._since = now(), dict[str, tuple[str, str]]()
        self._reporting = threading.Lock()
        self._silent = False

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._in_background(self._run)

    def end(self, grace: float) -> None:
        """SIGTERM, SIGKILL after `grace` seconds, then the API server is told that the pod is gone. Returns at once."""
        if not self.ending.is_set():
            self.ending.set()
            self._in_background(self._end, grace)

    def abandon(self) -> None:
        """Killed, and nobody is told: the pod's object is gone, or the node is."""
        self._silent = True
        self.ending.set()
        self._signal(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def report(self) -> None:
        """Tell the API server how it is."""
        with self._reporting:
            self._tell(self._report)

    def read(self, plural: str, name: str) -> Json:
        """A ConfigMap or Secret that the pod refers to."""
        return self.node.api.get(f"/api/v1/namespaces/{self.namespace}/{plural}/{name}")

    def log(self, container: str) -> Path:
        return self.node.logs / f"{self.namespace}_{self.name}_{container}.log"

    def fields(self) -> dict[str, str]:
        """What a `fieldRef` may refer to."""
        fields = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.metadata["uid"],
            "spec.nodeName": self.node.name,
            "spec.serviceAccountName": self.spec.get("serviceAccountName", "default"),
            "status.podIP": self.address,
            "status.hostIP": "127.0.0.1",
        }
        for kind in ("labels", "annotations"):
            fields |= {f"metadata.{kind}['{key}']": value for key, value in self.metadata.get(kind, {}).items()}
        return fields

    def environment(self) -> dict[str, str]:
        """What every container has: no more of this process's own than it needs to run."""
        token = self.folder / "kubeconfig"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "HOSTNAME": self.name,
            "POD_IP": self.address,
            "PYTHONUNBUFFERED": "1",
            **self.node.environment,
            **({"KUBECONFIG": str(token)} if token.exists() else {}),
        }

    def _report(self) -> None:
        body = {"metadata": {"uid": self.metadata["uid"]}, "status": self._status()}
        self.node.api.call("PATCH", f"{self._path()}/status", body, "application/strategic-merge-patch+json")

    def _tell(self, call: Callable[[], object]) -> None:
        """Until the API server has heard it: it may be away for a while."""
        while not self._silent:
            try:
                call()
                return
            except ApiError as error:
                if error.status in GONE:
                    return
                if error.status < 500:
                    raise
            except OSError:
                pass
            time.sleep(BACKOFF)

    def _run(self) -> None:
        self.report()
        while not self._ready_to_run():
            if self.ending.wait(BACKOFF):
                return
        for one in self._init:
            while not self.ending.is_set() and not one.run_once():
                self.ending.wait(BACKOFF)
        for one in self.containers:
            self._in_background(one.run)

    def _ready_to_run(self) -> bool:
        """What it mounts may come later than the pod, and a new pod is not at once known to whoever authorizes its node."""
        try:
            self.volumes = volumes.make(self._document, self.folder, self.read)
            self.node.write_kubeconfig(self)
        except (ApiError, OSError):
            return False
        return True

    def _in_background(self, target: Callable[..., object], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True, name=f"pod {self.namespace}/{self.name}").start()

    def _end(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        time.sleep(min(grace, max(_sleeps_before_stop(spec) for spec in self.spec["containers"])))
        self._signal(signal.SIGTERM)
        for process in [one.process for one in (*self._init, *self.containers)]:
            if process:
                process.wait(max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        self._tell(partial(self.node.api.delete, self._path(), grace=0, preconditions={"uid": self.metadata["uid"]}))

    def _signal(self, number: int) -> None:
        with self.lock:
            for one in (*self._init, *self.containers):
                one.signal(number)

    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    def _status(self) -> Json:
        with self.lock:
            statuses = [dict(one.status) for one in self.containers]
            begun = [dict(one.status) for one in self._init]
        ready = str(all(one["ready"] for one in statuses))
        kinds = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
        return {
            "phase": _phase(statuses),
            "conditions": [{"type": kind, "status": value, "lastTransitionTime": self._when(kind, value)} for kind, value in kinds.items()],
            "startTime": self._began,
            "hostIP": "127.0.0.1",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}, {"$patch": "replace"}],  # else one from before the node was lost stays
            "containerStatuses": statuses,
            **({"initContainerStatuses": begun} if begun else {}),
        }

    def _when(self, kind: str, value: str) -> str:
        if self._since.get(kind, ("",))[0] != value:
            self._since[kind] = (value, now())
        return self._since[kind][1]


def _sleeps_before_stop(container: Json) -> float:
    """Seconds: the only kind of preStop hook that is served."""
    return float(container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


def _phase(statuses: list[Json]) -> str:
    codes = [one["state"]["terminated"]["exitCode"] for one in statuses if "terminated" in one["state"]]
    if len(codes) == len(statuses) and not any(one["lastState"] for one in statuses):
        return "Failed" if any(codes) else "Succeeded"
    ran = any("running" in one["state"] or one["lastState"] for one in statuses)
    return "Running" if ran else "Pending"
