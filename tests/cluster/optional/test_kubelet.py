"""The pods of tfcanary on a real kubelet: started, contained, with their files, and ended, as the manifests say.

Not TensorFlow Serving itself: in its place is a small program that ends where it could not have done its work.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import binaries
from tests.cluster.api import Api, ApiError, Json
from tests.cluster.controlplane import ControlPlane
from tests.cluster.manifests import available, container_status, pods
from tests.cluster.optional import optional
from tests.cluster.optional.oci import Archive
from tests.cluster.optional.realnode import RealNode, missing
from tests.cluster.waiting import until
from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.pods import server
from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import ModelVersion, Pool, RunningPool
from tfcanary.core.plan import BucketPlan, GuardPodPlan, Plan, ServingPlan

pytestmark = [pytest.mark.slow, optional, pytest.mark.timeout(1200)]

MODEL = "m"
RUN_ID = "a b; $(HOSTNAME) $$ `id`"
"""Nothing of it may be expanded on its way."""


@dataclass
class Place:
    """A namespace, served by the real node."""

    api: Api
    node: RealNode
    namespace: str
    bucket: Path
    plan: Plan
    image: str

    def apply(self, *documents: Json) -> None:
        for document in documents:
            self.api.apply(document, self.namespace)

    def serve(self, number: int, base: Path | None = None, grace: int = 30) -> None:
        """A version with one pod."""
        version = ModelVersion(number, f"{base or self.bucket / MODEL}/{number}", "sha256:" + "0" * 64)
        patch: Any = {"spec": {**self.plan.serving.pod_patch["spec"], "terminationGracePeriodSeconds": grace}}  # type: ignore[dict-item]
        plan = replace(self.plan, serving=replace(self.plan.serving, pod_patch=patch))
        pool = RunningPool(version)
        self.apply(manifests.config_map(MODEL, pool, plan.serving), manifests.deployment(MODEL, pool, plan))

    def up(self, number: int) -> Any:
        """What the server of a version says, once Kubernetes sends it requests."""
        until(lambda: available(self.api, self.namespace, object_names.deployment(MODEL, Pool(number))) == 1, seconds=90)
        return asked(self.pod(number))

    def pod(self, number: int) -> Json:
        (found,) = pods(self.api, self.namespace, **object_names.selector(MODEL, Pool(number)))
        return found


def asked(pod: Json, page: str = "") -> Any:
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{object_names.REST}/{page}", timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Api, RealNode]]:
    """A control plane whose only node is real."""
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="node-"))
    folder.chmod(0o755)  # the users of pods go through it to the bucket
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(binaries.alone("realnode"))  # a bridge and a subnet of the machine
        control_plane = ControlPlane(folder)
        real = RealNode(control_plane, folder)
        stack.callback(control_plane.stop)
        stack.callback(real.stop)
        try:
            control_plane.start()
            real.start()
        except FileNotFoundError as error:
            pytest.skip(str(error))
        until(lambda: _ready(control_plane.admin, real.name), seconds=60)
        yield control_plane.admin, real


def _ready(api: Api, name: str) -> bool:
    try:
        conditions = api.get(f"/api/v1/nodes/{name}")["status"]["conditions"]
    except ApiError:
        return False
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.fixture
def place(node: tuple[Api, RealNode]) -> Iterator[Place]:
    api, real = node
    made = api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}})
    namespace = str(made["metadata"]["name"])
    until(lambda: api.items(f"/api/v1/namespaces/{namespace}/serviceaccounts"))
    bucket = real.folder / f"bucket-{namespace}"
    (bucket / MODEL / "1").mkdir(parents=True)
    program = binaries.find("standin", "kubelet").read_bytes()
    image = Archive({"usr/bin/tensorflow_model_server": program, "usr/bin/python": program})
    pinned = f"registry.example/serving@{image.digest}"
    real.load(pinned, image)
    yield Place(api, real, namespace, bucket, _plan(pinned, bucket), pinned)
    api.delete(f"/api/v1/namespaces/{namespace}")
    for kind in ("deployments", "replicasets"):
        api.delete(f"/apis/apps/v1/namespaces/{namespace}/{kind}")
    api.delete(f"/api/v1/namespaces/{namespace}/pods", grace=0)
    until(lambda: not api.items(f"/api/v1/namespaces/{namespace}/pods"), seconds=60)


def _plan(image: str, bucket: Path) -> Plan:
    server = {"name": "server", "volumeMounts": [{"name": "models", "mountPath": str(bucket), "readOnly": True}]}
    patch = {"spec": {"volumes": [{"name": "models", "hostPath": {"path": str(bucket)}}], "containers": [server]}}
    return Plan(
        serving=ServingPlan(image=image, cpu="100m", memory="128Mi", pod_patch=patch),
        bucket=BucketPlan(canary=str(bucket)),
        guard=GuardPodPlan(image=image, service_account="default"),
    )


def contained(says: Json) -> None:
    """Without root, privileges, system calls that nobody needs, and a root that can be written."""
    assert says["status"]["CapEff"] == says["status"]["CapPrm"] == says["status"]["CapBnd"] == "0" * 16
    assert (says["status"]["NoNewPrivs"], says["status"]["Seccomp"]) == ("1", "2")
    assert says["root"].endswith("read-only file system")
    assert says["tmp"] == "", "the container's own /tmp can be written"


def test_a_server_is_started_from_its_pinned_image_and_contained(place: Place) -> None:
    place.serve(1)
    says = place.up(1)
    contained(says)
    assert (says["uid"], says["gid"]) == (manifests.USER, manifests.USER)
    assert says["args"][0] == manifests.COMMAND[0]
    assert says["token"].endswith("no such file or directory")
    status = container_status(place.api, place.namespace, **object_names.selector(MODEL, Pool(1)))
    assert status["imageID"].rpartition("@")[2] == place.image.rpartition("@")[2]
    assert (status["ready"], status["started"], status["restartCount"]) == (True, True, 0)


def test_a_servers_files_are_where_its_arguments_say_and_its_model_can_be_read(place: Place) -> None:
    place.serve(1)
    says = place.up(1)
    assert f'base_path: "{place.bucket / MODEL}"' in says["config"]
    assert says["monitoring"].startswith("prometheus_config")
    assert says["mount"].endswith("read-only file system")
    assert says["model"] == ["1"]


def test_a_server_that_ends_says_why_with_its_last_line(place: Place) -> None:
    """By the kubelet's status, as the release reads it."""
    place.serve(3, base=place.bucket / "nothing")

    def seen() -> Any:
        found = pods(place.api, place.namespace, **object_names.selector(MODEL, Pool(3)))
        return server(found[0], datetime.now(UTC)) if found else None

    ended = until(seen, lambda one: one and one.failed, seconds=90)
    assert f"Could not find base path {place.bucket}/nothing" in ended.message
    assert "exit code 1, 2 times so far" in ended.message
    assert not ended.available


