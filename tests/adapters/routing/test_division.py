"""What each router writes is what a real Envoy does with users' requests, and no change of the weight costs one."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.adapters.routing.load import Load, ask_once
from tests.adapters.routing.tracks import MODEL, plan, running, shift, tracks
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.routing import open_router

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("router", "kind", "gateway_name"),
    [("gateway", "HTTPRoute", "users"), ("istio", "VirtualService", "users"), ("nginx", "Ingress", "nginx")],
)
def test_users_requests_are_divided_and_none_fails(
    cluster: Cluster, api: Api, gateway: MakeGateway, router: str, kind: str, gateway_name: str
) -> None:
    running(cluster, api, v1=2, v2=1)
    tracks(cluster, api)
    made, envoy = open_router(api, MODEL, plan(router, gateway=gateway_name)), gateway(kind, MODEL)
    shift(made, 0)
    until(lambda: ask_once(envoy.address)[0] == 200)
    with Load(envoy.address, connections=4) as load:
        for weight in (25, 60, 100, 0):
            before = envoy.programmed
            shift(made, weight)
            until(lambda before=before: envoy.programmed > before)  # type: ignore[misc]
            load.wait_for(8)  # what was under way
            mark = len(load.answers)
            load.wait_for(300)
            counted = Counter(load.since(mark))
            # Five standard deviations of 300 draws.
            assert abs(100 * counted[2] / counted.total() - weight) <= (0 if weight in (0, 100) else 15), (weight, counted)
    assert load.failed == []
