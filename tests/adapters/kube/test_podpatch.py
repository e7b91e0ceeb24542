"""A plan's patch for the pod template."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.kube.test_manifests import IMAGE, VERSION, container_of, pod_of
from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.pod_patch import apply_patch, shared_volume
from tfcanary.core.domain import RunningPool
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan, ServingPlan


def with_patch(patch: dict[str, Any]) -> dict[str, Any]:
    return manifests.deployment("m", RunningPool(VERSION), Plan(serving=ServingPlan(image=IMAGE, pod_patch=patch)))


def server(**changed: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "server", **changed}]}}


BARE = with_patch({})["spec"]["template"]
ARGS = container_of(with_patch({}))["args"]
CONFIG = "--model_config_file=/etc/tfserving/models.config"


def test_an_empty_patch_changes_nothing_and_the_template_is_left_alone() -> None:
    before = copy.deepcopy(BARE)
    apply_patch(BARE, server(resources={"limits": {"nvidia.com/gpu": 1}}))
    assert apply_patch(BARE, {}) == BARE == before


def test_maps_are_merged_deep() -> None:
    container = container_of(with_patch(server(resources={"limits": {"nvidia.com/gpu": 1}})))
    assert container["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": 1}
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}


def test_lists_are_merged_by_kubernetes_keys() -> None:
    more = {"name": "cache", "mountPath": "/cache"}
    patch = server(volumeMounts=[more], env=[{"name": "A", "value": "1"}])
    patch["spec"]["volumes"] = [{"name": "cache", "emptyDir": {"medium": "Memory"}}, {"name": "tmp", "emptyDir": {}}]
    patch["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    patch["spec"]["imagePullSecrets"] = [{"name": "registry"}]
    pod = pod_of(with_patch(patch))
    assert [one["name"] for one in pod["containers"]] == ["server", "sidecar"]
    assert [one["mountPath"] for one in pod["containers"][0]["volumeMounts"]] == ["/etc/tfserving", "/tmp", "/cache"]
    assert [one["name"] for one in pod["volumes"]] == ["config", "tmp", "cache"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_other_lists_are_replaced() -> None:
    pod = pod_of(with_patch({"spec": {"tolerations": [{"key": "gpu"}], "nodeSelector": {"pool": "gpu"}}}))
    assert (pod["tolerations"], pod["nodeSelector"]) == ([{"key": "gpu"}], {"pool": "gpu"})
    merged = apply_patch({**BARE, "spec": {**BARE["spec"], "tolerations": [{"key": "old"}]}}, {"spec": {"tolerations": [{"key": "new"}]}})
    assert merged["spec"]["tolerations"] == [{"key": "new"}]


def test_null_removes() -> None:
    assert "limits" not in container_of(with_patch(server(resources={"limits": None})))["resources"]


def test_flags_may_be_added_beside_ours() -> None:
    args = [*ARGS, "--per_process_gpu_memory_fraction=0.5"]
    assert container_of(with_patch(server(args=args)))["args"] == args


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"metadata": {"labels": {"tfcanary.dev/model": "other"}}}, r"metadata\.labels\.tfcanary\.dev/model"),
        ({"metadata": {"labels": {"tfcanary.dev/version": None}}}, r"metadata\.labels\.tfcanary\.dev/version"),
        ({"metadata": {"labels": None}}, r"metadata\.labels"),
        (server(image="other"), "image: must stay 'tensorflow/serving@"),
        (server(command=["sh"]), "command"),
        (server(ports=[{"containerPort": 8500, "name": "other"}]), "ports"),
        (server(args=["--port=1"]), "args"),
        (
            server(args=[*container_of(with_patch({}))["args"], "--model_config_file=/mine"]),
            "--model_config_file=/etc/tfserving/models.config",
        ),
        (server(volumeMounts=[{"mountPath": "/etc/tfserving", "name": "mine"}]), "volumeMounts"),
        ({"spec": {"volumes": [{"name": "config", "configMap": {"name": "mine"}}]}}, "volumes"),
        ({"spec": {"volumes": None}}, "volumes"),
        ({"spec": {"containers": None}}, "image"),
        ({"spec": None}, "image"),
    ],
)
def test_what_the_release_rests_on_is_refused_by_its_path(patch: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused, match=rf"serving\.pod_patch.*{named}"):
        with_patch(patch)


def pull(**fields: Any) -> dict[str, Any]:
    return {"spec": {"initContainers": [{"name": "pull", **fields}]}}


def with_patch_in_s3(patch: dict[str, Any]) -> dict[str, Any]:
    version = replace(VERSION, uri="s3://bucket/m/42")
    return manifests.deployment("m", RunningPool(version), Plan(serving=ServingPlan(image=IMAGE, pod_patch=patch)), "tfcanary:1")


def test_what_copies_a_version_may_get_other_resources_and_variables() -> None:
    patch = pull(resources={"limits": {"memory": "2Gi"}}, env=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}])
    (container,) = with_patch_in_s3(patch)["spec"]["template"]["spec"]["initContainers"]
    assert container["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        (pull(command=["true"]), r"initContainers\[pull\]\.command"),
        (pull(args=["--digest=sha256:"]), r"initContainers\[pull\]\.args"),
        (pull(image="other"), r"initContainers\[pull\]\.image"),
        (pull(volumeMounts=[{"mountPath": "/models", "name": "mine"}]), r"initContainers\[pull\]\.volumeMounts"),
        ({"spec": {"initContainers": None}}, r"initContainers\[pull\]\.image"),
        ({"spec": {"volumes": [{"name": "version", "emptyDir": None, "hostPath": {"path": "/"}}]}}, r"spec\.volumes"),
    ],
)
def test_a_copy_that_is_not_compared_with_its_digest_cannot_be_served(patch: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused, match=rf"serving\.pod_patch\.spec.*{named}|serving\.pod_patch\.{named}"):
        with_patch_in_s3(patch)


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"spec": {"$patch": "replace"}}, r"spec\.\$patch: directives are not supported"),
        ({"spec": {"$retainKeys": ["containers"]}}, r"\$retainKeys"),
        ({"spec": {"containers": [{"name": "server", "$patch": "delete"}]}}, r"containers\[server\]\.\$patch"),
        ({"spec": {"containers": [{"image": "x"}]}}, r"spec\.containers\[0\]: must be an object with its `name`"),
        ({"spec": {"containers": {"name": "server"}}}, r"spec\.containers: must be a list"),
        ({"spec": "x"}, r"pod_patch\.spec: must be an object"),
        (server(ports=[{"name": "rest"}]), "with its `containerPort`"),
    ],
)
def test_what_is_no_patch_is_refused_by_its_path(patch: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused, match=named):
        with_patch(patch)


def test_the_volume_of_a_shared_folder_is_found() -> None:
    volume = {"name": "models", "hostPath": {"path": "/srv"}}
    mount = {"name": "models", "mountPath": "/srv/models"}
    patch = {"spec": {"volumes": [volume], "containers": [{"name": "server", "volumeMounts": [mount]}]}}
    assert shared_volume(patch, "/srv/models/team") == shared_volume(patch, "/srv/models/") == (volume, mount)
    assert shared_volume(patch, "/srv/models2") is None
    assert shared_volume({}, "/srv/models") is None
