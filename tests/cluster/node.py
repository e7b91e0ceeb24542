"""A Kubernetes node whose containers are plain processes: no root, no images, no runtime.

It registers itself, renews its lease, and for each pod bound to it does what a kubelet does. On purpose it differs so:

* an image is a name in `images`, and says how a process is started; nothing is isolated;
* a pod's servers must listen on $POD_IP, for all pods share the ports of one machine;
* a volume is a folder, and mount paths in arguments and variables are replaced by the real ones;
* there are no exec, no logs by the API, no limits, and no virtual addresses of Services.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from tests.cluster import kubeconfig
from tests.cluster.api import Api, ApiError, Json
from tests.cluster.container import now
from tests.cluster.controlplane import ControlPlane
from tests.cluster.forks import Forks
from tests.cluster.images import Image
from tests.cluster.mirror import Mirror
from tests.cluster.pod import Pod
from tests.cluster.waiting import until

HEARTBEAT = 1.0
"""Seconds; the control plane gives a node up after six."""
SIZE = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "256Gi"}
"""More than anybody asks for."""


@dataclass
class Shared:
    """What the nodes of one machine have in common."""

    control_plane: ControlPlane
    folder: Path
    images: dict[str, Image]
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that every container gets."""
    api_url_for_pods: str = ""
    """A proxy in front of the API server that pods are to use."""
    _forks: dict[bool, Forks] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forks(self, preloaded: bool) -> Forks:
        """Starts processes. The one with TensorFlow in memory, which takes 10 s and 500 MB, begins when it is first asked for."""
        with self._lock:
            if preloaded not in self._forks:
                modules = ("tensorflow", "tfcanary.tf.modelserver.__main__") if preloaded else ()
                self._forks[preloaded] = Forks(self.folder / "forks.log", *modules)
            return self._forks[preloaded]

    def stop(self) -> None:
        for forks in self._forks.values():
            forks.stop()


class Node:
    """Runs from construction to `stop`; `subnet` is where its pods' addresses come from."""

    def __init__(self, name: str, subnet: str, shared: Shared) -> None:
        self.name, self._shared = name, shared
        self.folder, self.logs = shared.folder / f"node-{name}", shared.folder / "logs"
        self.logs.mkdir(exist_ok=True)
        self.images: Mapping[str, Image] = shared.images
        self.forks = shared.forks
        control_plane = shared.control_plane
        identity = control_plane.authority.issue(f"node-{name}", f"system:node:{name}", ["system:nodes"])
        self.api = Api(control_plane.server, control_plane.authority.file, identity)
        self.pods: dict[str, Pod] = {}
        """By uid."""
        self._lock = threading.Lock()
        self._addresses = cycle(map(str, ipaddress.ip_network(subnet).hosts()))
        self._register()
        self.find_again()

    @property
    def environment(self) -> dict[str, str]:
        return self._shared.environment

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    def lose(self) -> None:
        """As if somebody had pulled the plug: its processes die, its heartbeats stop, nobody is told."""
        if self._lost.is_set():
            return
        self._lost.set()
        self._mirror.stop()
        self._heart.join()
        for pod in self.pods.values():
            pod.abandon()
        self.pods.clear()

    def find_again(self) -> None:
        """It is up (again): it is ready, and runs what is bound to it. Returns once pods are sent to it."""
        condition = {"type": "Ready", "status": "True", "reason": "Processes", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        info = {"kubeletVersion": "v0.0.0-processes", "operatingSystem": "linux", "architecture": "amd64"}
        status = {"capacity": SIZE, "allocatable": SIZE, "conditions": [condition], "nodeInfo": info}
        addresses = [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": self.name}]
        self.api.merge(f"/api/v1/nodes/{self.name}/status", {"status": {**status, "addresses": addresses}})
        self._lost = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(self._lost,), daemon=True, name=f"heart of {self.name}")
        self._heart.start()
        self._mirror = Mirror(self.api, "/api/v1/pods", self._told, fieldSelector=f"spec.nodeName={self.name}")
        until(lambda: self.api.get(f"/api/v1/nodes/{self.name}")["spec"].get("taints"), lambda taints: not taints)

    def stop(self) -> None:
        self.lose()
        self.api.close()

    def write_kubeconfig(self, pod: Pod) -> None:
        """In place of the files that a pod finds in a cluster: a token of its account, which ends with the pod."""
        if pod.spec.get("automountServiceAccountToken") is False or not self._mounts_token(pod.spec):
            return
        account = pod.spec.get("serviceAccountName", "default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.metadata["uid"]}
        user = {"token": self.api.token(pod.namespace, account, bound_to=bound)}
        server = self._shared.api_url_for_pods or self.api.server
        kubeconfig.write(pod.folder / "kubeconfig", server, self._shared.control_plane.authority.file, user, pod.namespace)

    @staticmethod
    def _mounts_token(spec: Json) -> bool:
        """What the API server has added, unless the pod or its account says that it needs none."""
        return any("projected" in volume for volume in spec.get("volumes", []))

    def _register(self) -> None:
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        self.api.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels}})
        lease = {"holderIdentity": self.name, "leaseDurationSeconds": 6, "renewTime": _instant()}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}, "spec": lease}
        self.api.post("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", body)

    def _beat(self, lost: threading.Event) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        while True:
            with contextlib.suppress(OSError, ApiError):  # the API server may be away for a while
                self.api.merge(path, {"spec": {"renewTime": _instant()}})
            if lost.wait(HEARTBEAT):
                return

    def _told(self, kind: str, document: Json) -> None:
        uid, ending = document["metadata"]["uid"], document["metadata"].get("deletionTimestamp")
        pod = self.pods.get(uid)
        if kind == "DELETED":
            if pod:
                self.pods.pop(uid).abandon()
        elif pod is None:
            self._new(uid, document, bool(ending))
        elif ending:
            pod.end(document["metadata"].get("deletionGracePeriodSeconds", 30))

    def _new(self, uid: str, document: Json, ending: object) -> None:
        pod = self.pods[uid] = Pod(self, document, self._address())
        if ending:  # it ran before the node was lost
            pod.end(0)
        elif document["status"].get("phase") not in ("Succeeded", "Failed"):
            pod.start()

    def _address(self) -> str:
        taken = {pod.address for pod in self.pods.values()}
        return next(address for address in self._addresses if address not in taken)


def _instant() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
