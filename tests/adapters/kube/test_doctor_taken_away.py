"""The doctor of a cluster in which one thing is taken away: each is one red line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.kube.ready import (
    APPS,
    AT_GATEWAY,
    CORE,
    GATEWAY,
    ISTIO,
    POD,
    PREDICT,
    Site,
    findings,
    gateway,
    named,
    reason,
    record,
    site,
)
from tests.adapters.metrics.prometheus_server import ANSWERED
from tfcanary.core.plan import (
    BucketPlan,
    GuardPodPlan,
    JudgePlan,
    MetricsPlan,
    ObjectiveKind,
    ObjectivePlan,
    StagePlan,
    TrafficPlan,
)

__all__ = ["site"]

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


AT_CLASS = "/apis/networking.k8s.io/v1/ingressclasses/front"
AT_ISTIO = f"/apis/{ISTIO}/v1/namespaces/ns/gateways/front"
BY_ISTIO, BY_NGINX = (planned(traffic=TrafficPlan(router=kind, gateway="front")) for kind in ("istio", "nginx"))
REFUSED = {
    **gateway(),
    "status": {"conditions": [{"type": "Programmed", "status": "False", "reason": "NoAddress", "message": "none left"}]},
}
ON_GKE = gateway()
ON_GKE["spec"]["gatewayClassName"] = "gke-l7-rilb"
AT_POLICIES = "/apis/networking.gke.io/v1/namespaces/ns/healthcheckpolicies"


def policy(service: str) -> Any:
    return named(service, spec={"targetRef": {"group": "", "kind": "Service", "name": service}})


GUARD = {"app.kubernetes.io/part-of": "tfcanary", "app.kubernetes.io/component": "guard"}


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
        (
            put(f"{CORE}/configmaps/tfcanary-m", record("0.0.1", schema=99)),
            "records",
            "fail",
            "wrote this record with schema 99",
        ),
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
        (planned(traffic=TrafficPlan(router="other")), "router/kinds", "fail", "must be one of gateway, istio, nginx, replicas"),
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
        (
            both(BY_NGINX, put(AT_CLASS, named("front", spec={"controller": "traefik.io/ingress-controller"}))),
            "router/gateway",
            "fail",
            "is Traefik's .*: a rollback would leave clients with a cookie at the canary",
        ),
        (
            both(BY_NGINX, put(AT_CLASS, named("front", spec={"controller": "k8s.io/ingress-nginx"}))),
            "router/gateway",
            "warn",
            "ingress-nginx is archived since March 2026 .* move to `router: gateway`",
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
        (lambda site: site.prometheus.failures.append(403), "metrics/source", "fail", "Prometheus refuses the query"),
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
        (gone(f"{CORE}/services/m-stable"), "metrics/series", "warn", "there is no stable version yet"),
        (planned(stage=StagePlan(poll=timedelta(seconds=5))), "metrics/interval", "warn", r"every 10 s, and stage\.poll is 5 s"),
        (planned(judge=objective()), "metrics/objectives", "fail", r"judge\.objectives\.clicks\.events 'clicks_total': selects no series"),
        (
            put(f"{CORE}/services/m-canary", named("m-canary", kind="Service", spec={})),
            "release",
            "fail",
            "Service m-canary .* was not made by tfcanary",
        ),
        (put(AT_GATEWAY, ON_GKE), "router/route", "warn", "whether a HealthCheckPolicy targets m-stable, m-canary, m-baseline is unknown"),
        (
            both(put(AT_GATEWAY, ON_GKE), *(put(f"{AT_POLICIES}/{one}", policy(one)) for one in ("m-stable", "m-baseline"))),
            "router/route",
            "warn",
            r"no HealthCheckPolicy targets m-canary, .* kubectl apply -n ns .*\"port\": 8501, \"requestPath\": \"/v1/models/m\"",
        ),
        (planned(traffic=TrafficPlan(gateway="front", router="replicas")), "router/route", "fail", "weights: 5 % cannot be had"),
    ],
)
def test_each_thing_that_is_taken_away_is_a_line_that_says_what_to_do(site: Site, take: Take, check: str, finding: str, said: str) -> None:
    take(site)
    found = site.examine()
    assert findings(found)[check] == finding, reason(found, check)
    assert re.search(said, reason(found, check)), reason(found, check)


def test_on_gke_services_with_a_policy_each_are_ready(site: Site) -> None:
    put(AT_GATEWAY, ON_GKE)(site)
    for one in ("m-stable", "m-canary", "m-baseline"):
        put(f"{AT_POLICIES}/{one}", policy(one))(site)
    assert findings(site.examine())["router/route"] == "pass"
