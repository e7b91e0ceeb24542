"""The guard of a release on a real API server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, plan_for
from tests.adapters.kube.test_deployer import foreign
from tests.cluster.waiting import until
from tfcanary.adapters.kube import guards
from tfcanary.adapters.kube.guards import KubeGuards, guarded_run, own_image
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, PODS
from tfcanary.core.errors import Refused
from tfcanary.core.plan import GuardPodPlan

slow = pytest.mark.slow


def present(api: Api) -> dict[str, Any] | None:
    return api.get(DEPLOYMENTS, "m-guard")


def bound(api: Api, image: str = "tfcanary:1", installed: bool = False) -> KubeGuards:
    plan = replace(plan_for(Path("/models")), guard=GuardPodPlan(image=image, installed=installed, service_account="default"))
    return KubeGuards(api, "m", plan)


@slow
def test_a_guard_runs_until_its_release_stops_it(api: Api, make: MakePlace) -> None:
    bound(api).start("run 1")
    (pod,) = until(lambda: api.list(PODS, {"app.kubernetes.io/component": "guard"}))
    assert "--run-id=run 1" in pod["spec"]["containers"][0]["command"]
    bound(api).stop("run 1")
    assert present(api) is None
    bound(api).stop("run 1")


@slow
def test_a_guard_that_guards_already_is_left_alone(api: Api) -> None:
    bound(api).start("run 1")
    before = present(api)
    bound(api, image="tfcanary:2").start("run 1")
    after = present(api)
    assert before
    assert after
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


@slow
def test_the_next_release_takes_the_guard_over_and_the_former_one_cannot_stop_it(api: Api) -> None:
    bound(api).start("run 1")
    bound(api).start("run 2")
    bound(api).stop("run 1")
    assert guarded_run(present(api)) == "run 2"


@slow
def test_where_an_administrator_has_installed_one_none_is_started(api: Api) -> None:
    bound(api, installed=True).start("run 1")
    assert present(api) is None


@slow
def test_a_deployment_of_the_guards_name_that_is_not_ours_is_refused(api: Api) -> None:
    api.create(DEPLOYMENTS, foreign("m-guard"))
    with pytest.raises(Refused, match=r"Deployment m-guard .* was not made by tfcanary"):
        bound(api).start("run 1")
    bound(api).stop("run 1")
    assert present(api)


# Which image


def step(*containers: str) -> dict[str, Any]:
    pod = [{"name": name, "image": f"registry/{name}:1", "command": ["sleep", "9"]} for name in containers]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "step"}, "spec": {"containers": pod}}


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    monkeypatch.setenv("HOSTNAME", "step")


@slow
@pytest.mark.parametrize(("containers", "image"), [(["wait", "main"], "registry/main:1"), (["only"], "registry/only:1")])
def test_a_step_finds_its_own_image(api: Api, in_pod: None, containers: list[str], image: str) -> None:
    api.create(PODS, step(*containers))
    assert own_image(api) == image


@slow
def test_a_step_in_another_namespace_finds_its_own_image(api: Api, in_pod: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.create(PODS, step("main"))
    (tmp_path / "namespace").write_text(api.namespace)
    monkeypatch.setattr(guards, "OWN_NAMESPACE", tmp_path / "namespace")
    assert own_image(api.elsewhere("default")) == "registry/main:1"


@slow
def test_an_image_that_is_unknown_is_refused_with_what_to_set(api: Api, in_pod: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"there is no pod step in namespace .*; set guard\.image in the plan"):
        bound(api, image="").start("run 1")
    api.create(PODS, step("a", "b"))
    with pytest.raises(Refused, match=r"has the containers a, b and none is called main; set guard\.image"):
        own_image(api)
    monkeypatch.delenv("HOSTNAME")
    with pytest.raises(Refused, match=r"this is no pod; set guard\.image"):
        own_image(api)
