"""A real controller of the Gateway API and the Envoys that it runs: what our HTTPRoute means to somebody else than us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from scipy import stats

from tests.adapters.routing import grpc_users
from tests.adapters.routing.load import Load, ask_once
from tests.adapters.routing.tracks import MODEL, plan, running, shift, tracks
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.gateway import Gateway
from tests.cluster.optional import optional
from tests.cluster.optional.envoygateway import CONTROLLER, Entry, EnvoyGateway, missing
from tests.cluster.prometheus import Prometheus
from tests.cluster.proxy import Proxy
from tests.cluster.site import GATEWAY, NAME, Site
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.routing import open_router
from tfcanary.adapters.routing.gateway import HTTP_ROUTES, GatewayRouter
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Unavailable
from tfcanary.core.record import State

pytestmark = [pytest.mark.slow, optional, pytest.mark.timeout(1200)]

SAMPLE = 600
"""Requests that a share is measured with: 10 % is told from 5 % and from 15 %."""
FALSE_ALARM = 1e-6
"""The chance that a right share is called wrong."""
MakeEntry = Callable[[str], Entry]


@pytest.fixture(scope="module")
def controller(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyGateway]:
    if why := missing():
        pytest.skip(why)
    with ExitStack() as stack:
        made = EnvoyGateway(cluster, tmp_path_factory.mktemp("eg"))
        stack.callback(made.stop)
        try:
            made.start()
        except FileNotFoundError as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def entry(controller: EnvoyGateway, cluster: Cluster, namespace: str) -> Iterator[MakeEntry]:
    """Makes the namespace's Gateway, by name."""
    with ExitStack() as stack:

        def make(name: str) -> Entry:
            made = Entry(cluster, namespace, name)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def api(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return Api(namespace, patience=20)


def answers(address: str) -> bool:
    try:
        return ask_once(address)[0] == 200
    except OSError:
        return False


def conditions(api: Api, route: str) -> list[tuple[str, str, bool]]:
    """What the controller says of the route's newest generation: condition, status, and whether that is the one it has seen."""
    found = api.get(HTTP_ROUTES, route)
    assert found
    generation = found["metadata"]["generation"]
    parents: list[Json] = found.get("status", {}).get("parents", [])
    ours = [one for parent in parents if parent["controllerName"] == CONTROLLER for one in parent["conditions"]]
    return sorted((one["type"], one["status"], one["observedGeneration"] == generation) for one in ours)


def test_the_real_controller_divides_as_the_router_says_and_no_request_fails(
    controller: EnvoyGateway, cluster: Cluster, api: Api, entry: MakeEntry
) -> None:
    running(cluster, api, grpc=True, v1=2, v2=1)
    tracks(cluster, api)
    made = entry("users")
    router = open_router(api, MODEL, plan("gateway", gateway="users"))
    assert isinstance(router, GatewayRouter)
    shift(router, 0)
    until(lambda: answers(made.address), seconds=90)
    with Load(made.address, connections=4) as load, grpc_users.asking(made.address) as (_, failed):
        for weight in (0, 10, 50, 100, 0):
            shift(router, weight)
            assert conditions(api, MODEL) == [("Accepted", "True", True), ("ResolvedRefs", "True", True)]
            assert router.traffic() == Traffic(canary=weight)
            in_force(load, controller, weight)
            found = measured(load)
            chance = stats.binomtest(found[2], found.total(), weight / 100).pvalue
            assert chance > FALSE_ALARM, (weight, found)
            answers = grpc_users.ask(made.address, SAMPLE)
            assert grpc_users.is_share(answers[2], SAMPLE, weight), (weight, answers)
    assert (load.failed, failed) == ([], [])


def in_force(load: Load, controller: EnvoyGateway, weight: int) -> None:
    """A controller says that it has seen a route, and tells Envoy a moment later."""
    if weight in (0, 100):
        only = 2 if weight else 1
        until(lambda: set(load.answers[-50:]) == {only}, seconds=30)
    else:
        # One pair for each entrance.
        until(controller.weights, lambda seen: seen == [100 - weight, weight] * 2, seconds=30)
    load.wait_for(8)  # what was under way


def measured(load: Load) -> Counter[int]:
    mark = len(load.answers)
    load.wait_for(SAMPLE)
    return Counter(load.since(mark))


def test_a_service_that_is_missing_is_said_and_stops_a_rising_weight(cluster: Cluster, api: Api, entry: MakeEntry) -> None:
    """In the controller's own words."""
    running(cluster, api, v1=1)
    tracks(cluster, api, canary=None)
    entry("users")
    router = open_router(api, MODEL, plan("gateway", gateway="users"))
    shift(router, 0)
    until(lambda: conditions(api, MODEL))
    cluster.api.delete(f"/api/v1/namespaces/{api.namespace}/services/{MODEL}-canary")
    with pytest.raises(
        Unavailable, match=r"weight 10 was written, but is not in force after 10 s: .* says ResolvedRefs=False, BackendNotFound"
    ):
        shift(router, 10)
    shift(router, 0)
    assert conditions(api, MODEL) == [("Accepted", "True", True), ("ResolvedRefs", "True", True)]


def test_a_release_goes_through_the_real_gateway_and_users_see_no_failure(
    cluster: Cluster,
    namespace: str,
    proxy: Proxy,
    prometheus: Prometheus,
    entry: MakeEntry,
    models: Path,
    ours: Callable[[UserAnswers], dict[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(cluster, namespace, "gateway", proxy, proxy, prometheus, cast(Gateway, None), models, tmp_path)
    made = entry(GATEWAY)  # in place of the site's own
    site.gateway = cast(Any, made)
    monkeypatch.setenv("KUBECONFIG", str(site.kubeconfig))
    try:
        first = site.release("v1", bootstrap=True)
        assert first.state is State.PROMOTED, first.reason
        until(lambda: _takes(made.address), seconds=90)
        site.begin_users()
        run = site.start("better", forced=True)
        ended = site.ended(run)
        run.wait()
        until(lambda: site.users is not None and site.users.answers.answered > 200)
        assert (ended.state, site.weight()) == (State.PROMOTED, 0), ended.reason
        assert ours(site.seen()) == {}
    finally:
        site.close()
        cluster.use_for_pods()


def _takes(address: str) -> bool:
    """Somebody behind the gateway reads requests: this one is none for the model."""
    try:
        return ask_once(address, f"/v1/models/{NAME}:predict")[0] == 400
    except OSError:
        return False