def test_a_server_that_is_to_end_serves_on_until_it_is_killed(place: Place) -> None:
    place.serve(1, grace=8)
    place.up(1)
    pod = place.pod(1)
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod['metadata']['name']}"
    assert asked(pod, "told-to-end") == 0
    deployment = object_names.deployment(MODEL, Pool(1))
    place.api.merge(f"/apis/apps/v1/namespaces/{place.namespace}/deployments/{deployment}", {"spec": {"replicas": 0}})
    until(lambda: asked(pod, "told-to-end") == 1)
    assert asked(pod)["model"] == ["1"]
    until(lambda: _gone(place.api, path), seconds=60)
    with pytest.raises(OSError, match=r".+"):
        asked(pod)


def _gone(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        return error.status == 404
    return False


def test_a_guard_is_started_contained_with_its_token_and_its_run(place: Place) -> None:
    place.apply(manifests.guard(MODEL, place.namespace, RUN_ID, place.plan, place.image))
    until(lambda: available(place.api, place.namespace, object_names.guard(MODEL)) == 1, seconds=90)
    (pod,) = pods(place.api, place.namespace, **{object_names.MODEL: MODEL, "app.kubernetes.io/component": "guard"})
    says = until(answering(pod), seconds=30)
    contained(says)
    assert (says["uid"], says["gid"]) == (manifests.GUARD_USER, manifests.GUARD_USER)
    assert says["args"][1:] == [
        "-m",
        "tfcanary",
        "guard",
        "--platform",
        f"kube://{place.namespace}",
        "--model",
        MODEL,
        f"--run-id={RUN_ID}",
    ]
    assert says["home"] == "/tmp"
    assert says["token"] == "", "its account's token can be read by a user without a name"


def answering(pod: Json) -> Callable[[], Any]:
    """A guard has no probe: it is available before it listens."""

    def ask() -> Any:
        try:
            return asked(pod)
        except OSError:
            return None

    return ask
