"""What goes wrong on a cluster while a release is on the road: users keep their answers, and the release has an end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.cluster.manifests import pods
from tests.cluster.proxy import Proxy, serving
from tests.cluster.site import NAME, PLAN, Site
from tests.cluster.waiting import until
from tfcanary.act import rollback
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import SERVICES
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.errors import Unavailable
from tfcanary.core.record import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Ours = Callable[[UserAnswers], dict[str, int]]
LONG = {"stage": {"minimum": "60s", "maximum": "90s"}}
"""A stage that lasts until something happens."""


def canary_pods(site: Site) -> list[str]:
    return [str(pod["metadata"]["name"]) for pod in pods(site.cluster.api, site.namespace, **{"tfcanary.dev/version": "2"})]


def test_latency_that_grows_is_rolled_back(site: Site, ours: Ours) -> None:
    judge = {**PLAN["judge"], "latency": {"tolerance": 0.1, "margin": 0.5, "tail_tolerance": 0.3, "tail_share_margin": 2.0}}
    run = site.start("slow", judge=judge)
    ended = site.settled(run)
    assert "took longer than" in ended.reason or "latency" in ended.reason
    assert ours(site.seen()) == {}


def test_a_canary_that_crashes_again_and_again_is_rolled_back(site: Site, ours: Ours) -> None:
    """One crash that is over at the watch's second look is left to the judge: users' requests failed, or they did not."""
    run = site.start("better", **LONG)
    site.in_force(run)
    names = canary_pods(site)
    assert len(names) == 2, "as many as stable has"

    def crash() -> bool:
        for pid in filter(None, (site.cluster.pid(site.namespace, name) for name in names)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return site.release_of(run.run_id).state.ended

    until(crash, seconds=60)
    ended = site.settled(run)
    assert "no server of version 2 serves" in ended.reason


def test_a_canary_that_never_gets_ready_is_refused_at_its_deadline(site: Site, ours: Ours) -> None:
    """No node has so much memory."""
    run = site.start("better", serving={"memory": "900Ti"}, deploy={"ready_timeout": "6s"})
    ended = site.settled(run, State.REFUSED)
    assert "Insufficient memory" in ended.reason
    assert ours(site.seen()) == {}


def test_an_image_that_cannot_be_pulled_is_refused_with_its_name(site: Site, ours: Ours) -> None:
    image = "nobody/has-this@sha256:" + "1" * 64
    run = site.start("better", serving={"image": image}, deploy={"ready_timeout": "8s"})
    ended = site.settled(run, State.REFUSED)
    assert "nobody/has-this" in ended.reason
    assert ours(site.seen()) == {}


def test_a_quota_without_room_for_the_largest_stage_is_refused_before_anything_is_written(site: Site, ours: Ours) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}}
    site.cluster.apply([quota], site.namespace)
    path = f"/api/v1/namespaces/{site.namespace}/resourcequotas/small"
    until(lambda: site.cluster.api.get(path).get("status", {}).get("used"))
    run = site.start("better")
    refusal = until(lambda: site.record().refusal(run.run_id), seconds=150)
    assert refusal is not None
    assert "small allows pods 2, and 2 is used; the largest stage and the promotion need 2 more pods" in refusal.reason
    assert ours(site.seen()) == {}


OTHER = "somebodys"
"""A Service that is none of tfcanary's, and that leads to stable's servers, too."""


@pytest.mark.parametrize(
    "shares",
    [{f"{NAME}-stable": 20, f"{NAME}-canary": 80}, {f"{NAME}-stable": 40, f"{NAME}-canary": 50, OTHER: 10}],
    ids=["another share", "another Service"],
)
def test_somebody_who_edits_the_route_by_hand_ends_the_release(shares: dict[str, int], site: Site, ours: Ours) -> None:
    stable = site.cluster.api.get(f"/api/v1/namespaces/{site.namespace}/services/{NAME}-stable")["spec"]
    spec = {name: stable[name] for name in ("selector", "ports")}
    site.cluster.apply([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": OTHER}, "spec": spec}], site.namespace)
    run = site.start("better", **LONG)
    site.in_force(run)
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{site.namespace}/httproutes/{NAME}"
    backends = [{"name": name, "port": 8501, "weight": weight} for name, weight in shares.items()]
    grpc, rest = site.cluster.api.get(path)["spec"]["rules"]
    site.cluster.api.merge(path, {"spec": {"rules": [grpc, {**rest, "backendRefs": backends}]}})
    ended = site.settled(run)
    assert "not by this release" in ended.reason
    assert ours(site.seen()) == {}


def test_somebody_who_deletes_the_canary_ends_the_release(site: Site) -> None:
    run = site.start("better", **LONG)
    site.in_force(run)
    site.cluster.api.delete(f"/apis/apps/v1/namespaces/{site.namespace}/deployments/{NAME}-v2")
    assert site.settled(run).failed


def test_a_run_that_is_terminated_is_ended_by_the_guard(site: Site, ours: Ours) -> None:
    run = site.start("better", **LONG)
    site.in_force(run)
    run.kill()
    ended = site.settled(run)
    assert "left alone" in ended.reason
    assert ours(site.seen()) == {}


def test_a_second_release_is_refused_by_name_and_the_first_goes_on(site: Site, ours: Ours) -> None:
    first = site.start("better", **LONG)
    site.in_force(first)
    second = site.start("breaks-under-load")
    assert second.wait() != 0
    assert f"release '{first.run_id}' is active" in second.said()
    assert site.weight() == 50
    rollback.roll_back(site.platform(), first.run_id, "the test is over")
    site.settled(first)
    assert ours(site.seen()) == {}


def test_prometheus_that_is_down_promotes_nothing(site: Site, ours: Ours) -> None:
    run = site.start("better", stage={"maximum": "12s"})
    site.in_force(run)
    site.prometheus.stop()
    try:
        ended = site.settled(run)
    finally:
        site.prometheus.start()
    assert (ended.failed, ended.reason[:9]) == (False, "undecided")
    assert ours(site.seen()) == {}


def test_an_api_server_that_is_away_for_a_minute_ends_no_release(site: Site, ours: Ours) -> None:
    run = site.start("better")
    site.in_force(run)
    site.proxy.down()
    time.sleep(20)
    site.proxy.up()
    run.wait()
    ended = site.release_of(run.run_id)
    assert ended.state in (State.PROMOTED, State.ROLLED_BACK), ended.reason
    assert ours(site.seen()) == {}


@pytest.mark.timeout(900)
def test_a_slow_api_server_and_storms_of_conflicts_end_no_release(site: Site, ours: Ours) -> None:
    site.proxy.trouble.slow(0.3)
    site.proxy.trouble.storm(statuses=(409, 429), share=0.1)
    ended = site.release("better", deploy={"lease": "30s"})  # a renewal is several calls, and some of them are asked again
    assert ended.state is State.PROMOTED, ended.reason
    assert ours(site.seen()) == {}


def test_a_node_that_is_lost_takes_no_answer_from_users_for_longer_than_kubernetes_needs(site: Site) -> None:
    run = site.start("better", weights=[30], **LONG)  # one pod is enough for it
    site.in_force(run, 30)
    (pod,) = pods(site.cluster.api, site.namespace, **{"tfcanary.dev/version": "2"})
    site.cluster.nodes[pod["spec"]["nodeName"]].lose()
    ended = site.ended(run)
    assert (ended.state, site.weight()) == (State.ROLLED_BACK, 0)


def test_a_certificate_that_has_expired_is_said_by_that_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.cluster.control_plane
    proxy = Proxy(site.cluster.control_plane, serving(site.cluster.control_plane.authority, expires_in=timedelta(minutes=-5)))
    kubeconfig = site.cluster.account_kubeconfig(site.namespace, "tfcanary", proxy.url)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(Unavailable, match="certificate has expired"):
        Api(site.namespace, patience=1).list(SERVICES)
    proxy.close()
