"""A release's moves on a real API server, each under the account that makes it: the steps', and the guard's with its few rights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.adapters.kube.test_deployer import uids
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import proxy
from tests.cluster.proxy import Proxy
from tests.cluster.site import accounts, gateway_object
from tests.cluster.waiting import until
from tfcanary import __version__, adapters
from tfcanary.act import finish, ledger, restore, rollback
from tfcanary.act.hold import holding
from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.kube.records import KubeRecords
from tfcanary.core import codec
from tfcanary.core.domain import Desired, Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import TrafficPlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

__all__ = ["proxy"]

pytestmark = pytest.mark.slow

RUN = "run-1"
WAYS = {
    "gateway": {"gateway": "front"},
    "istio": {"gateway": "mesh", "hostnames": ("m.example.com",)},
    "nginx": {"gateway": "nginx"},
    "replicas": {},
}


class StillClock(SystemClock):
    """Nothing is done beside: these releases are shorter than a hold."""

    def beside(self, seconds: float, call: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class Site:
    """A model, and its platform as each account opens it. Both go by a proxy that counts."""

    place: Place
    steps: Platform
    guard: Platform
    proxy: Proxy

    def desired(self, weight: int, *numbers: int) -> Desired:
        pools = tuple(RunningPool(self.place.version(number)) for number in numbers)
        tracks = dict(zip((Track.STABLE, Track.CANARY), (pool.pool for pool in pools), strict=False))
        return Desired(Traffic(canary=weight), tracks, pools)

    def want(self, desired: Desired, **changed: Any) -> None:
        ledger.change(self.steps, RUN, lambda release: replace(release.wanting(desired), **changed))

    def restore(self, platform: Platform | None = None, held: bool = True) -> None:
        """Until the servers are there."""
        platform = platform or self.steps

        def restored() -> bool:
            try:
                if not held:
                    return bool(restore.restore(platform, RUN))
                with holding(platform, RUN, "the test") as hold:
                    return bool(restore.restore(platform, RUN, hold))
            except Unavailable:
                return False

        until(restored, seconds=90)


@pytest.fixture
def site(make: MakePlace, cluster: Cluster, proxy: Proxy, router: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    place = make()
    place.plan = replace(place.plan, traffic=TrafficPlan(router, **WAYS[router]), weights=(50,))  # type: ignore[arg-type]
    accounts(cluster, place.api.namespace, router)
    cluster.apply([gateway_object()], place.api.namespace)
    assert place.api.server
    opened = []
    for account in ("tfcanary", "tfcanary-guard"):
        monkeypatch.setenv("KUBECONFIG", str(cluster.account_kubeconfig(place.api.namespace, account, proxy.url)))
        platform = adapters.open_platform(f"kube://{place.api.namespace}", "m", place.plan)
        assert isinstance(platform.records, KubeRecords)
        for api in (platform.records._api, platform.records._events):
            assert api.server  # the credentials are read now
        opened.append(replace(platform, clock=StillClock()))
    release = Release(RUN, place.plan, codec.digest(place.plan), datetime.now(UTC))
    stable = place.version(1)
    opened[0].records.swap(Record("m", __version__, stable=stable, release=release), 0)
    return Site(place, opened[0], opened[1], proxy)


@pytest.mark.parametrize("router", WAYS)
def test_a_release_is_made_by_the_steps_and_put_back_by_the_guard(site: Site) -> None:
    site.want(site.desired(0, 1))
    site.restore()
    before = uids(site.place.api, 1)
    site.want(site.desired(0, 1, 2), state=State.WATCHED, candidate=site.place.version(2))
    site.restore()
    site.want(site.desired(50, 1, 2))
    site.restore()
    assert (site.steps.router.traffic(), site.steps.router.stamp()) == (Traffic(canary=50), ledger.read(site.steps).release.token)  # type: ignore[union-attr]
    site.proxy.clear()
    ended = rollback.roll_back(site.guard, RUN, "the test says so")
    assert ended is not None
    assert (ended.state, site.guard.router.traffic()) == (State.ROLLED_BACK, Traffic())
    until(lambda: site.guard.deployer.observe().tracks == {Track.STABLE: Pool(1)})
    assert sorted(site.guard.deployer.observe().servers) == [Pool(1), Pool(2)]
    finish.let_go(site.guard, RUN)
    assert sorted(site.place.running.deployments()) == [Pool(1)]
    assert uids(site.place.api, 1) == before
    assert restore.differences(site.guard, ledger.read(site.guard)) == ()


@pytest.mark.parametrize("router", ["gateway"])
def test_the_guard_can_start_no_server_and_says_who_may(site: Site) -> None:
    site.want(site.desired(0, 1))
    with pytest.raises(Refused, match=r"is not allowed to; grant it the verb `create` on `(configmaps|deployments)`"):
        restore.restore(site.guard, RUN)


@pytest.mark.parametrize("router", WAYS)
def test_what_it_costs_to_see_that_nothing_is_to_be_done(site: Site) -> None:
    site.want(site.desired(0, 1, 2), state=State.WATCHED, candidate=site.place.version(2))
    site.restore()
    site.want(site.desired(50, 1, 2))
    site.restore()
    release = ledger.read(site.steps).release
    assert release is not None
    site.proxy.clear()
    restore.restore(site.guard, RUN)
    asked = [f"{one.method} {one.path.rpartition('/namespaces/')[2].partition('/')[2]}" for one in site.proxy.asked]
    print(f"\n{release.plan.traffic.router}: {len(asked)} calls: {', '.join(asked)}")
    assert len(asked) <= 12
    assert all(one.startswith("GET ") for one in asked)
