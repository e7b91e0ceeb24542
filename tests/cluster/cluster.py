"""The cluster of a test run: our own control plane with two nodes of processes, or any cluster that a kubeconfig leads to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.binaries import crds
from tests.cluster import kubeconfig
from tests.cluster.addresses import subnet
from tests.cluster.api import Api, ApiError, Json
from tests.cluster.controlplane import ControlPlane
from tests.cluster.images import IMAGES, Image
from tests.cluster.node import Node, Shared
from tests.cluster.waiting import until

GIVEN = "TFCANARY_TEST_KUBECONFIG"
"""The variable that names a kubeconfig: the tests then run on that cluster."""
NODES = ("a", "b")
DEFINITIONS = (
    "gateways.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
)
DEFINED = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass
class Cluster:
    """What tests know of it."""

    api: Api
    """As its administrator."""
    kubeconfig: Path
    """The administrator's."""
    authority: Path
    """The certificate that the API server's is signed with."""
    folder: Path
    control_plane: ControlPlane | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    """By name; none on a cluster that was given."""
    shared: Shared | None = None

    @property
    def images(self) -> dict[str, Image]:
        """What repositories' names stand for; a test may add some."""
        assert self.shared, "a cluster that was given pulls its own images"
        return self.shared.images

    def use_for_pods(self, url: str = "", **environment: str) -> None:
        """Where pods find the API server (a proxy in front of it), and variables that all of them get: from now on, for new ones."""
        assert self.shared, "a cluster that was given has pods of its own"
        self.shared.api_url_for_pods, self.shared.environment = url, environment

    def apply(self, source: Path | str | Iterable[Json], namespace: str = "") -> list[Json]:
        """Server-side apply of documents, of a file, of a folder's files, or of YAML text; what names no namespace goes into this one."""
        return [self.api.apply(document, namespace) for document in documents(source)]

    def api_as(self, namespace: str, account: str) -> Api:
        """Plain calls as a service account that exists; to be closed."""
        return Api(self.api.server, self.authority, token=self.api.token(namespace, account))

    def account_kubeconfig(self, namespace: str, account: str, server: str = "") -> Path:
        """For a service account, with a fresh token; `server`: a proxy in front of the API server."""
        user = {"token": self.api.token(namespace, account)}
        path = self.folder / f"{namespace}-{account}{'-by-proxy' if server else ''}.kubeconfig"
        return kubeconfig.write(path, server or self.api.server, self.authority, user, namespace)

    def pid(self, namespace: str, pod: str, container: str = "") -> int | None:
        """The process of a pod's container (its first one); None where none runs."""
        pods = [one for node in self.nodes.values() for one in tuple(node.pods.values()) if (one.namespace, one.name) == (namespace, pod)]
        processes = [one.process for found in pods for one in found.containers if container in ("", one.status["name"])]
        return next((one.pid for one in processes if one and one.wait(0) is None), None)

    def output(self, namespace: str, pod: str = "") -> str:
        """What the containers of a namespace, or of one pod, have printed; also of those that are gone."""
        logs = sorted((self.folder / "logs").glob(f"{namespace}_{pod}*.log"))
        return "\n".join(f"--- {log.stem}\n{log.read_text(errors='replace')}" for log in logs)

    def tensorflow(self, module: str, *arguments: str) -> None:
        """Run a module, such as one that exports a model, in a process that need not import TensorFlow first."""
        assert self.shared, "a cluster that was given has no processes here"
        log = self.folder / "logs" / f"{module}.log"
        code = self.shared.forks(True).fork(module, arguments, log).wait()
        assert code == 0, log.read_text()

    def run_no_pods(self, namespace: str, seconds: float = 30.0) -> None:
        """Wait until no process of the namespace is left."""
        until(
            lambda: [pod.name for node in self.nodes.values() for pod in tuple(node.pods.values()) if pod.namespace == namespace],
            lambda left: not left,
            seconds,
        )


def documents(source: Path | str | Iterable[Json]) -> list[Json]:
    """The documents of a file, a folder, a YAML text, or a list of them."""
    if isinstance(source, Path):
        files = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
        return [document for file in files for document in documents(file.read_text())]
    if isinstance(source, str):
        return [document for document in yaml.safe_load_all(source) if document]
    return list(source)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Our own, or the one that was given. Raises FileNotFoundError or NoAddresses where ours cannot be."""
    elsewhere = os.environ.get(GIVEN)
    with given(Path(elsewhere), folder) if elsewhere else own(folder) as cluster:
        yield cluster


@contextlib.contextmanager
def given(path: Path, folder: Path) -> Iterator[Cluster]:
    """Somebody's cluster, with what it has."""
    api = kubeconfig.read(path, folder)
    with contextlib.closing(api):
        yield Cluster(api, path, kubeconfig.authority(path, folder), folder)


@contextlib.contextmanager
def own(folder: Path) -> Iterator[Cluster]:
    """Our own; every process is gone afterwards."""
    with contextlib.ExitStack() as stack:
        subnets = {name: stack.enter_context(subnet()) for name in NODES}
        definitions = [crds.find(name) for name in DEFINITIONS]
        control_plane = ControlPlane(folder)
        stack.callback(control_plane.stop)
        control_plane.start()
        shared = Shared(control_plane, folder, dict(IMAGES))
        stack.callback(shared.stop)
        cluster = Cluster(control_plane.admin, control_plane.admin_kubeconfig, control_plane.authority.file, folder, control_plane)
        cluster.shared = shared
        for name, addresses in subnets.items():
            cluster.nodes[name] = Node(name, addresses, shared)
            stack.callback(cluster.nodes[name].stop)
        define(cluster.api, definitions)
        yield cluster


def define(api: Api, definitions: Iterable[Path]) -> None:
    """Custom resources, which are served when this returns. As text: the server reads YAML faster than we do."""
    names = [str(api.call("POST", DEFINED, file.read_text(), "application/yaml")["metadata"]["name"]) for file in definitions]
    for name in names:
        until(lambda name=name: _established(api, name))  # type: ignore[misc]


def _established(api: Api, name: str) -> bool:
    conditions = api.get(f"{DEFINED}/{name}")["status"].get("conditions") or []  # null at first
    if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        return False
    group, plural = name.partition(".")[2], name.partition(".")[0]
    try:  # and served
        return any(one["name"] == plural for version in _versions(api, group) for one in api.get(f"/apis/{version}")["resources"])
    except ApiError:
        return False


def _versions(api: Api, group: str) -> list[str]:
    return [version["groupVersion"] for version in api.get(f"/apis/{group}")["versions"]]
