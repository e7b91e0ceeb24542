"""An older intent does not land on servers and tracks: not by itself, and not when its write was on its way for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.adapters.kube.test_deployer import replicas, rollout, uids
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import proxy
from tests.cluster.proxy import Asked, Proxy
from tests.cluster.waiting import until
from tfcanary.adapters.kube.guards import KubeGuards, guarded_run
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.fenced_writes import stamp_of
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES
from tfcanary.core.domain import Intent, Pool, Role, RunningPool, Track
from tfcanary.core.errors import Conflict, Refused

__all__ = ["proxy"]

pytestmark = pytest.mark.slow


@pytest.fixture
def late(make: MakePlace, cluster: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same model, by a way on which writes can be held back."""
    place = make()
    place.api.list(DEPLOYMENTS)  # opens the connection of all others
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": place.api.namespace}]
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": "administrator"}, "roleRef": role}
    cluster.apply([{**binding, "subjects": subjects}], place.api.namespace)
    monkeypatch.setenv("KUBECONFIG", str(cluster.account_kubeconfig(place.api.namespace, "default", proxy.url)))
    api = Api(place.api.namespace, patience=30)
    api.list(DEPLOYMENTS)
    return replace(place, api=api)


@contextmanager
def held_back(proxy: Proxy, write: Callable[[], object], of: Callable[[Asked], bool]) -> Iterator[list[BaseException | None]]:
    """In the block a write is on its way; after it, it has arrived, and the list has what it raised."""
    result: list[BaseException | None] = []

    def run() -> None:
        try:
            write()
        except (Conflict, Refused) as error:
            result.append(error)
        else:
            result.append(None)

    with proxy.trouble.holding(of) as holding:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until(lambda: holding.held, seconds=30)
        yield result
        holding.release()
    thread.join(60)
    assert not thread.is_alive()


