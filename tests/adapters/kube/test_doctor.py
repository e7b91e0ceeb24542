"""The doctor of a cluster: everything is green where all is ready, and a red line or a check that hangs stops only what rests on it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.kube.ready import AT_GATEWAY, GATEWAY, Site, findings, gateway, reason, site
from tests.adapters.metrics import prometheus_server
from tfcanary.adapters import doctor_checks
from tfcanary.adapters.doctor_checks import Check, run_checks
from tfcanary.core.domain import Finding
from tfcanary.core.plan import StagePlan, TrafficPlan

__all__ = ["site"]


def test_where_everything_is_ready_every_line_is_green_and_nothing_is_left(site: Site) -> None:
    found = site.examine()
    assert set(findings(found).values()) == {"pass"}, [one for one in found.evidence if one.finding is not Finding.PASS]
    assert [one.about for one in found.absent] == ["doctor/metrics/objectives"]
    assert found.finding is Finding.PASS
    assert list(site.bucket.iterdir()) == []
    written = [one for one in site.cluster.asked if one.method in ("PATCH", "POST", "DELETE") and not one.path.endswith("reviews")]
    assert {one.query.get("dryRun") for one in written} == {"All"}


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

    def hangs() -> doctor_checks.CheckResult:
        ended.wait(20)
        return Finding.PASS, "late"

    found = run_checks("doctor", [Check("slow", hangs), Check("next", lambda: (Finding.PASS, "well"))], bound=0.1)
    ended.set()
    assert [(one.finding.value, one.reason) for one in found.evidence] == [("inconclusive", "no answer within 0 s"), ("pass", "well")]


def test_polls_that_are_as_rare_as_scrapes_are_well(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_server, "INTERVAL", 30.0)
    assert findings(site.examine())["metrics/interval"] == "warn"
    site.plan = replace(
        site.plan, stage=StagePlan(poll=timedelta(seconds=30)), deploy=replace(site.plan.deploy, lease=timedelta(seconds=90))
    )
    assert findings(site.examine())["metrics/interval"] == "pass"
