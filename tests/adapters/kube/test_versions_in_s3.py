"""A version in S3 on a real API server: the init container copies it, and a real model server serves the copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kube.conftest import SMALL, Place
from tests.adapters.kube.test_manifests import IMAGE
from tests.adapters.storage.conftest import s3_server
from tests.adapters.storage.gcs_server import BUCKET
from tests.adapters.storage.s3_server import S3Server
from tests.adapters.storage.verbs import store
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import PODS
from tfcanary.adapters.storage.s3 import S3Storage
from tfcanary.core.domain import ModelVersion, RunningPool
from tfcanary.core.plan import BucketPlan, DeployPlan, GuardPodPlan, Plan, ServingPlan
from tfcanary.core.ports import Server
from tfcanary.look.savedmodel import manifest

__all__ = ["s3_server"]

pytestmark = pytest.mark.slow

# The pods of the tests share this machine, so the file of the Secret is not where a container would see it.
VARIABLES = {"AWS_CONFIG_FILE": "/etc/tfcanary/s3/config", "AWS_EC2_METADATA_DISABLED": "true"}
PULL = {"name": "pull", "resources": SMALL, "env": [{"name": name, "value": value} for name, value in VARIABLES.items()]}
PATCH = {
    "spec": {
        "terminationGracePeriodSeconds": 2,
        "initContainers": [PULL],
        "containers": [{"name": "server", "resources": SMALL}],
    }
}
PLAN = Plan(
    serving=ServingPlan(image=IMAGE, pod_patch=PATCH),
    bucket=BucketPlan(canary=f"s3://{BUCKET}/models"),
    deploy=DeployPlan(ready_timeout=timedelta(seconds=60)),
    guard=GuardPodPlan(image="tfcanary:1"),
)
Serve = Callable[..., None]


@pytest.fixture
def place(api: Api, cluster: Cluster, models: Path) -> Place:
    """A namespace that takes no pod but a restricted one."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.api.merge(f"/api/v1/namespaces/{api.namespace}", {"metadata": {"labels": restricted}})
    return Place(api, models, PLAN)


@pytest.fixture
def secret(place: Place, cluster: Cluster, s3_server: S3Server) -> None:
    lines = ["[default]", f"endpoint_url = {s3_server.url}", "aws_access_key_id = key", "aws_secret_access_key = secret", ""]
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tfcanary-s3"}, "stringData": {"config": "\n".join(lines)}}
    cluster.apply([made], place.api.namespace)


@pytest.fixture
def deploy(place: Place, models: Path, s3_server: S3Server) -> Serve:
    """Deploys version 1, which lies in the bucket, under its digest or another one."""
    model = models / "m" / "1"
    names = sorted(str(path.relative_to(model)) for path in model.rglob("*") if path.is_file())
    store(S3Storage(BUCKET, "models/m/"), model, "1", names)

    def deployed(digest: str = "") -> None:
        version = ModelVersion(1, f"s3://{BUCKET}/models/m/1", digest or manifest(model).digest)
        place.deployer.deploy(RunningPool(version), place.intent())

    return deployed


def failed(place: Place) -> Server:
    found: Any = until(lambda: [one for one in place.servers(1) if one.failed], seconds=120)
    return replace(found[0], name="")


def test_a_version_in_s3_is_served_in_a_namespace_that_takes_restricted_pods_only(place: Place, secret: None, deploy: Serve) -> None:
    deploy()
    until(lambda: place.servers(1), lambda found: found and all(one.available for one in found), seconds=120)
    (pod,) = place.api.list(PODS, {"tfcanary.dev/version": "1"})
    (initial,) = pod["status"]["initContainerStatuses"]
    assert initial["state"]["terminated"]["exitCode"] == 0


def test_other_bytes_than_those_that_were_validated_are_never_served(place: Place, secret: None, deploy: Serve) -> None:
    deploy("sha256:" + "0" * 64)
    said = failed(place).message
    assert f"Error: tfcanary: s3://{BUCKET}/models/m/1: has the digest sha256:" in said
    assert "its files are not the ones that were pushed; exit code 2, 2 times so far" in said


def test_a_namespace_without_the_secret_is_told_in_one_sentence(place: Place, deploy: Serve) -> None:
    deploy()
    said = failed(place).message
    assert f"tfcanary: s3://{BUCKET}/models/m/" in said
    assert "no valid S3 credentials" in said
    assert "make the Secret tfcanary-s3 on a cluster" in said