def deletion(plural: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.method == "DELETE" and f"/{plural}/" in asked.path


def stamps(api: Api) -> dict[str, str]:
    found = [*api.list(DEPLOYMENTS), *api.list(CONFIG_MAPS, {object_names.MODEL: "m"}), *api.list(SERVICES)]
    return {one["metadata"]["name"].partition("-v1-")[0]: stamp.stamp() for one in found if (stamp := stamp_of(one))}


# Pools


def test_whoever_deploys_stamps_and_no_pod_is_restarted(make: MakePlace) -> None:
    place = make()
    place.up(1)
    before = uids(place.api, 1), rollout(place.api, "m-v1")
    place.run = "run-2"
    place.deployer.deploy(place.pool(1), place.intent(10**6))
    assert (uids(place.api, 1), rollout(place.api, "m-v1")) == before
    assert stamps(place.api) == {"m-v1": "1000000 run-2", "m": "1000000 run-2"}
    with pytest.raises(Conflict, match="release 'run-2' wrote intent 1000000 there, and this is 7 of 'run-1'"):
        place.deployer.deploy(place.pool(1), Intent("run-1", 7))


def test_a_stale_remove_does_not_remove_what_a_newer_release_deployed_again(make: MakePlace) -> None:
    place = make()
    place.deployer.deploy(place.pool(1), Intent("run-1", 3))
    place.deployer.deploy(place.pool(1), Intent("run-2", 6))
    with pytest.raises(Conflict, match="release 'run-2' wrote intent 6 there, and this is 5 of 'run-1'"):
        place.deployer.remove(Pool(1), Intent("run-1", 5))
    assert place.api.get(DEPLOYMENTS, "m-v1")
    assert place.api.list(CONFIG_MAPS, {object_names.VERSION: "1"})
    place.deployer.remove(Pool(1), Intent("run-2", 6))
    assert place.api.get(DEPLOYMENTS, "m-v1") is None


def test_a_remove_that_was_on_its_way_does_not_remove_what_was_stamped_meanwhile(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()
    place.deployer.deploy(place.pool(1), Intent("run-1", 3))
    with held_back(proxy, lambda: late.deployer.remove(Pool(1), Intent("run-1", 4)), deletion("deployments")) as result:
        place.deployer.deploy(place.pool(1), Intent("run-2", 5))
    assert isinstance(result[0], Conflict)
    assert place.api.get(DEPLOYMENTS, "m-v1")


def test_a_remove_that_was_on_its_way_leaves_the_configuration_of_the_servers_that_came_after(
    make: MakePlace, late: Place, proxy: Proxy
) -> None:
    place = make()
    place.deployer.deploy(place.pool(1), Intent("run-1", 3))
    with held_back(proxy, lambda: late.deployer.remove(Pool(1), Intent("run-1", 4)), deletion("configmaps")) as result:
        until(lambda: place.api.get(DEPLOYMENTS, "m-v1") is None)
        place.deployer.deploy(place.pool(1), Intent("run-2", 5))
    assert isinstance(result[0], Conflict)
    (config,) = place.api.list(CONFIG_MAPS, {object_names.VERSION: "1"})
    assert stamp_of(config) == Intent("run-2", 5)
    until(lambda: place.servers(1) and all(one.available for one in place.servers(1)), seconds=90)


def test_two_that_deploy_at_once_make_one_pool_with_the_newer_stamp(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()

    def creation(asked: Asked) -> bool:
        return asked.method == "POST" and asked.path.endswith("/deployments")

    with held_back(proxy, lambda: late.deployer.deploy(late.pool(1, 2), Intent("run-1", 3)), creation) as result:
        place.deployer.deploy(place.pool(1), Intent("run-2", 5))
    assert isinstance(result[0], Conflict)
    assert replicas(place.api, "m-v1") == 1
    assert stamps(place.api)["m-v1"] == "5 run-2"


# Tracks


def test_an_older_intent_does_not_point_a_track(make: MakePlace) -> None:
    place = make()
    place.up(1)
    place.up(2)
    place.deployer.assign(Track.STABLE, Pool(1), Intent("run-1", 10**6))
    with pytest.raises(Conflict, match=r"Service m-stable in namespace .*: release 'run-1' wrote intent 1000000 there, and this is 9"):
        place.deployer.assign(Track.STABLE, Pool(2), Intent("run-1", 9))
    found = place.deployer.observe()
    assert (found.tracks, found.stamps) == ({Track.STABLE: Pool(1)}, {Track.STABLE: Intent("run-1", 10**6)})


def test_an_assignment_that_was_on_its_way_meets_the_one_that_put_it_back(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()
    place.up(1)
    place.up(2)
    place.deployer.assign(Track.STABLE, Pool(1), Intent("run-1", 5))

    def pointing(asked: Asked) -> bool:
        return asked.method == "PATCH" and asked.path.endswith("/services/m-stable")

    with held_back(proxy, lambda: late.deployer.assign(Track.STABLE, Pool(2), Intent("run-1", 6)), pointing) as result:
        # The rollback: the track points where it shall already, and is stamped only.
        place.deployer.assign(Track.STABLE, Pool(1), Intent("run-1", 7))
    assert isinstance(result[0], Conflict)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1)}


def test_a_track_that_points_there_already_is_stamped_without_waiting_and_once(
    make: MakePlace, late: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make()
    place.serve(1)
    place.deployer.assign(Track.STABLE, Pool(1), Intent("run-1", 10**6))
    monkeypatch.setattr("tfcanary.adapters.kube.deployer.SETTLE", 600.0)
    for number, asked in ((10**6 + 1, ["GET", "PATCH"]), (10**6 + 1, ["GET"])):
        proxy.clear()
        late.deployer.assign(Track.STABLE, Pool(1), Intent("run-1", number))
        assert [one.method for one in proxy.asked] == asked
    assert place.deployer.observe().stamps == {Track.STABLE: Intent("run-1", 10**6 + 1)}


def test_a_track_without_a_service_points_at_nothing_and_gets_none_for_that(make: MakePlace) -> None:
    place = make()
    for track in Track:
        place.assign(track, None)
    assert place.api.list(SERVICES) == ()
    place.up(1)
    place.assign(Track.PREVIEW, 1)
    place.assign(Track.PREVIEW, None)
    assert [one["metadata"]["name"] for one in place.api.list(SERVICES)] == ["m-preview"]
    assert place.deployer.observe().tracks == {}


def test_a_baseline_is_a_pool_of_its_own_and_stable_sends_it_nothing(make: MakePlace) -> None:
    place = make()
    place.serve(1)
    baseline = RunningPool(place.version(1), Role.BASELINE)
    place.deployer.deploy(baseline, place.intent())
    until(lambda: all(one.available for one in place.deployer.observe().servers.get(baseline.pool, ())) or None, seconds=90)
    place.deployer.assign(Track.BASELINE, baseline.pool, place.intent())
    found = place.deployer.observe()
    assert found.tracks == {Track.STABLE: Pool(1), Track.BASELINE: baseline.pool}
    assert {pool: len(servers) for pool, servers in found.servers.items()} == {Pool(1): 1, baseline.pool: 1}
    assert place.running.endpoints(Track.STABLE).isdisjoint(place.running.endpoints(Track.BASELINE))
    with pytest.raises(Refused, match=r"version 1 \(baseline\) of m is what the baseline track points at"):
        place.deployer.remove(baseline.pool, place.intent())
    place.assign(Track.BASELINE, None)
    place.deployer.remove(baseline.pool, place.intent())
    assert sorted(place.running.deployments()) == [Pool(1)]
    assert uids(place.api, 1)


def test_a_baseline_beside_servers_whose_labels_it_would_share_is_refused(make: MakePlace) -> None:
    """An older tfcanary made the servers, without a role."""
    place = make()
    place.deploy(1)
    (old,) = place.running.deployments().values()
    metadata = {name: old["metadata"][name] for name in ("name", "annotations")}
    labels = {name: value for name, value in old["metadata"]["labels"].items() if name != object_names.ROLE}
    selector = {"matchLabels": {object_names.MODEL: "m", object_names.VERSION: "1"}}
    template = {**old["spec"]["template"], "metadata": {"labels": labels}}
    place.api.delete(DEPLOYMENTS, "m-v1")
    spec = {"replicas": 0, "selector": selector, "template": template}
    place.api.create(DEPLOYMENTS, {**old, "metadata": {**metadata, "labels": labels}, "spec": spec})
    assert sorted(place.running.deployments()) == [Pool(1)]
    with pytest.raises(Refused, match=r"Deployment m-v1 selects .*, and the pods of version 1 \(baseline\) have these labels, too"):
        place.deployer.deploy(RunningPool(place.version(1), Role.BASELINE), place.intent())


def test_looking_at_everything_costs_three_calls(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()
    place.serve(1)
    place.up(2)
    place.assign(Track.CANARY, 2)
    proxy.clear()
    found = late.deployer.observe()
    assert sorted(found.servers) == [Pool(1), Pool(2)]
    assert sorted(found.stamps) == sorted(found.tracks) == sorted([Track.CANARY, Track.STABLE])
    assert [one.path.rpartition("/")[2] for one in proxy.asked] == ["deployments", "services", "pods"]


# The guard


def guards(place: Place) -> KubeGuards:
    return KubeGuards(place.api, "m", place.plan)


def present(place: Place) -> dict[str, Any]:
    found = place.api.get(DEPLOYMENTS, "m-guard")
    assert found
    return found


def test_a_guard_that_was_started_late_does_not_take_the_next_releases_place(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()
    guards(place).start("run 0")

    def replacing(asked: Asked) -> bool:
        return asked.method == "DELETE" and asked.path.endswith("/deployments/m-guard")

    with held_back(proxy, lambda: guards(late).start("run 1"), replacing) as result:
        guards(place).start("run 2")
    assert isinstance(result[0], Conflict)
    assert guarded_run(present(place)) == "run 2"


def test_a_stop_that_was_on_its_way_does_not_stop_the_next_releases_guard(make: MakePlace, late: Place, proxy: Proxy) -> None:
    place = make()
    guards(place).start("run 1")
    with held_back(proxy, lambda: guards(late).stop("run 1"), deletion("deployments")) as result:
        guards(place).start("run 2")
    assert result == [None]
    assert guarded_run(present(place)) == "run 2"
