"""A real node: kubelet, containerd and runc, as children of the test run.

Root is needed, and on Debian `apt-get install --no-install-recommends containerd runc containernetworking-plugins`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

from tests import binaries
from tests.cluster.controlplane import HERE, ControlPlane, free_ports
from tests.cluster.optional.oci import Archive
from tests.cluster.waiting import until
from tfcanary.adapters.local.die_with_parent import die_with

PROGRAMS = {"containerd": "containerd", "ctr": "containerd", "runc": "runc", "ip": "iproute2", "umount": "mount"}
"""What is used, and Debian's package of it."""
PLUGINS = Path("/usr/lib/cni")
BRIDGE = "tfcanary0"
SUBNET = "10.245.0.0/24"
PAUSE = "docker.io/tfcanary/pause:1"
LEASE = 4
"""Seconds; the kubelet renews it four times as often, and the control plane gives a node up after six."""
CONTAINERD = """version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  # Where the right to lower the score is missing, runc ends with "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


def missing() -> str:
    """Why there can be no such node here; empty where there can."""
    if os.geteuid() != 0:
        return "a real kubelet needs root"
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian's package {package})"
    if not all((PLUGINS / one).exists() for one in ("bridge", "host-local", "loopback")):
        return f"{PLUGINS} has no bridge, host-local and loopback (Debian's package containernetworking-plugins)"
    return ""


def _network(folder: Path) -> dict[str, object]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": SUBNET}]], "dataDir": f"{folder}/addresses"}
    plugin = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]}


class RealNode:
    """Runs from `start` to `stop`. `folder` has a short path: the names of sockets may not be long."""

    def __init__(self, control_plane: ControlPlane, folder: Path, name: str = "real") -> None:
        self.folder, self.name = folder, name
        self._kubeconfig = control_plane.user_kubeconfig(f"system:node:{name}", ["system:nodes"])
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """FileNotFoundError where programs are missing; what has started by then is stopped by `stop`."""
        kubelet = binaries.find("kubelet", "kubelet")
        pause = binaries.find("testpause", "kubelet").read_bytes()
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(_network(self.folder)))
        configuration = CONTAINERD.format(folder=self.folder, pause=PAUSE, plugins=PLUGINS)
        (self.folder / "containerd.toml").write_text(configuration)
        (self.folder / "kubelet.json").write_text(json.dumps(self._configuration()))
        self._run("containerd", f"--config={self.folder}/containerd.toml")
        until(lambda: self._ctr("version").returncode == 0, seconds=60)
        self.load(PAUSE, Archive({"pause": pause}, "/pause"))
        flags = {"config": "kubelet.json", "root-dir": "kubelet", "cert-dir": "pki"}
        paths = [f"--{flag}={self.folder}/{path}" for flag, path in flags.items()]
        self._run(str(kubelet), *paths, f"--kubeconfig={self._kubeconfig}", f"--hostname-override={self.name}")

    def stop(self) -> None:
        """Containers, mounts and the bridge outlive both programs."""
        for process in reversed(self._processes):
            if process is self._processes[0]:
                self._end_containers()
            process.terminate()
            process.wait(30)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", place], capture_output=True)
        subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)

    def load(self, name: str, archive: Archive) -> None:
        """Make an image known by a name, as if it had been pulled."""
        done = self._ctr("--namespace=k8s.io", "images", "import", "-", given=archive.named(name))
        assert done.returncode == 0, done.stderr.decode()

    def tail(self, program: str) -> str:
        """The end of a program's log."""
        return (self.folder / f"{program}.log").read_text(errors="replace")[-3000:]

    def _end_containers(self) -> None:
        for task in self._ctr("--namespace=k8s.io", "tasks", "list", "--quiet").stdout.decode().split():
            self._ctr("--namespace=k8s.io", "tasks", "delete", "--force", task)

    def _configuration(self) -> dict[str, object]:
        (port,) = free_ports(1)
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": HERE,
            "port": port,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "failSwapOn": False,
            "failCgroupV1": False,
            "containerRuntimeEndpoint": f"unix://{self.folder}/containerd.sock",
            "makeIPTablesUtilChains": False,
            "localStorageCapacityIsolation": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "10Mi"},
            "nodeLeaseDurationSeconds": LEASE,
        }

    def _ctr(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["ctr", f"--address={self.folder}/containerd.sock", *arguments]
        return subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{Path(program).name}.log").open("wb") as log:
            tether = partial(die_with, os.getpid())
            made = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=tether)
            self._processes.append(made)
