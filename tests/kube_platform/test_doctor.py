"""The doctor of a cluster: everything green where all is ready; and each thing that is taken away is one red line that says what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kube.api_server import kubeconfig
from tests.kube_platform.ready import APPS, CORE, GATEWAY, ISTIO, POD, ReadyCluster, gateway, named, plan, record
from tests.metrics import prometheus_server
from tests.metrics.prometheus_server import ANSWERED, BUCKET, Page, PrometheusServer
from tfcanary import platforms
from tfcanary.domain import Finding, Look
from tfcanary.metrics.exposition import BOUNDS
from tfcanary.plan import (
    BucketPlan,
    GuardPodPlan,
    JudgePlan,
    MetricsPlan,
    ObjectiveKind,
    ObjectivePlan,
    Plan,
    RouterKind,
    StagePlan,
    TrafficPlan,
)
from tfcanary.platforms import checks
from tfcanary.platforms.checks import Check, Wanted, examined
from tfcanary.platforms.kube import doctor

PREDICT = 'API="predict",entrypoint="REST"'
SERIES = {f"{ANSWERED}{{{PREDICT}}}": 100.0, **{f'{BUCKET}{{{PREDICT},le="{bound}"}}': 100.0 for bound in BOUNDS}}


@dataclass
class Site:
    """A cluster, a Prometheus and a bucket that are ready."""

    cluster: ReadyCluster
    prometheus: PrometheusServer
    bucket: Path
    plan: Plan
    account: str = ""
    image: str = ""

    def examine(self, model: str = "m", with_plan: bool = True) -> Look:
        wanted = Wanted(self.plan if with_plan else None, model, self.account, self.image)
        return platforms.examine("kube://ns", wanted)

    def without(self, path: str) -> None:
        del self.cluster.objects[path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    cluster, prometheus, bucket = ReadyCluster(), PrometheusServer(), tmp_path / "bucket"
    bucket.mkdir()
    prometheus.pages = [Page(POD, "", series=SERIES)]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", cluster.url)))
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    yield Site(cluster, prometheus, bucket, plan(prometheus.url, str(bucket)))
    prometheus.close()
    cluster.close()


def findings(look: Look) -> dict[str, str]:
    return {one.about.removeprefix("doctor/"): one.finding.value for one in look.evidence}


def reason(look: Look, check: str) -> str:
    return next(one.reason for one in (*look.evidence, *look.absent) if one.about == f"doctor/{check}")


def test_where_everything_is_ready_every_line_is_green_and_nothing_is_left(site: Site) -> None:
    found = site.examine()
    assert set(findings(found).values()) == {"pass"}, [one for one in found.evidence if one.finding is not Finding.PASS]
    assert [one.about for one in found.absent] == ["doctor/metrics/objectives"]
    assert found.finding is Finding.PASS
    assert list(site.bucket.iterdir()) == []
    written = [one for one in site.cluster.asked if one.method in ("PATCH", "POST", "DELETE") and not one.path.endswith("reviews")]
    assert {one.query.get("dryRun") for one in written} == {"All"}


Take = Callable[[Site], Any]


def planned(**changed: Any) -> Take:
    def take(site: Site) -> None:
        site.plan = replace(site.plan, **changed)

    return take


def deny(*rights: str) -> Take:
    return lambda site: site.cluster.denied.update(rights)


def set_to(name: str, value: Any) -> Take:
    return lambda site: setattr(site.cluster, name, value)


def put(path: str, body: Any) -> Take:
    return lambda site: site.cluster.objects.__setitem__(path, body)


def gone(path: str) -> Take:
    return lambda site: site.without(path)


def both(*takes: Take) -> Take:
    return lambda site: [take(site) for take in takes]


def objective() -> JudgePlan:
    return JudgePlan(objectives={"clicks": ObjectivePlan(ObjectiveKind.COUNTER, "clicks_total")})


AT_GATEWAY = f"/apis/{GATEWAY}/v1/namespaces/ns/gateways/front"
AT_CLASS = "/apis/networking.k8s.io/v1/ingressclasses/front"
AT_ISTIO = f"/apis/{ISTIO}/v1/namespaces/ns/gateways/front"
BY_ISTIO, BY_NGINX = (planned(traffic=TrafficPlan(router=kind, gateway="front")) for kind in (RouterKind.ISTIO, RouterKind.NGINX))
REFUSED = {
    **gateway(),
    "status": {"conditions": [{"type": "Programmed", "status": "False", "reason": "NoAddress", "message": "none left"}]},
}
GUARD = {"app.kubernetes.io/part-of": "tfcanary", "app.kubernetes.io/component": "guard"}
OPEN = {"run_id": "r", "state": "watched"}


@pytest.mark.parametrize(
    ("take", "check", "finding", "said"),
    [
        (set_to("version", "v1.22.1"), "api", "fail", r"needs 1\.25 or newer; upgrade"),
        (set_to("version", "v1.99.0"), "api", "warn", "tested up to 1.34"),
        (put("/api/v1/namespaces/ns", named("ns", status={"phase": "Terminating"})), "namespace", "fail", "being deleted"),
        (gone("/api/v1/namespaces/ns"), "namespace", "fail", "namespace ns does not exist .* create it"),
        (deny("patch deployments", "list pods"), "rights", "fail", r"may not: patch deployments\.apps, list pods; bind the Role"),
        (deny("get gateways"), "rights", "fail", r"may not: get gateways\.gateway\.networking\.k8s\.io"),
        (both(BY_ISTIO, deny("list destinationrules")), "rights", "fail", r"list destinationrules\.networking\.istio\.io"),
        (gone(f"{CORE}/serviceaccounts/tfcanary"), "accounts/steps", "warn", "no service account tfcanary; apply deploy/, or name"),
        (
            lambda site: setattr(site, "account", "kubeflow/runner"),
            "accounts/steps",
            "fail",
            "namespace kubeflow has no service account runner",
        ),
        (deny("ns/tfcanary: create services"), "accounts/steps", "fail", "ns/tfcanary may not: create services; bind"),
        (deny("get serviceaccounts"), "accounts/steps", "warn", "is unknown: we may not get serviceaccounts"),
        (put(f"{CORE}/configmaps/tfcanary-m", record("0.0.1", **OPEN)), "records", "fail", r"tfcanary 0\.0\.1 wrote this record"),
        (
            lambda site: site.cluster.groups.pop(GATEWAY),
            "router/kinds",
            "fail",
            "does not know gateway.networking.k8s.io; install the Gateway API",
        ),
        (
            lambda site: site.cluster.groups[GATEWAY].pop("v1"),
            "router/kinds",
            "fail",
            r"no httproutes, gateways of gateway\.networking\.k8s\.io/v1 \(served: v1beta1\); install a newer",
        ),
        (gone(AT_GATEWAY), "router/gateway", "fail", "there is no Gateway front in namespace ns; create it"),
        (put(AT_GATEWAY, gateway(protocol="TCP")), "router/gateway", "fail", "none of its 1 listeners takes HTTPRoutes of namespace ns"),
        (put(AT_GATEWAY, REFUSED), "router/gateway", "fail", "Programmed is False, NoAddress: none left"),
        (put(AT_GATEWAY, {**gateway(), "status": {}}), "router/gateway", "warn", "no controller says that it serves it"),
        (planned(traffic=TrafficPlan()), "router/gateway", "warn", "the plan names none"),
        (
            both(BY_ISTIO, put(AT_ISTIO, named("front", spec={"servers": [{"hosts": ["b/*"]}]}))),
            "router/gateway",
            "fail",
            r"takes b/\*, and none for",
        ),
        (BY_ISTIO, "router/gateway", "fail", "there is no Gateway front of Istio"),
        (BY_NGINX, "router/gateway", "fail", "there is no such ingress class"),
        (
            both(BY_NGINX, put(AT_CLASS, named("front", spec={"controller": "traefik.io/x"}))),
            "router/gateway",
            "fail",
            "is traefik.io/x's: only",
        ),
        (gone(f"{CORE}/serviceaccounts/tfcanary-guard"), "guard", "fail", "no service account tfcanary-guard; apply deploy/"),
        (deny("ns/tfcanary-guard: patch httproutes"), "guard", "fail", "ns/tfcanary-guard may not: patch httproutes"),
        (planned(guard=GuardPodPlan(installed=True)), "guard", "fail", "namespace ns has no guard; apply deploy/guard"),
        (
            both(
                planned(guard=GuardPodPlan(installed=True)), put(f"{APPS}/deployments/g", named("g", metadata={"labels": GUARD}, status={}))
            ),
            "guard",
            "fail",
            "Deployment .* has no pod that is ready",
        ),
        (planned(guard=GuardPodPlan(image="tfcanary:latest")), "images", "warn", "guard.image tfcanary:latest: is not pinned"),
        (lambda site: setattr(site, "image", "steps:1"), "images", "warn", "--image steps:1: is not pinned"),
        (planned(bucket=BucketPlan()), "bucket/canary", "fail", "bucket.canary: is missing"),
        (planned(bucket=BucketPlan(canary="/nowhere/at/all")), "bucket/canary", "warn", "is not on this machine, so it was not tried"),
        (planned(metrics=MetricsPlan()), "metrics/source", "fail", "metrics.url: is missing"),
        (
            planned(metrics=MetricsPlan(url="http://127.0.0.1:9", timeout=timedelta(seconds=0.2))),
            "metrics/source",
            "inconclusive",
            r"cannot reach Prometheus .*; metrics\.url is asked from here",
        ),
        (lambda site: site.prometheus.failures.append(403), "metrics/source", "fail", "Prometheus refuses the question"),
        (
            lambda site: site.prometheus.pages.clear(),
            "metrics/series",
            "fail",
            rf"1 of stable's 1 servers are not counted \({POD}\): let Prometheus scrape",
        ),
        (lambda site: site.prometheus.pages[0].series.clear(), "metrics/series", "warn", "stable has counted no request"),
        (
            lambda site: setattr(site.prometheus.pages[0], "series", {f"{ANSWERED}{{{PREDICT}}}": 9.0}),
            "metrics/series",
            "fail",
            "judge.latency: none",
        ),
        (gone(f"{CORE}/services/m-stable"), "metrics/series", "warn", "nothing is stable yet"),
        (planned(stage=StagePlan(poll=timedelta(seconds=5))), "metrics/interval", "warn", r"every 10 s, and stage\.poll is 5 s"),
        (planned(judge=objective()), "metrics/objectives", "fail", r"judge\.objectives\.clicks\.events 'clicks_total': selects no series"),
        (
            put(f"{CORE}/services/m-canary", named("m-canary", kind="Service", spec={})),
            "release",
            "fail",
            "Service m-canary .* was not made by tfcanary",
        ),
        (planned(traffic=TrafficPlan(gateway="front", router=RouterKind.REPLICAS)), "router/route", "fail", "weights: 5 % cannot be had"),
    ],
)
def test_each_thing_that_is_taken_away_is_a_line_that_says_what_to_do(site: Site, take: Take, check: str, finding: str, said: str) -> None:
    take(site)
    found = site.examine()
    assert findings(found)[check] == finding, reason(found, check)
    assert re.search(said, reason(found, check)), reason(found, check)


def test_other_checks_go_on_after_a_red_one_and_those_that_rest_on_it_are_not_asked(site: Site) -> None:
    site.cluster.close()
    found = site.examine()
    seen = findings(found)
    assert seen["api"] == "inconclusive"
    assert "look at $KUBECONFIG" in reason(found, "api")
    assert (seen["bucket/canary"], seen["images"], seen["metrics/source"]) == ("pass", "pass", "pass")
    unasked = {one.about.removeprefix("doctor/") for one in found.absent if one.reason == "not asked: first mend api"}
    assert unasked >= {"namespace", "rights", "accounts/steps", "records", "router/kinds", "router/gateway", "guard", "release"}
    assert found.finding is Finding.INCONCLUSIVE


def test_a_namespace_that_may_not_be_read_is_asked_by_a_write_that_is_none(site: Site) -> None:
    site.cluster.denied.add("get namespaces")
    assert findings(site.examine())["namespace"] == "pass"
    site.cluster.gone = True
    found = site.examine()
    assert findings(found)["namespace"] == "fail"
    assert "namespace ns does not exist" in reason(found, "namespace")


def test_without_a_plan_and_a_model_only_the_cluster_is_looked_at(site: Site) -> None:
    found = site.examine(model="", with_plan=False)
    assert set(findings(found)) == {"api", "identity", "namespace", "rights", "accounts/steps", "records"}
    assert reason(found, "router/kinds") == "not asked: name a plan with --plan"
    assert reason(site.examine(model=""), "metrics/series") == "not asked: name the model with --name"


@pytest.mark.parametrize(
    ("allowed", "takes"),
    [
        ({}, True),
        ({"namespaces": {"from": "All"}}, True),
        ({"namespaces": {"from": "None"}}, False),
        ({"kinds": [{"kind": "GRPCRoute"}]}, False),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}, True),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}}, False),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}}},
            True,
        ),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}}},
            False,
        ),
        ({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}}, False),
        ({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}}, True),
    ],
)
def test_a_gateway_says_itself_of_which_namespaces_it_takes_routes(site: Site, allowed: dict[str, Any], takes: bool) -> None:
    site.cluster.objects[AT_GATEWAY] = gateway(allowedRoutes=allowed)
    assert findings(site.examine())["router/gateway"] == ("pass" if takes else "fail")


def test_a_gateway_of_another_namespace_must_let_us_in(site: Site) -> None:
    site.plan = replace(site.plan, traffic=TrafficPlan(gateway="infra/front"))
    elsewhere = f"/apis/{GATEWAY}/v1/namespaces/infra/gateways/front"
    site.cluster.objects[elsewhere] = gateway()
    assert findings(site.examine())["router/gateway"] == "fail"
    site.cluster.objects[elsewhere] = gateway(allowedRoutes={"namespaces": {"from": "All"}})
    assert findings(site.examine())["router/gateway"] == "pass"


def test_a_check_that_hangs_is_given_up_and_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hangs() -> checks.Said:
        ended.wait(20)
        return Finding.PASS, "late"

    found = examined("doctor", [Check("slow", hangs), Check("next", lambda: (Finding.PASS, "well"))], bound=0.1)
    ended.set()
    assert [(one.finding.value, one.reason) for one in found.evidence] == [("inconclusive", "no answer within 0 s"), ("pass", "well")]


def test_polls_that_are_as_rare_as_scrapes_are_well(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_server, "INTERVAL", 30.0)
    assert findings(site.examine())["metrics/interval"] == "warn"
    site.plan = replace(
        site.plan, stage=StagePlan(poll=timedelta(seconds=30)), deploy=replace(site.plan.deploy, lease=timedelta(seconds=90))
    )
    assert findings(site.examine())["metrics/interval"] == "pass"
