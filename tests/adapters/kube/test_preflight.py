"""What would stop a release later is found before its first write, and what it would write is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.adapters.kube.test_deployer import foreign
from tests.cluster.cluster import Cluster
from tests.cluster.site import gateway_object
from tests.cluster.waiting import until
from tfcanary import __version__, adapters
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, RESOURCE_QUOTAS, SERVICES
from tfcanary.adapters.routing.gateway import HTTP_ROUTES
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, GuardPodPlan, MetricsPlan, Plan, ServingPlan, TrafficPlan
from tfcanary.core.ports import Change, Platform
from tfcanary.core.record import Record

pytestmark = pytest.mark.slow

RECORD = Record(model="m", writer=__version__)


@pytest.fixture
def place(make: MakePlace, cluster: Cluster) -> Place:
    made = make()
    cluster.apply([gateway_object()], made.api.namespace)
    return made


def opened(place: Place, **changed: Any) -> Platform:
    return adapters.open_platform(f"kube://{place.api.namespace}", "m", replace(place.plan, **changed))


def check(place: Place, **changed: Any) -> None:
    opened(place, **changed).preflight.check(RECORD)


def test_a_sound_plan_passes_and_nothing_is_written(place: Place) -> None:
    check(place)
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        assert place.api.list(resource) == ()


def test_a_quota_without_room_for_the_servers_of_every_stage_is_refused(place: Place) -> None:
    place.up(1, 2)
    place.assign(Track.STABLE, 1)
    stable = replace(RECORD, stable=place.version(1))
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "4"}}}
    place.api.create(RESOURCE_QUOTAS, body)
    until(lambda: (place.api.get(RESOURCE_QUOTAS, "small") or {}).get("status", {}).get("used", {}).get("pods") == "2")
    opened(place).preflight.check(stable)
    with pytest.raises(Refused, match=r"small allows pods 4, and 2 is used; the largest stage and the promotion need 4 more pods"):
        opened(place, deploy=replace(place.plan.deploy, baseline=True)).preflight.check(stable)


def broken(**changed: Any) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, **changed)


def serving_with(**changed: Any) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, serving=replace(plan.serving, **changed))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken(serving=ServingPlan()), r"serving\.image: is missing"),
        (broken(bucket=BucketPlan()), r"bucket\.canary: is missing"),
        (
            broken(bucket=BucketPlan(canary="/elsewhere")),
            r"bucket\.canary '/elsewhere': is a directory, and serving\.pod_patch mounts no volume",
        ),
        (broken(metrics=MetricsPlan()), r"metrics\.url: is missing"),
        (broken(traffic=TrafficPlan()), r"traffic\.gateway"),
        (broken(traffic=TrafficPlan(gateway="none")), r"there is no Gateway none"),
        (broken(guard=GuardPodPlan(service_account="nobody")), r"guard\.service_account 'nobody': namespace .* has none"),
        (lambda plan: replace(plan, serving=replace(plan.serving, cpu="much")), r"serving\.cpu 'much'"),
        (
            lambda plan: replace(plan, serving=replace(plan.serving, pod_patch={"spec": {"$patch": "x"}})),
            r"serving\.pod_patch\.spec\.\$patch",
        ),
    ],
)
def test_what_the_plan_lacks_is_refused_by_its_field(place: Place, change: Callable[[Plan], Plan], said: str) -> None:
    place.plan = change(place.plan)
    with pytest.raises(Refused, match=said):
        check(place)


def test_objects_that_are_not_ours_are_refused(place: Place) -> None:
    place.api.create(DEPLOYMENTS, foreign("m-guard"))
    with pytest.raises(Refused, match=r"Deployment m-guard .* was not made by tfcanary"):
        check(place)
    service = manifests.service("m", Track.CANARY, {"app": "theirs"}, place.plan.serving)
    service["metadata"]["labels"] = {}
    place.api.create(SERVICES, service)
    with pytest.raises(Refused, match=r"Service m-canary .* was not made by tfcanary"):
        check(place)


def test_a_service_that_would_select_both_tracks_is_refused(place: Place) -> None:
    """The stable was taken over with the label app=m, and the patch gives it to the candidate, too."""
    place.api.create(SERVICES, manifests.service("m", Track.STABLE, {"app": "m"}, place.plan.serving))
    check(place)
    labelled = {**place.plan.serving.pod_patch, "metadata": {"labels": {"app": "m"}}}
    with pytest.raises(Refused, match=r"Service m-stable selects \{'app': 'm'\}, and the candidate's pods have these labels, too"):
        check(place, serving=replace(place.plan.serving, pod_patch=labelled))


def test_rights_that_are_missing_are_told_all_at_once(place: Place, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"apiGroups": ["", "apps"], "resources": ["configmaps", "services", "pods", "deployments"], "verbs": ["get", "list"]}]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": rules}
    subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": place.api.namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    binding = {**role, "kind": "RoleBinding", "subjects": subjects, "roleRef": reference}
    binding.pop("rules")
    cluster.apply([account, role, binding], place.api.namespace)
    monkeypatch.setenv("KUBECONFIG", str(cluster.account_kubeconfig(place.api.namespace, "reader")))
    with pytest.raises(Refused, match=r"we may not: .*patch deployments\.apps.*list endpointslices\.discovery\.k8s\.io") as raised:
        check(place)
    assert "list pods" not in str(raised.value)


def test_a_namespace_that_does_not_exist_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="nowhere"):
        adapters.open_platform("kube://nowhere", "m", replace(place.plan, guard=GuardPodPlan(installed=True))).preflight.check(RECORD)


# The doctor: the same list, and what a double cannot show: that the questions are those that a real API server understands


def examined(place: Place, **changed: Any) -> dict[str, tuple[str, str]]:
    plan = replace(place.plan, **changed)
    found = adapters.examine(f"kube://{place.api.namespace}", Requirements(plan, "m", account="default"))
    return {one.about.removeprefix("doctor/"): (one.finding.value, one.reason) for one in found.evidence}


def test_a_real_api_server_understands_every_question_of_the_doctor(place: Place) -> None:
    found = examined(place)
    assert found["api"][0] == "pass", found["api"]
    assert found["identity"][1].startswith("the server knows us as ")
    assert [found[name][0] for name in ("namespace", "rights", "records", "router/kinds")] == ["pass"] * 4, found
    assert "may not: get configmaps, create configmaps" in found["accounts/steps"][1]
    assert "may not: get configmaps, list configmaps" in found["guard"][1]
    assert found["router/gateway"][0] in ("pass", "warn"), found["router/gateway"]


def test_what_a_real_api_server_lacks_is_red(place: Place) -> None:
    found = examined(place, traffic=TrafficPlan(gateway="none"))
    assert found["router/gateway"] == (
        "fail",
        f"traffic.gateway 'none': there is no Gateway none in namespace {place.api.namespace}; create it, or name another",
    )
    nowhere = adapters.examine("kube://nowhere", Requirements(place.plan, "m"))
    assert "namespace nowhere does not exist" in next(one.reason for one in nowhere.evidence if one.about == "doctor/namespace")


# What would be written


def by_name(changes: Any) -> dict[str, Change]:
    return {one.name: one for one in changes}


def test_every_object_of_a_release_is_shown_before_and_after_and_nothing_is_written(place: Place) -> None:
    place.serve(1)
    before = place.api.get(SERVICES, "m-stable")
    changes = by_name(opened(place).preflight.changes(place.version(2)))
    names = [name for name in changes if not name.startswith("ConfigMap m-v2-")]
    budget = "PodDisruptionBudget m-v2"
    assert names == ["Deployment m-v2", budget, "Service m-stable", "Service m-canary", "HTTPRoute m", "Deployment m-guard"]
    assert [name for name, one in changes.items() if one.before is not None] == ["Service m-stable"]
    stable = changes["Service m-stable"]
    assert stable.before == stable.after
    assert changes["Service m-canary"].after["spec"]["selector"]["tfcanary.dev/version"] == "2"
    # As the API server would make it, with its own defaults.
    assert changes["Deployment m-v2"].after["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    assert all({"managedFields", "uid", "resourceVersion"} & one.after["metadata"].keys() == set() for one in changes.values())
    assert all("status" not in one.after for one in changes.values())
    assert place.api.get(DEPLOYMENTS, "m-v2") is None
    assert place.api.get(SERVICES, "m-canary") is None
    assert place.api.get(SERVICES, "m-stable") == before


def test_a_baseline_shows_its_own_servers_of_the_stable_version_and_its_service(place: Place) -> None:
    place.serve(1)
    made = opened(place, deploy=replace(place.plan.deploy, baseline=True), serving=replace(place.plan.serving, canary_replicas=2))
    changes = by_name(made.preflight.changes(place.version(2)))
    own = [name for name in changes if "baseline" in name and not name.startswith("ConfigMap")]
    assert own == ["Service m-baseline", "Deployment m-v1-baseline", "PodDisruptionBudget m-v1-baseline"]
    deployment = changes["Deployment m-v1-baseline"].after
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["annotations"]["tfcanary.dev/digest"] == place.version(1).digest
    assert changes["Service m-baseline"].after["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]


def test_a_first_release_shows_that_stable_gets_the_version(place: Place) -> None:
    changes = by_name(opened(place, bootstrap=True).preflight.changes(place.version(1)))
    assert changes["Service m-stable"].after["spec"]["selector"]["tfcanary.dev/version"] == "1"
    assert changes["Service m-canary"].after["spec"]["selector"]["tfcanary.dev/version"] == "none"
    assert "Deployment m-guard" in changes


def test_what_has_been_done_shows_no_change(place: Place) -> None:
    place.up(1)
    changes = opened(place, bootstrap=True).preflight.changes(place.version(1))
    same = {one.name for one in changes if one.before == one.after}
    (config,) = place.api.list(CONFIG_MAPS, {"tfcanary.dev/version": "1"})
    assert same == {f"ConfigMap {config['metadata']['name']}", "Deployment m-v1", "PodDisruptionBudget m-v1"}


def test_opening_asks_nothing_and_a_bare_plan_can_read_the_record(api: Api) -> None:
    bare = adapters.open_platform(f"kube://{api.namespace}", "m", Plan())
    assert bare.records.read() is None
    assert bare.deployer.observe().servers == {}
    with pytest.raises(Refused, match=r"bucket\.canary: is missing"):
        bare.storage.list()
