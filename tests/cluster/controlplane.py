"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, on free ports of the loopback address, with RBAC.

Needs no root and no network. A node that is silent for 6 s counts as lost, and its pods are replaced 3 s later: Kubernetes' own
times are 50 s and 5 minutes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests import binaries
from tests.cluster import kubeconfig
from tests.cluster.api import Api, ApiError
from tests.cluster.authority import Authority, private, public
from tfcanary.adapters.local.die_with_parent import die_with

START = 60.0
"""Seconds that a server may take; on a quiet machine all take three."""
HERE = "127.0.0.1"


class ControlPlane:
    """Runs from `start` to `stop`, its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.authority = Authority(folder)
        self._client, self._peer, port = free_ports(3)
        self.server = f"https://{HERE}:{port}"
        self._port = port
        self.admin = Api(self.server, self.authority.file, self.authority.issue("admin", "admin", ["system:masters"]))
        self.admin_kubeconfig = self.user_kubeconfig("admin", ["system:masters"])

    def start(self) -> None:
        """Until pods can be created. FileNotFoundError where the programs are missing; what has started by then is stopped by `stop`."""
        self._etcd()
        self._apiserver()
        self._await("kube-apiserver", lambda: self.admin.get("/readyz")["text"] == "ok")
        self._controllers()
        self._run("kube-scheduler", kubeconfig=self.user_kubeconfig("system:kube-scheduler"), leader_elect=False, secure_port=0)
        # Pods are refused until their namespace has its default service account.
        self._await("kube-controller-manager", lambda: self.admin.get("/api/v1/namespaces/default/serviceaccounts/default"))

    def stop(self) -> None:
        """At once: its data is thrown away, and a polite stop waits for every watch."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.admin.close()

    def user_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """For a user with a certificate; RBAC decides what it may do."""
        identity = self.authority.issue(user.replace(":", "-"), user, groups)
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return kubeconfig.write(path, self.server, self.authority.file, kubeconfig.certificate(identity))

    def tail(self, name: str, lines: int = 20) -> str:
        """The end of a server's log."""
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def _etcd(self) -> None:
        client, peer = f"http://{HERE}:{self._client}", f"http://{HERE}:{self._peer}"
        self._run(
            "etcd",
            data_dir=self.folder / "etcd",
            unsafe_no_fsync=True,
            log_level="warn",
            listen_client_urls=client,
            advertise_client_urls=client,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"default={peer}",
        )

    def _apiserver(self) -> None:
        names = (HERE, "10.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc")
        served = self.authority.issue("apiserver", "kube-apiserver", names=names)
        # The public half needs a file of its own: the private one is not understood there.
        key = ec.generate_private_key(ec.SECP256R1())
        self._signing = private(self.folder / "accounts.key", key)
        self._run(
            "kube-apiserver",
            etcd_servers=f"http://{HERE}:{self._client}",
            bind_address=HERE,
            secure_port=self._port,
            advertise_address=HERE,  # else it needs a default route
            endpoint_reconciler_type="none",  # an address of an Endpoints object may not be a loopback one
            tls_cert_file=served.certificate,
            tls_private_key_file=served.key,
            client_ca_file=self.authority.file,
            authorization_mode="Node,RBAC",
            allow_privileged=True,
            service_cluster_ip_range="10.0.0.0/24",
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=public(self.folder / "accounts.pub", key),
            service_account_signing_key_file=self._signing,
            default_not_ready_toleration_seconds=3,
            default_unreachable_toleration_seconds=3,
        )

    def _controllers(self) -> None:
        self._run(
            "kube-controller-manager",
            kubeconfig=self.user_kubeconfig("system:kube-controller-manager"),
            leader_elect=False,
            secure_port=0,
            use_service_account_credentials=True,
            kube_api_qps=500,  # with its own limits it takes four seconds longer to start
            kube_api_burst=1000,
            service_account_private_key_file=self._signing,
            root_ca_file=self.authority.file,
            cluster_signing_cert_file=self.authority.file,
            cluster_signing_key_file=self.authority.key_file,
            node_monitor_period="1s",
            node_monitor_grace_period="6s",
            node_eviction_rate=10,
        )

    def _run(self, name: str, **flags: Any) -> None:
        shown = {key.replace("_", "-"): str(value).lower() if isinstance(value, bool) else value for key, value in flags.items()}
        command = [str(binaries.find(name, "controlplane")), *(f"--{key}={value}" for key, value in shown.items())]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, preexec_fn=partial(die_with, os.getpid())
            )

    def _await(self, name: str, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + START
        while not self._says_yes(ready):
            assert self.processes[name].poll() is None, f"{name} has ended:\n{self.tail(name)}"
            assert time.monotonic() < deadline, f"{name} is not ready after {START:.0f} s:\n{self.tail(name)}"
            time.sleep(0.1)

    @staticmethod
    def _says_yes(ready: Callable[[], object]) -> bool:
        try:
            return bool(ready())
        except (OSError, ApiError):
            return False


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address, all free at this moment."""
    held = [socket.create_server((HERE, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
