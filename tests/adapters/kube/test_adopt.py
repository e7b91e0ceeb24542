"""A TF Serving that somebody else deployed becomes the stable version, and no pod is restarted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.adapters.kube.test_deployer import foreign, rollout
from tests.cluster.cluster import Cluster
from tests.cluster.site import gateway_object
from tests.cluster.waiting import until
from tfcanary import adapters
from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES
from tfcanary.adapters.routing.gateway import HTTP_ROUTES
from tfcanary.core.domain import Pool, Track
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Change

pytestmark = pytest.mark.slow

LABELS = {"app": "digits-serving", "team": "x"}


def theirs(place: Place) -> dict[str, Any]:
    """As it was deployed by somebody else: with names, labels and a manager of his own."""
    deployment = manifests.deployment("m", place.pool(1), place.plan)
    deployment["metadata"] = {"name": "digits-serving", "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    deployment["spec"]["selector"] = {"matchLabels": {"app": "digits-serving"}}
    deployment["spec"]["template"]["metadata"]["labels"] = LABELS
    return deployment


@pytest.fixture
def place(make: MakePlace, cluster: Cluster) -> Place:
    made = make()
    config = manifests.config_map("m", made.pool(1), made.plan.serving)
    config["metadata"]["labels"] = {}
    made.api.create(CONFIG_MAPS, config)
    cluster.apply([gateway_object(), theirs(made)], made.api.namespace)
    return made


def adopt(place: Place, dry_run: bool = False, number: int = 1, name: str = "digits-serving") -> tuple[Change, ...]:
    return adapters.adopt(f"kube://{place.api.namespace}", "m", name, number, place.plan, dry_run)


def pods(place: Place) -> set[str]:
    return {str(one["metadata"]["uid"]) for one in place.api.list(PODS, {"app": "digits-serving"})}


def test_what_serves_becomes_the_stable_version_and_the_next_ones_canary_runs_beside_it(place: Place) -> None:
    until(lambda: (place.api.get(DEPLOYMENTS, "digits-serving") or {}).get("status", {}).get("availableReplicas"), seconds=60)
    before = pods(place)
    adopt(place)
    adopt(place)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1)}
    assert [one.available for one in place.servers(1)] == [True]
    place.assign(Track.STABLE, 1)
    place.up(2)
    place.assign(Track.CANARY, 2)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1), Track.CANARY: Pool(2)}
    place.deploy(1)
    assert pods(place) == before
    assert place.api.get(DEPLOYMENTS, "m-v1") is None
    found = place.api.get(DEPLOYMENTS, "digits-serving")
    assert found
    assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert rollout(place.api, "digits-serving")[0] == "1"
    route = place.api.get(HTTP_ROUTES, "m")
    assert route
    assert [one["name"] for one in route["spec"]["rules"][0]["backendRefs"]] == ["m-stable"]
    place.assign(Track.STABLE, 2)
    place.assign(Track.CANARY, None)
    place.remove(1)
    assert place.api.get(DEPLOYMENTS, "digits-serving") is None


def test_a_dry_run_says_what_would_change_and_changes_nothing(place: Place) -> None:
    changes = {one.name: one for one in adopt(place, dry_run=True)}
    assert list(changes) == ["Deployment digits-serving", "Service m-stable", "HTTPRoute m"]
    deployment = changes["Deployment digits-serving"]
    assert deployment.before
    assert deployment.before["spec"] == deployment.after["spec"]
    assert deployment.after["metadata"]["labels"]["tfcanary.dev/version"] == "1"
    assert changes["Service m-stable"].after["spec"]["selector"] == {"app": "digits-serving"}
    assert place.running.deployments() == {}
    assert place.api.list(SERVICES) == ()


def test_labels_that_select_another_deployments_pods_are_refused(place: Place) -> None:
    other = foreign("other", who="other")
    other["spec"]["selector"] = {"matchLabels": {"who": "other"}}
    other["spec"]["template"]["metadata"]["labels"]["app"] = "digits-serving"
    place.api.create(DEPLOYMENTS, other)
    with pytest.raises(Refused, match="select the pods of Deployment other, too"):
        adopt(place)
    assert place.running.deployments() == {}


def test_what_is_missing_or_another_version_already_is_refused(place: Place) -> None:
    with pytest.raises(Refused, match="Deployment none: there is none in namespace"):
        adopt(place, name="none")
    adopt(place)
    with pytest.raises(Refused, match="is version 1 of m already, not version 2"):
        adopt(place, number=2)
    place.api.create(DEPLOYMENTS, foreign("other"))
    with pytest.raises(Refused, match="version 1 of m is Deployment digits-serving already"):
        adopt(place, name="other")


def test_a_service_of_that_name_is_taken_over_only_where_the_plan_says_so(place: Place) -> None:
    service = manifests.service("m", Track.STABLE, {"app": "old"}, place.plan.serving)
    service["metadata"]["labels"] = {}
    place.api.create(SERVICES, service)
    with pytest.raises(Refused, match=r"Service m-stable .* was not made by tfcanary"):
        adopt(place)
    place.plan = replace(place.plan, adopt=True)
    adopt(place)
    found = place.api.get(SERVICES, "m-stable")
    assert found
    assert found["spec"]["selector"] == {"app": "digits-serving"}


@pytest.mark.parametrize("uri", ["local:///srv/tfcanary", "kube://", "kube://UPPER", "kube://a/b", "kube://-a", "digits"])
def test_only_a_namespace_has_deployments(uri: str, place: Place) -> None:
    with pytest.raises(Refused, match="platform"):
        adapters.adopt(uri, "m", "digits-serving", 1, place.plan, dry_run=True)
